"""The key store keeps one active key per purpose, through rotations, clocks and other openers."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path

import pytest

from foundation.signing import (
    Algorithm,
    KeyState,
    KeyStateError,
    KeyStore,
    KeyStoreError,
    decode_base64url,
    encode_base64url,
)
from tests.foundation.signing.stores import (
    DAY,
    NOW,
    each_algorithm,
    reopened,
    states,
    token,
    verifies,
)


@each_algorithm
def test_a_key_is_next_then_active_then_retired_and_checks_signatures_all_along(
    store: KeyStore, algorithm: Algorithm
) -> None:
    first = store.ensure_active("answer", algorithm, NOW)
    upcoming = store.create("answer", algorithm, KeyState.NEXT, NOW)
    assert set(store.verification_keys("answer")) == {first.kid, upcoming.kid}  # published before it signs
    early = token(store)
    assert store.rotate("answer", NOW + DAY).kid == upcoming.kid
    assert store.signer("answer").kid == upcoming.kid
    late = token(store)
    for opened in (store, reopened(store)):
        assert states(opened) == ["active", "next", "retired"]
        assert opened.signer("answer").kid == upcoming.kid
        assert verifies(opened, early)
        assert verifies(opened, late)
        by_kid = {record.kid: record for record in opened.records()}
        assert by_kid[first.kid].retired_at == by_kid[upcoming.kid].activated_at == NOW + DAY
    assert reopened(store).records() == store.records()
    assert reopened(store).jwks() == store.jwks()


def test_a_purpose_has_one_key_in_a_state_and_keys_of_its_own(store: KeyStore) -> None:
    answer = store.ensure_active("answer", Algorithm.ES256, NOW)
    licence = store.ensure_active("licence", Algorithm.SM2, NOW)
    assert answer.kid != licence.kid
    assert store.ensure_active("answer", Algorithm.ES256, NOW + DAY) == answer
    with pytest.raises(KeyStateError, match="already"):
        store.create("answer", Algorithm.ES256, KeyState.ACTIVE, NOW)
    with pytest.raises(KeyStateError, match="active key is for ES256"):
        store.ensure_active("answer", Algorithm.EDDSA, NOW)
    store.create("mark", Algorithm.EDDSA, KeyState.NEXT, NOW)
    with pytest.raises(KeyStateError, match="next key is for EdDSA"):
        store.ensure_active("mark", Algorithm.ES256, NOW)
    with pytest.raises(KeyStoreError, match="no active key for mark"):
        store.signer("mark")
    with pytest.raises(KeyStateError, match="retired"):
        store.create("mark", Algorithm.EDDSA, KeyState.RETIRED, NOW)
    with pytest.raises(KeyStoreError, match="no key for nothing"):
        store.rotate("nothing", NOW)
    assert set(store.verification_keys()) == {record.kid for record in store.records()}
    assert set(store.verification_keys("licence")) == {licence.kid}


def test_a_next_key_becomes_active_where_there_is_none_even_with_the_clock_set_back(store: KeyStore) -> None:
    upcoming = store.create("answer", Algorithm.ES256, KeyState.NEXT, NOW)
    active = store.ensure_active("answer", Algorithm.ES256, NOW - DAY)
    assert (active.kid, active.activated_at) == (upcoming.kid, NOW)
    assert states(reopened(store)) == ["active"]


def test_a_rotation_can_bring_in_another_algorithm(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    early = token(store)
    store.create("answer", Algorithm.SM2, KeyState.NEXT, NOW)
    assert store.rotate("answer", NOW).algorithm is Algorithm.SM2
    assert {r.state: r.algorithm for r in store.records()} == {
        KeyState.RETIRED: Algorithm.ES256,
        KeyState.ACTIVE: Algorithm.SM2,
        KeyState.NEXT: Algorithm.SM2,
    }
    assert verifies(store, early)


def test_a_clock_that_was_set_back_does_not_bring_an_old_key_back(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    for days in (3, 0, 3, -5):
        newest = store.rotate("answer", NOW + days * DAY)
        assert reopened(store).signer("answer").kid == newest.kid
    assert states(store) == ["active", "next", *["retired"] * 4]


def test_what_another_opener_changed_is_seen_after_a_reload(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    other = reopened(store)
    assert not other.reload()
    newest = store.rotate("answer", NOW)
    assert other.signer("answer").kid != newest.kid
    assert other.reload()
    assert other.signer("answer").kid == newest.kid
    assert not other.reload()


def test_a_reload_of_a_damaged_folder_leaves_the_keys_in_memory(store: KeyStore) -> None:
    kid = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    (store.directory / f"{kid}.key.json").write_bytes(b"{")
    with pytest.raises(KeyStoreError, match=kid):
        store.reload()
    assert verifies(store, token(store))


def test_the_file_of_a_key_has_the_members_that_are_documented_and_a_fresh_nonce(store: KeyStore) -> None:
    for purpose in ("answer", "licence"):
        store.ensure_active(purpose, Algorithm.EDDSA, NOW)
    contents = [json.loads(path.read_bytes()) for path in store.directory.glob("*.key.json")]
    for content in contents:
        assert content == {
            "kid": content["kid"],
            "algorithm": "EdDSA",
            "purpose": content["purpose"],
            "state": "active",
            "created_at": "2025-01-01T00:00:00+00:00",
            "activated_at": "2025-01-01T00:00:00+00:00",
            "retired_at": None,
            "public": {"kty": "OKP", "crv": "Ed25519", "x": content["public"]["x"]},
            "private": {"nonce": content["private"]["nonce"], "sealed": content["private"]["sealed"]},
        }
        assert len(base64.b64decode(content["private"]["sealed"])) == 32 + 16
        assert encode_base64url(decode_base64url(content["kid"])) == content["kid"]
    assert len({content["private"]["nonce"] for content in contents}) == 2


def test_a_revoked_key_is_no_key_to_verify_with_and_stays_revoked(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path, bytes(32))
    old = keys.create("answer", Algorithm.ES256, KeyState.ACTIVE, NOW).kid
    other = KeyStore(tmp_path, bytes(32))
    with pytest.raises(KeyStateError, match="rotate it away first"):
        keys.revoke(old, NOW)
    with pytest.raises(KeyStateError, match="no such key"):
        keys.revoke("nobody", NOW)
    keys.rotate("answer", NOW)
    keys.revoke(old, NOW)
    keys.revoke(old, NOW + timedelta(days=1))
    assert other.reload()
    for store in (keys, other, KeyStore(tmp_path, bytes(32))):
        assert old not in store.verification_keys("answer")
        assert old not in {key["kid"] for key in store.jwks()["keys"]}
        assert store.revoked()[old][1] == NOW


def test_a_damaged_list_of_revoked_keys_is_no_reason_to_trust_them(tmp_path: Path) -> None:
    KeyStore(tmp_path, bytes(32))
    (tmp_path / "revoked.json").write_text("[]")
    with pytest.raises(KeyStoreError, match="revoked"):
        KeyStore(tmp_path, bytes(32))
