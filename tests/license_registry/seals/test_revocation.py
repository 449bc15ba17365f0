"""Stamps by certificates that were revoked: refused, left open, or good by the word of a time stamp."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import pem

from foundation.signing import Algorithm, KeyStore
from foundation.signing.chain import ChainBroken
from foundation.signing.revocation import REVOCATION_LIST_LIVES, revocation_lists
from license_registry.seals.certificates import Certificate, read_certificate
from license_registry.seals.checks import Checked, check_seal, check_stamp, sm3
from license_registry.seals.keys import certified, maker_of, purpose_of
from license_registry.seals.make import make_seal, put_seal
from license_registry.seals.revocation import (
    RevocationList,
    Revocations,
    Revoked,
    read_revocation_list,
    read_revocation_lists,
)
from license_registry.seals.states import SealKind
from license_registry.seals.structures import Stamp
from tests.conftest import MARKET
from tests.license_registry.seals.conftest import DATA, content

PUT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
NOW = PUT + timedelta(days=2)


class House:
    """Keys with certificates of one root, a seal and a stamp."""

    def __init__(self, folder: Path, algorithm: Algorithm) -> None:
        self.keys = KeyStore(folder, bytes(32))
        self.purposes = (maker_of(algorithm), purpose_of(MARKET, SealKind.LEGAL_NAME, algorithm))
        self.maker, self.root = certified(self.keys, self.purposes[0], PUT, algorithm)
        self.signer, _root = certified(self.keys, self.purposes[1], PUT, algorithm)
        self.dated = replace(
            content(self.signer.certificate),
            created_at=PUT,
            valid_from=PUT,
            valid_until=PUT + timedelta(days=300),
        )
        self.stamp: Stamp = put_seal(
            make_seal(self.dated, self.maker), self.signer, sm3(DATA), "/licence", PUT + timedelta(hours=1)
        )

    def lists(self, at: datetime = NOW) -> tuple[RevocationList, ...]:
        return tuple(read_revocation_list(each) for each in revocation_lists(self.keys, at))

    def revoke(self, which: int, at: datetime) -> None:
        purpose = self.purposes[which]
        kid = self.keys.signer(purpose).kid
        self.keys.rotate(purpose, at)
        self.keys.revoke(kid, at)

    def check(self, lists: tuple[RevocationList, ...] | None, now: datetime = NOW) -> Checked:
        return check_stamp(self.stamp, (self.root,), (self.root,), now, sm3(DATA), lists)


@pytest.fixture(params=[Algorithm.ES256, Algorithm.SM2], ids=["ES256", "SM2"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path, request.param)


def test_who_has_the_list_of_the_day_knows_that_nothing_was_revoked(house: House) -> None:
    assert house.check(house.lists()).good
    assert house.check(None).good
    assert "signer_not_revoked" not in house.check(None).checks


def test_without_a_list_that_counts_it_stays_open(house: House, tmp_path: Path) -> None:
    both = {"maker_not_revoked", "signer_not_revoked"}
    for lists, now, code in (
        ((), NOW, "list-lacking"),
        (House(tmp_path / "other", Algorithm.ES256).lists(), NOW, "list-lacking"),
        (house.lists(), NOW + REVOCATION_LIST_LIVES + timedelta(seconds=1), "list-late"),
        (house.lists(NOW + timedelta(days=1)), NOW, "list-late"),
    ):
        found = house.check(lists, now)
        assert {name for name, passed in found.checks.items() if passed is None} == both
        assert found.reasons == dict.fromkeys(both, code)
    # A list whose entries somebody took out, or whose date somebody changed, is nobody's.
    house.revoke(1, NOW)
    forged = tuple(replace(each, covered=each.covered[:-1] + b"\0", revoked={}) for each in house.lists())
    assert house.check(forged).reasons == dict.fromkeys(both, "list-lacking")


@pytest.mark.parametrize(("which", "name"), [(0, "maker_not_revoked"), (1, "signer_not_revoked")])
def test_a_key_that_others_may_have_is_good_for_nothing_whatever_date_stands_there(
    house: House, which: int, name: str
) -> None:
    house.revoke(which, NOW)
    found = house.check(house.lists())
    assert (found.checks[name], found.reasons) == (False, {name: "revoked"})
    # Also when the list is of long ago: what it says does not lapse.
    assert house.check(house.lists(), NOW + timedelta(days=20)).checks[name] is False
    if which == 0:
        seal = check_seal(house.stamp.seal, (house.root,), NOW, Revocations(house.lists(), NOW))
        assert seal.checks[name] is False


def test_a_time_stamp_from_before_keeps_a_stamp_good_and_a_mild_reason_leaves_it_open(house: House) -> None:
    house.revoke(1, NOW - timedelta(hours=3))
    signer: Certificate = read_certificate(house.signer.certificate)
    ((serial, entry),) = next(each.revoked for each in house.lists() if each.revoked).items()
    assert (serial, entry) == (signer.serial, Revoked(NOW - timedelta(hours=3), only_from_then=False))
    mild = tuple(
        replace(each, revoked={serial: replace(entry, only_from_then=True)} if each.revoked else {})
        for each in house.lists()
    )
    early, late = entry.at - timedelta(hours=1), entry.at + timedelta(hours=1)

    def judged(
        lists: tuple[RevocationList, ...], at: datetime, proven: datetime | None
    ) -> tuple[bool | None, str | None]:
        return Revocations(lists, NOW, proven).judge(signer, (house.root,), at)

    assert judged(house.lists(), early, early) == (True, None)
    assert judged(house.lists(), early, late) == (False, "revoked")
    assert judged(house.lists(), early, None) == (False, "revoked")
    assert judged(mild, early, None) == (None, "revoked-later")
    assert judged(mild, late, None) == (False, "revoked")
    assert judged(mild, early, early) == (True, None)


def test_a_file_of_lists_is_read_as_der_and_as_pem(house: House) -> None:
    made = revocation_lists(house.keys, NOW)
    text = b"".join(pem.armor("X509 CRL", each) for each in made)
    assert read_revocation_lists(text) == tuple(read_revocation_list(each) for each in made)
    assert read_revocation_lists(made[0]) == (read_revocation_list(made[0]),)
    for data in (b"", b"nothing", made[0][:-1], b"-----BEGIN X509 CRL-----\nAA"):
        with pytest.raises(ChainBroken, match="malformed"):
            read_revocation_lists(data)
