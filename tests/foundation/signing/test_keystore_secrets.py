"""The key store lets no private key out, and takes no damaged or forged file for a key."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from foundation.signing import (
    CA_PURPOSE,
    Algorithm,
    KeyStore,
    KeyStoreError,
    PublicKey,
    Signer,
)
from foundation.signing.algorithms import Ed25519Signer, P256Signer, Sm2Signer
from tests.foundation.signing.stores import (
    MASTER,
    NOW,
    each_algorithm,
    reopened,
    token,
    verifies,
)


def private_forms(signer: Signer) -> list[bytes]:
    """Return a private key in all the forms in which it might have been written."""
    match signer:
        case P256Signer():
            raw = signer.private_key.private_numbers().private_value.to_bytes(32, "big")
            formats = [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL]
            der = [signer.private_key.private_bytes(Encoding.DER, form, NoEncryption()) for form in formats]
        case Ed25519Signer():
            raw = signer.private_key.private_bytes_raw()
            der = [signer.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())]
        case Sm2Signer():
            raw, der = signer.private_key, []
        case _:
            raise AssertionError(signer)
    forms = [
        raw,
        raw[::-1],
        raw.hex().encode(),
        raw.hex().upper().encode(),
        str(int.from_bytes(raw, "big")).encode(),
    ]
    for data in (raw, *der):
        # The middle of the base64, whatever stands before it: three alignments.
        forms += [base64.b64encode(bytes(shift) + data)[8:-8] for shift in range(3)]
        forms += [base64.urlsafe_b64encode(bytes(shift) + data)[8:-8] for shift in range(3)]
    return forms + der


@each_algorithm
def test_no_private_key_is_on_disk_in_clear(store: KeyStore, algorithm: Algorithm) -> None:
    store.ensure_active("answer", algorithm, NOW)
    signers = [store.signer("answer")]
    store.rotate("answer", NOW)
    signers.append(store.signer("answer"))
    content = b"".join(path.read_bytes() for path in store.directory.rglob("*") if path.is_file())
    assert all(signer.public.to_jwk()["x"].encode() in content for signer in signers)  # the search does find
    assert not [form for signer in signers for form in private_forms(signer) if form in content]
    assert b"PRIVATE" not in content
    assert MASTER not in content
    assert base64.b64encode(MASTER) not in content


@each_algorithm
def test_the_published_key_set_is_of_the_required_public_members_only(
    store: KeyStore, algorithm: Algorithm
) -> None:
    store.ensure_active("answer", algorithm, NOW)
    store.rotate("answer", NOW)
    store.ensure_active(CA_PURPOSE, Algorithm.ES256, NOW)
    published = store.jwks()["keys"]
    assert len(published) == 3  # the root certificate's key is not among them: no token may hold under it
    for jwk in published:
        extra = {"y"} if jwk["kty"] == "EC" else set()
        assert set(jwk) == {"kty", "crv", "x", "kid", "alg", "use"} | extra
        key = PublicKey.from_jwk(jwk)
        assert (jwk["kid"], jwk["alg"], jwk["use"]) == (key.thumbprint(), algorithm.value, "sig")
    assert set(store.verification_keys(CA_PURPOSE)).isdisjoint(jwk["kid"] for jwk in published)


def test_the_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened = KeyStore(tmp_path / "deep" / "keys", MASTER)
        kid = opened.ensure_active("answer", Algorithm.ES256, NOW).kid
        # A leftover of a crash that others may read must not pass its mode on.
        leftover = opened.directory / f".{kid}.key.json.new"
        leftover.write_bytes(b"")
        leftover.chmod(0o666)
        opened.rotate("answer", NOW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(opened.directory.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in opened.directory.iterdir()}
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_master_key_has_thirty_two_bytes(tmp_path: Path, length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyStore(tmp_path, bytes(length))


def test_under_another_master_key_the_store_does_not_open_and_says_why(store: KeyStore) -> None:
    kid = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    with pytest.raises(KeyStoreError, match="another master key") as caught:
        KeyStore(store.directory, MASTER[::-1])
    assert f"{kid}.key.json" in str(caught.value)
    assert verifies(reopened(store), token(store))


def only_file(store: KeyStore) -> Path:
    (path,) = store.directory.glob("*.key.json")
    return path


def test_a_file_cut_short_anywhere_is_named_as_damaged(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    path = only_file(store)
    whole = path.read_bytes()
    for length in range(0, len(whole.rstrip()), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(KeyStoreError, match=r"\.key\.json: damaged"):
            reopened(store)


JUNK: list[Any] = [
    None,
    True,
    5,
    0.5,
    "",
    "x",
    "d",
    [],
    ["d"],
    ["kty"],
    {},
    {"d": 1},
    "2025-01-01T00:00:00",
    "é",
]


def places(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(content, dict):
        for name, member in content.items():
            yield from places(member, (*path, name))


def replaced(content: Any, place: tuple[str, ...], junk: Any) -> Any:
    """Return the content with another value at a place, or none there where it is `...`."""
    if not place:
        return junk
    changed = dict(content)
    changed[place[0]] = replaced(content[place[0]], place[1:], junk)
    return {name: member for name, member in changed.items() if member is not ...}


def test_a_file_with_any_value_replaced_or_missing_is_refused_in_one_way(store: KeyStore) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    path = only_file(store)
    whole = json.loads(path.read_bytes())
    damaged = store.directory.with_name("damaged")
    damaged.mkdir()
    accepted = []
    for place in places(whole):
        for junk in [*JUNK, ...]:
            content = replaced(whole, place, junk)
            if content in (whole, ...):
                continue
            (damaged / path.name).write_text(json.dumps(content), encoding="utf-8")
            try:
                KeyStore(damaged, MASTER)
            except KeyStoreError as error:
                assert path.name in str(error)
            else:
                accepted.append((place, junk))
    assert accepted == []


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "licence"},
        {"purpose": CA_PURPOSE},
        {"algorithm": "EdDSA"},
        {"state": "next"},  # the times say otherwise
        {"state": "retired"},
        {"state": "revoked"},
        {"activated_at": "2025-01-01T00:00:00"},
        {"retired_at": "2025-01-01T00:00:00Z"},
        {"kid": "../../somewhere"},
    ],
    ids=repr,
)
def test_a_file_that_was_changed_by_hand_is_refused(store: KeyStore, change: dict[str, str]) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    path = only_file(store)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}), encoding="utf-8")
    with pytest.raises(KeyStoreError, match=r"\.key\.json: "):
        reopened(store)


def test_no_public_half_nor_private_half_can_be_put_in_from_another_key(
    store: KeyStore, tmp_path: Path
) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    other = KeyStore(tmp_path / "other", MASTER)
    other.ensure_active("answer", Algorithm.ES256, NOW)
    mine, theirs = only_file(store), only_file(other)
    genuine, foreign = json.loads(mine.read_bytes()), json.loads(theirs.read_bytes())
    for forged in ({"public": foreign["public"]}, {"private": foreign["private"]}):
        mine.write_text(json.dumps({**genuine, **forged}), encoding="utf-8")
        with pytest.raises(KeyStoreError, match="changed since"):
            reopened(store)
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(KeyStoreError, match="another kid"):
        reopened(store)
