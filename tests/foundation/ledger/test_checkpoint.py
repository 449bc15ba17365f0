"""Checkpoints: golden note of a fixed key, the note of the Go documentation, and forgeries."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from foundation.ledger import Checkpoint, CheckpointError, VerifierKey, open_checkpoint, sign
from foundation.ledger.checkpoint import verify_note

GOLDEN = Path(__file__).parent / "golden" / "checkpoint"
ORIGIN = "zhengtong.example/ledger"
# RFC 8032 §7.1, test 1.
PRIVATE = Ed25519PrivateKey.from_private_bytes(
    bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
)
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey(ORIGIN, PUBLIC)
HEAD = Checkpoint(ORIGIN, 70_000, bytes(range(32)))
NOTE = sign(HEAD, ORIGIN, PRIVATE.sign, PUBLIC)


def resigned(text: str) -> str:
    signature = base64.b64encode(KEY.key_id + PRIVATE.sign(text.encode())).decode()
    return f"{text}\n— {ORIGIN} {signature}\n"


def test_golden() -> None:
    assert GOLDEN.read_text() == NOTE
    assert (
        str(KEY)
        == "zhengtong.example/ledger+" + KEY.key_id.hex() + "+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
    )
    assert VerifierKey.parse(str(KEY)) == KEY
    assert open_checkpoint(NOTE, KEY) == HEAD


def test_note_and_key_of_the_go_documentation() -> None:
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
    )
    signature = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    note = f"{text}\n— PeterNeumann {signature}\n"
    assert verify_note(note, key) == text


def test_cosignatures_and_extension_lines_are_tolerated() -> None:
    witness = VerifierKey("witness.example/w1", OTHER.public_key().public_bytes_raw())
    line = f"— witness.example/w1 {base64.b64encode(witness.key_id + bytes(72)).decode()}\n"
    namesake = f"— {ORIGIN} {base64.b64encode(witness.key_id + bytes(64)).decode()}\n"
    head, _, own = NOTE.partition("\n\n")
    assert open_checkpoint(f"{head}\n\n{line * 20}{namesake}{own}{line}", KEY) == HEAD
    assert open_checkpoint(resigned(HEAD.text + "extension one\nextension two\n"), KEY) == HEAD


def test_origin() -> None:
    other = resigned(Checkpoint("elsewhere.example", 1, bytes(32)).text)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(other, KEY)
    assert caught.value.code == "origin-wrong"
    assert open_checkpoint(other, KEY, origin="elsewhere.example").size == 1


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("note", "code"),
    [
        (NOTE.replace("70000", "70001"), "signature-wrong"),
        (NOTE.replace(ORIGIN, "zhengtong.example/other"), "signature-unknown"),
        (sign(HEAD, ORIGIN, OTHER.sign, OTHER.public_key().public_bytes_raw()), "signature-unknown"),
        (NOTE + f"— {ORIGIN} {base64.b64encode(KEY.key_id + bytes(64)).decode()}\n", "signature-wrong"),
        (NOTE + f"— {ORIGIN} {base64.b64encode(KEY.key_id + b'short').decode()}\n", "signature-wrong"),
        (NOTE[:-1], "checkpoint-malformed"),
        (NOTE + "\n", "checkpoint-malformed"),
        (NOTE.replace("— ", "- "), "checkpoint-malformed"),
        (NOTE.replace("\n", "\r\n"), "checkpoint-malformed"),
        (NOTE + "— name\n", "checkpoint-malformed"),
        (NOTE + "— name !!!!\n", "checkpoint-malformed"),
        (HEAD.text, "checkpoint-malformed"),
        ("", "checkpoint-malformed"),
        ("x" * 70_000 + NOTE, "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n070000\n{ROOT}\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n-1\n{ROOT}\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n９\n{ROOT}\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n9223372036854775808\n{ROOT}\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n1\n{ROOT[:-1]}\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n1\n{ROOT[:-2]}B=\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n1\nAAAA\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n1\n"), "checkpoint-malformed"),
        (resigned(f"\n1\n{ROOT}\n"), "checkpoint-malformed"),
        (resigned(f"{ORIGIN}\n1\n{ROOT}\n\nextension\n"), "checkpoint-malformed"),
    ],
)
def test_forged(note: str, code: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(note, KEY)
    assert caught.value.code == code


@given(st.integers(0, len(NOTE.encode()) * 8 - 1))
def test_no_bit_can_change(bit: int) -> None:
    changed = bytearray(NOTE.encode())
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises((CheckpointError, UnicodeDecodeError)):
        open_checkpoint(changed.decode(), KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+" + base64.b64encode(b"\x01" + PUBLIC).decode(),
        str(KEY).replace("+Adda", "+Adde"),
        str(KEY)[:-1],
        str(VerifierKey("with space", PUBLIC)),
        "a+" + KEY.key_id.hex() + "+" + base64.b64encode(b"\x02" + PUBLIC).decode(),
    ],
)
def test_malformed_keys(text: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        VerifierKey.parse(text)
    assert caught.value.code == "key-malformed"


def test_signing_refuses_what_could_not_be_opened() -> None:
    for head, name, public, code in (
        (Checkpoint("two\nlines", 1, bytes(32)), ORIGIN, PUBLIC, "checkpoint-malformed"),
        (Checkpoint(ORIGIN, -1, bytes(32)), ORIGIN, PUBLIC, "checkpoint-malformed"),
        (Checkpoint(ORIGIN, 1, bytes(31)), ORIGIN, PUBLIC, "checkpoint-malformed"),
        (HEAD, "a+b", PUBLIC, "key-malformed"),
        (HEAD, ORIGIN, OTHER.public_key().public_bytes_raw(), "signature-wrong"),
    ):
        with pytest.raises(CheckpointError) as caught:
            sign(head, name, PRIVATE.sign, public)
        assert caught.value.code == code
