from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from foundation.sensitive import (
    Keyring,
    KeyringError,
    SealBroken,
    Split,
    Vault,
    open_keyring,
    rotate_data_key,
    sensitive_fields,
)
from foundation.sensitive.ciphers import cipher

NOW = datetime(2025, 6, 30, tzinfo=UTC)
MASTER = bytes(range(32))
VAULT = Vault(Keyring(b"i" * 32, {1: b"a" * 32}, 1))
VAULTS = {"aes-256-gcm": VAULT, "sm4-gcm": Vault(Keyring(b"i" * 32, {1: b"a" * 16}, 1))}
each_cipher = pytest.mark.parametrize("vault", VAULTS.values(), ids=VAULTS)


@each_cipher
@given(plain=st.binary(max_size=2000), place=st.binary(max_size=40))
def test_what_is_sealed_opens_at_its_place(vault: Vault, plain: bytes, place: bytes) -> None:
    sealed = vault.seal(plain, place)
    assert vault.open(sealed, place) == plain
    assert vault.seal(plain, place) != sealed


@each_cipher
@given(st.lists(st.tuples(st.binary(max_size=50), st.binary(max_size=9)), max_size=5))
def test_several_sealed_together_open_each_at_its_place(
    vault: Vault, messages: list[tuple[bytes, bytes]]
) -> None:
    sealed = vault.seal_all([plain for plain, _ in messages], [place for _, place in messages])
    assert [vault.open(one, place) for one, (_, place) in zip(sealed, messages, strict=True)] == [
        plain for plain, _ in messages
    ]
    assert len({one[2:14] for one in sealed}) == len(messages)


