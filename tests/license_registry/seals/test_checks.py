"""A stamp is good only if everything of it and of its seal is; each forgery fails the check that is for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from foundation.signing import Algorithm, new_signer
from license_registry.seals.checks import SEAL_CHECK_NAMES, check_seal, check_stamp, sm3
from license_registry.seals.make import Sealer, make_seal, put_seal
from license_registry.seals.octets import signature_der
from license_registry.seals.structures import SIGNATURE_OIDS, Stamp, read_stamp, stamp_der, to_sign_der
from tests.license_registry.seals.certifying import BEGIN, END, certificate
from tests.license_registry.seals.conftest import DATA, NOW, Sealed, content

ASKED_FOR = {"maker_not_revoked", "signer_not_revoked", "time_stamp"}
"""Checks that are made where somebody asks for them, or there is something to check."""


def failed(made: Sealed, stamp: Stamp, data: bytes | None = DATA) -> set[str]:
    found = check_stamp(stamp, (made.root,), (made.root,), NOW, None if data is None else sm3(data))
    assert set(found.checks) == set(SEAL_CHECK_NAMES) - ASKED_FOR
    return {name for name, passed in found.checks.items() if passed is not True}


def by(made: Sealed, sealer: Sealer, **changes: object) -> Stamp:
    """A stamp as a forger makes it, past the refusals of `put_seal`."""
    at = changes.get("at", NOW)
    seal = changes.get("seal", made.seal)
    covered = to_sign_der(seal.der, at, made.stamp.digest, "/licence")  # type: ignore[attr-defined, arg-type]
    signature = signature_der(sealer.signer.sign(covered))
    return read_stamp(
        stamp_der(covered, sealer.certificate, SIGNATURE_OIDS[sealer.signer.algorithm], signature)
    )


def test_a_good_stamp_is_good(made: Sealed) -> None:
    assert failed(made, made.stamp) == set()
    assert check_stamp(read_stamp(made.stamp.der), (made.root,), (made.root,), NOW, sm3(DATA)).good
    assert check_seal(made.seal, (made.root,), NOW).good


def test_data_that_are_not_at_hand_leave_it_open(made: Sealed) -> None:
    assert failed(made, made.stamp, None) == {"data"}
    assert not check_stamp(made.stamp, (made.root,), (made.root,), NOW).good


def test_each_forgery_fails_its_check(made: Sealed) -> None:
    assert failed(made, made.stamp, DATA + b" ") == {"data"}
    assert failed(made, by(made, made.stranger)) == {"signer_listed"}
    assert failed(made, by(made, made.signer, at=NOW + timedelta(days=1))) == {"signing_time"}
    assert failed(made, by(made, Sealer(made.stranger.signer, made.signer.certificate))) == {"signature"}
    late = made.seal.content.valid_until + timedelta(seconds=1)
    assert failed(made, by(made, made.signer, at=late)) == {"seal_not_over", "signing_time"}
    early = made.seal.content.valid_from - timedelta(seconds=1)
    assert failed(made, by(made, made.signer, at=early)) == {"seal_begun"}
    # What `ofdrw` accepts: a seal that its maker never signed.
    forged = make_seal(content(made.signer.certificate), Sealer(made.stranger.signer, made.maker.certificate))
    assert failed(made, by(made, made.signer, seal=forged)) == {"maker_signature"}
    assert failed(made, replace(made.stamp, algorithm="1.2.840.113549.1.1.11")) == {"signature"}


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("not-for-signing", {"usage": frozenset({"key_encipherment"})}),
        ("not-for-signing", {"authority": True}),
        ("expired", {"end": NOW - timedelta(days=1)}),
        ("not-yet-valid", {"begin": NOW + timedelta(days=1)}),
    ],
)
def test_a_signers_certificate_that_does_not_hold_says_why(reason: str, changes: dict[str, object]) -> None:
    root_key, key = new_signer(Algorithm.SM2), new_signer(Algorithm.SM2)
    root = certificate("root", root_key.public, "root", root_key, authority=True)
    leaf = certificate("signer", key.public, "root", root_key, **changes)  # type: ignore[arg-type]
    sealer = Sealer(key, leaf.der)
    maker_key = new_signer(Algorithm.SM2)
    maker = Sealer(maker_key, certificate("maker", maker_key.public, "root", root_key).der)
    stamp = put_seal(make_seal(content(leaf.der), maker), sealer, sm3(DATA), "/licence", NOW)
    found = check_stamp(stamp, (root,), (root,), NOW, sm3(DATA))
    assert found.reasons == {"signer_certificate": reason}
    assert [name for name, passed in found.checks.items() if not passed] == ["signer_certificate"]


def test_roots_are_those_of_the_checker(made: Sealed) -> None:
    key = new_signer(made.maker.signer.algorithm)
    other = certificate("root", key.public, "root", key, authority=True, begin=BEGIN, end=END)
    found = check_stamp(made.stamp, (other,), (), NOW, sm3(DATA))
    assert found.reasons == {"maker_certificate": "signature-wrong", "signer_certificate": "root-unknown"}


def test_who_is_not_named_puts_no_seal_on_anything(made: Sealed) -> None:
    with pytest.raises(ValueError, match="does not name"):
        put_seal(made.seal, made.stranger, sm3(DATA), "/licence", NOW)
