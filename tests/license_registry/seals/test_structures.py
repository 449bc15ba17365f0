"""Seals and stamps as DER: written and read back, real ones read, anything else refused in one way."""

from __future__ import annotations

import contextlib
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.signing import Algorithm
from license_registry.seals.certificates import holds, read_certificate
from license_registry.seals.checks import check_stamp, sm3
from license_registry.seals.octets import signature_der, signature_joined
from license_registry.seals.structures import (
    Picture,
    SealContent,
    SealMalformed,
    content_der,
    read_seal,
    read_stamp,
    seal_der,
)
from tests.conftest import SHARED
from tests.license_registry.seals.conftest import Sealed, content, sealed

LATER = datetime(2030, 1, 1, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden"
REAL = SHARED / "ofd"
with_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real seals are not on this machine")

_ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)
_MOMENTS = st.datetimes(
    min_value=datetime(1950, 1, 1),  # noqa: DTZ001
    max_value=datetime(9999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))
_CONTENTS = st.builds(
    SealContent,
    version=st.just(4),
    vendor=_ASCII,
    id=_ASCII,
    kind=st.integers(0, 99),
    name=st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()),
    certificates=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=3).map(tuple),
    digests=st.just(()),
    created_at=_MOMENTS,
    valid_from=_MOMENTS,
    valid_until=_MOMENTS,
    picture=st.builds(
        Picture,
        kind=_ASCII,
        data=st.binary(max_size=60),
        width=st.integers(1, 999),
        height=st.integers(1, 999),
    ),
)


@given(_CONTENTS)
def test_what_is_written_is_read_back(wanted: SealContent) -> None:
    covered = content_der(wanted)
    seal = read_seal(seal_der(covered, b"certificate", "1.2.156.10197.1.501", b"signature"))
    assert seal.content == wanted
    assert (seal.covered, seal.certificate, seal.signature) == (covered, b"certificate", b"signature")


def test_digests_stand_in_place_of_certificates() -> None:
    base = content(b"x")
    fields = {name: getattr(base, name) for name in base.__slots__}
    wanted = SealContent(**{**fields, "certificates": (), "digests": (("1.2.156.10197.1.401", b"d" * 32),)})
    assert read_seal(seal_der(content_der(wanted), b"c", "1.2.3", b"s")).content == wanted
    with pytest.raises(ValueError, match="certificates or with digests"):
        content_der(SealContent(**{**fields, "certificates": ()}))


def test_the_form_of_a_seal_does_not_change() -> None:
    assert content_der(content(b"certificate")).hex() == (GOLDEN / "content-v4.hex").read_text().strip()


_STAMP = sealed(Algorithm.ES256).stamp.der


@given(st.integers(0, len(_STAMP) - 1), st.binary(min_size=1, max_size=4), st.integers(0, 4))
def test_damage_is_refused_or_read_but_never_an_accident(place: int, put: bytes, cut: int) -> None:
    damaged = _STAMP[:place] + put + _STAMP[place + cut :]
    with contextlib.suppress(SealMalformed):
        read_stamp(damaged)


@given(st.binary(max_size=80))
def test_anything_else_is_no_seal(data: bytes) -> None:
    for read in (read_seal, read_stamp):
        with pytest.raises(SealMalformed):
            read(data)


def test_what_follows_a_seal_is_refused(made: Sealed) -> None:
    with pytest.raises(SealMalformed):
        read_seal(made.seal.der + b"\0")
    with pytest.raises(SealMalformed):
        read_stamp(made.seal.der)


@given(st.binary(min_size=64, max_size=64))
def test_signatures_have_two_spellings(joined: bytes) -> None:
    assert signature_joined(signature_der(joined)) == joined
    assert signature_joined(joined) == joined


@with_real
@pytest.mark.parametrize(
    ("file", "version", "name"),
    [
        ("UserV1.esl", 1, "OFDRW测试用印章"),
        ("UserV4.esl", 4, "OFD R&W 测试用印章"),
        ("UserV5.esl", 5, "OFD R&W V5测试用印章"),
    ],
)
def test_real_seals_are_read_and_their_makers_signature_holds(file: str, version: int, name: str) -> None:
    seal = read_seal((REAL / file).read_bytes())
    assert (seal.content.version, seal.content.name) == (version, name)
    key = read_certificate(seal.certificate).key
    assert holds(key, seal.algorithm, seal.covered, seal.signature)
    assert not holds(key, seal.algorithm, seal.covered + b"\0", seal.signature)
    if version == 4:
        assert content_der(seal.content) == seal.covered  # as others write it, to the octet


@with_real
@pytest.mark.parametrize(("file", "in_time"), [("SESV4SignDoc.ofd", False), ("V4RideRight.ofd", True)])
def test_stamps_in_real_documents_are_told_check_by_check(file: str, in_time: bool) -> None:
    with zipfile.ZipFile(REAL / file) as package:
        stamp = read_stamp(package.read("Doc_0/Signs/Sign_0/SignedValue.dat"))
        data = package.read(stamp.place.lstrip("/"))
    found = check_stamp(stamp, (), (), LATER, sm3(data))
    # Whose root certified its signer is not on this machine; everything that needs none is checked.
    assert found.reasons == {"maker_certificate": "root-unknown", "signer_certificate": "root-unknown"}
    assert {name for name, passed in found.checks.items() if not passed} == {
        "maker_certificate",
        "signer_certificate",
        *(() if in_time else ("seal_not_over",)),
    }
    assert check_stamp(stamp, (), (), LATER, sm3(data + b"\n")).checks["data"] is False