@each_cipher
@given(plain=st.binary(min_size=1, max_size=50), data=st.data())
def test_any_flipped_bit_is_noticed(vault: Vault, plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(vault.seal(plain, b"here"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        vault.open(bytes(sealed), b"here")


@each_cipher
def test_a_sealed_value_opens_nowhere_else(vault: Vault) -> None:
    with pytest.raises(SealBroken):
        vault.open(vault.seal(b"x", b"person\0one"), b"person\0two")


def test_sm4_gcm_gives_the_example_of_rfc_8998() -> None:
    worker = cipher(bytes.fromhex("0123456789abcdeffedcba9876543210"))
    nonce = bytes.fromhex("00001234567800000000abcd")
    associated = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    plain = b"".join(bytes([byte]) * 8 for byte in (0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF, 0xEE, 0xAA))
    sealed = worker.encrypt(nonce, plain, associated)
    assert sealed.hex() == (
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
        "83de3541e4c2b58177e065a9bf7b62ec"
    )
    assert worker.decrypt(nonce, sealed, associated) == plain
    with pytest.raises(InvalidTag):
        worker.decrypt(nonce, sealed[:15], associated)


def test_aes_gcm_comes_out_as_the_vectors_say(shared: Callable[[str], Path]) -> None:
    groups = orjson.loads(shared("wycheproof/aes_gcm_test.json").read_bytes())["testGroups"]
    counted = 0
    for group in groups:
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        for test in group["tests"]:
            given_ = {name: bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "ct", "tag", "msg")}
            try:
                opened = cipher(given_["key"]).decrypt(
                    given_["iv"], given_["ct"] + given_["tag"], given_["aad"]
                )
            except InvalidTag:
                opened = None
            assert opened == (given_["msg"] if test["result"] == "valid" else None), test["tcId"]
            counted += 1
    assert counted > 30


def test_a_data_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="24"):
        cipher(bytes(24))


def test_another_cipher_begins_with_a_key_of_its_own_and_the_old_rows_stay_readable(tmp_path: Path) -> None:
    old = Vault(open_keyring(tmp_path, MASTER, NOW)).seal(b"before", b"p")
    changed = open_keyring(tmp_path, MASTER, NOW, "sm4-gcm")
    assert (changed.current, len(changed.data_keys[2])) == (2, 16)
    assert open_keyring(tmp_path, MASTER, NOW, "sm4-gcm") == open_keyring(tmp_path, MASTER, NOW) == changed
    assert Vault(changed).open(old, b"p") == b"before"
    assert len(rotate_data_key(tmp_path, MASTER, NOW).data_keys[3]) == 16


@pytest.mark.parametrize("short", [b"", b"\0\1", b"\0\1" + b"n" * 12, b"\0\1" + b"n" * 12 + b"t" * 15])
def test_a_truncated_value_is_refused(short: bytes) -> None:
    with pytest.raises(SealBroken):
        VAULT.open(short, b"here")


def test_blind_indexes_depend_on_kind_value_and_key() -> None:
    index = VAULT.blind_index("citizen-id", "x")
    assert len(index) == 16
    assert index == VAULT.blind_index("citizen-id", "x")
    others = Vault(Keyring(b"j" * 32, {1: b"a" * 32}, 1))
    assert len({index, VAULT.blind_index("uscc", "x"), VAULT.blind_index("citizen-id", "y"),
                others.blind_index("citizen-id", "x")}) == 4  # fmt: skip


def test_keys_survive_a_restart_and_a_rotation(tmp_path: Path) -> None:
    first = open_keyring(tmp_path, MASTER, NOW)
    old = Vault(first).seal(b"before", b"p")
    assert open_keyring(tmp_path, MASTER, NOW) == first
    second = rotate_data_key(tmp_path, MASTER, NOW)
    assert second.current == first.current + 1
    assert second.index_key == first.index_key
    vault = Vault(open_keyring(tmp_path, MASTER, NOW))
    assert vault.open(old, b"p") == b"before"
    assert vault.seal(b"after", b"p")[:2] == b"\0\2"
    with pytest.raises(SealBroken, match="not in the keyring"):
        Vault(first).open(vault.seal(b"after", b"p"), b"p")


def test_no_key_stands_in_clear_and_the_file_is_private(tmp_path: Path) -> None:
    keyring = open_keyring(tmp_path, MASTER, NOW)
    path = tmp_path / "data-keys.json"
    assert path.stat().st_mode & 0o077 == 0
    import base64

    for key in (keyring.index_key, *keyring.data_keys.values()):
        assert base64.b64encode(key) not in path.read_bytes()
    assert "Keyring(" not in repr(replace(keyring)) or "index_key" not in repr(keyring)


def test_the_wrong_master_key_is_named_as_such(tmp_path: Path) -> None:
    open_keyring(tmp_path, MASTER, NOW)
    with pytest.raises(KeyringError, match=r"data-keys\.json: the master key is not the one"):
        open_keyring(tmp_path, bytes(32), NOW)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", orjson.dumps({"index": 1, "data": {}})])
def test_a_damaged_file_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data-keys.json").write_bytes(content)
    with pytest.raises(KeyringError, match=r"data-keys\.json: damaged"):
        open_keyring(tmp_path, MASTER, NOW)


def test_two_first_starts_at_once_agree(tmp_path: Path) -> None:
    found: list[Keyring] = []
    threads = [
        threading.Thread(target=lambda: found.append(open_keyring(tmp_path, MASTER, NOW))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(keyring == found[0] for keyring in found)


def test_sensitive_fields_are_those_marked() -> None:
    schema = {"properties": {"name": {"type": "string", "x-sensitive": True}, "sex": {"type": "string"}}}
    assert sensitive_fields(schema) == {"name"}
    assert Split.of({"name": "n", "sex": "s"}, frozenset({"name"})) == Split({"sex": "s"}, {"name": "n"})


def test_a_mark_that_would_be_overlooked_is_refused() -> None:
    deep = {"properties": {"home": {"properties": {"street": {"x-sensitive": True}}}}}
    with pytest.raises(ValueError, match="/properties/home"):
        sensitive_fields(deep)
    with pytest.raises(ValueError, match="true or false"):
        sensitive_fields({"properties": {"name": {"x-sensitive": "yes"}}})


def test_a_blind_index_is_the_hmac_it_says_it_is() -> None:
    whole = hmac.digest(b"i" * 32, b"citizen-id\0x", "sha256")
    assert VAULT.blind_index("citizen-id", "x") == whole[:16]
    assert VAULT.fingerprints([b"[]", b"{}"]) == [VAULT.fingerprint(b"[]"), VAULT.fingerprint(b"{}")]
    assert VAULT.fingerprint(b"{}") == hmac.digest(b"i" * 32, b"fingerprint\0{}", "sha256")[:16]
