from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
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

NOW = datetime(2025, 6, 30, tzinfo=UTC)
MASTER = bytes(range(32))
VAULT = Vault(Keyring(b"i" * 32, {1: b"a" * 32}, 1))


@given(st.binary(max_size=2000), st.binary(max_size=40))
def test_what_is_sealed_opens_at_its_place(plain: bytes, place: bytes) -> None:
    sealed = VAULT.seal(plain, place)
    assert VAULT.open(sealed, place) == plain
    assert VAULT.seal(plain, place) != sealed


@given(st.binary(min_size=1, max_size=50), st.data())
def test_any_flipped_bit_is_noticed(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(VAULT.seal(plain, b"here"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        VAULT.open(bytes(sealed), b"here")


def test_a_sealed_value_opens_nowhere_else() -> None:
    with pytest.raises(SealBroken):
        VAULT.open(VAULT.seal(b"x", b"person\0one"), b"person\0two")


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
