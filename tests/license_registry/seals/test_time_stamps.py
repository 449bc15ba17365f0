"""Time stamps of a real authority (OpenSSL): asked for, put into the stamp, and each forgery told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, core
from cryptography import x509

from foundation.settings import Settings
from foundation.signing.chain import load_roots
from license_registry.documents.drawing import Format
from license_registry.documents.keep import give
from license_registry.issuing.issue import issue
from license_registry.presenting.own_trust import current_trust, own_further
from license_registry.seals.checks import check_stamp, sm3
from license_registry.seals.make import put_seal
from license_registry.seals.states import SealKind
from license_registry.seals.structures import SIGNATURE_OIDS, Stamp, read_stamp, stamp_der
from license_registry.seals.time_stamping import TimeStamping, TimeStampUnavailable, time_stamped
from license_registry.seals.time_stamps import TimeStampBroken, check_time_stamp, question, token_of
from license_registry.verifying.file import Ways, verify_bytes
from tests.license_registry.conftest import AUTHORITY, registry, request
from tests.license_registry.documents.test_sealing import SIGNATURE, in_use
from tests.license_registry.seals.conftest import DATA, Sealed, made
from tests.license_registry.seals.stamping import Stamper, answering, run, stamper

__all__ = ["made"]


@pytest.fixture(scope="module", params=["ec", "rsa"])
def authority(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stamper:
    return stamper(tmp_path_factory.mktemp("stamps") / request.param, request.param)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stamper]:
    with answering(stamper(tmp_path_factory.mktemp("served") / "ec")) as one:
        yield one


def roots(one: Stamper) -> tuple[x509.Certificate, ...]:
    return load_roots(one.root.read_bytes())


def token(one: Stamper, covered: bytes) -> bytes:
    query, nonce = question(covered)
    return token_of(one.answer(query), nonce)


def broken(found: bytes, covered: bytes, trusted: tuple[x509.Certificate, ...]) -> str:
    with pytest.raises(TimeStampBroken) as refused:
        check_time_stamp(found, covered, trusted)
    return refused.value.code


def test_a_token_of_openssl_holds_and_ours_is_held_by_openssl(authority: Stamper) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    found = token(authority, DATA)
    assert before <= check_time_stamp(found, DATA, roots(authority)) <= datetime.now(UTC)
    (authority.folder / "token").write_bytes(found)
    (authority.folder / "data").write_bytes(DATA)
    said = run(
        *("ts", "-verify", "-token_in", "-in", "token", "-data", "data", "-CAfile", "root.pem"),
        folder=authority.folder,
    )
    assert "Verification: OK" in said


def test_what_does_not_hold_says_why(authority: Stamper, tmp_path: Path) -> None:
    found, trusted = token(authority, DATA), roots(authority)
    assert broken(found, DATA + b".", trusted) == "data-differ"
    assert broken(found, DATA, ()) == "root-unknown"
    assert broken(found[:-1], DATA, trusted) == "malformed"
    assert broken(b"", DATA, trusted) == "malformed"
    content = cms.ContentInfo.load(found)
    signed = content["content"]
    at = signed["encap_content_info"]["content"].parsed["gen_time"].native
    # A date that somebody changed: the signature is over the digest of what says it.
    text = at.strftime("%Y%m%d%H%M%SZ").encode()
    other = (at - timedelta(days=400)).strftime("%Y%m%d%H%M%SZ").encode()
    assert found.count(text) >= 1
    assert broken(found.replace(text, other, 1), DATA, trusted) == "signature-wrong"
    last = bytearray(found)
    last[-1] ^= 1
    assert broken(bytes(last), DATA, trusted) in {"signature-wrong", "malformed"}
    stranger = stamper(tmp_path / "stranger")
    assert broken(token(stranger, DATA), DATA, trusted) == "root-unknown"
    for _ in range(20):  # any octet of it
        spoilt = bytearray(found)
        place = (len(found) * _) // 20
        spoilt[place] ^= 0x55
        if bytes(spoilt) != found:
            with pytest.raises(TimeStampBroken):
                check_time_stamp(bytes(spoilt), DATA, trusted)


def test_a_certificate_for_something_else_stamps_no_time(tmp_path: Path) -> None:
    # OpenSSL itself refuses to stamp with such a certificate, so a good token names one instead.
    one = stamper(tmp_path / "one")
    found = token(one, DATA)
    (tmp_path / "one" / "configuration").write_text(
        (tmp_path / "one" / "configuration").read_text().replace("critical,timeStamping", "clientAuth")
    )
    run("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "7",
        "-out", "other.pem", "-extfile", "configuration", "-extensions", "stamping", "-days", "30",
        folder=one.folder)  # fmt: skip
    content = cms.ContentInfo.load(found)
    other = x509.load_pem_x509_certificate((one.folder / "other.pem").read_bytes())
    assert other.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    content["content"]["certificates"] = cms.CertificateSet([])
    assert broken(content.dump(force=True), DATA, roots(one)) == "root-unknown"


def test_an_answer_to_another_question_or_a_refusal_is_none(authority: Stamper) -> None:
    query, nonce = question(DATA)
    reply = authority.answer(query)
    assert token_of(reply, nonce)
    with pytest.raises(TimeStampBroken, match="another-question"):
        token_of(reply, nonce + 1)
    with pytest.raises(TimeStampBroken, match="refused"):
        token_of(bytes.fromhex("30053003020102"), nonce)
    with pytest.raises(TimeStampBroken, match="malformed"):
        token_of(b"<html>", nonce)


def stamped(made: Sealed, one: Stamper, at: datetime) -> Stamp:
    plain = put_seal(made.seal, made.signer, sm3(DATA), "/licence", at)
    return with_token(plain, token(one, plain.signature))


def with_token(plain: Stamp, found: bytes) -> Stamp:
    return read_stamp(stamp_der(plain.covered, plain.certificate, plain.algorithm, plain.signature, found))


def test_a_stamp_carries_its_time_stamp_and_is_checked_by_it(made: Sealed, authority: Stamper) -> None:
    now = datetime.now(UTC)
    inside = now.replace(year=2025, month=7)  # within the seal's year, before the token
    stamp = stamped(made, authority, inside)

    def checked(found: Stamp, trusted: tuple[x509.Certificate, ...]) -> tuple[bool | None, str | None]:
        done = check_stamp(found, (made.root,), (made.root,), now, sm3(DATA), time_stamp_roots=trusted)
        return done.checks["time_stamp"], done.reasons.get("time_stamp")

    assert checked(stamp, roots(authority)) == (True, None)
    assert checked(stamp, ()) == (None, "root-unknown")
    # A token of another stamp vouches for nothing.
    other = put_seal(made.seal, made.signer, sm3(b"other"), "/licence", inside)
    assert stamp.time_stamp is not None
    assert checked(with_token(other, stamp.time_stamp), roots(authority)) == (False, "data-differ")
    late = stamped(made, authority, now + timedelta(hours=1))
    assert checked(late, roots(authority)) == (False, "before-signing")
    assert checked(with_token(stamp, b"nothing"), roots(authority)) == (None, "malformed")
    assert "time_stamp" not in check_stamp(made.stamp, (made.root,), (made.root,), now).checks
    assert stamp.algorithm == SIGNATURE_OIDS[made.signer.signer.algorithm]


def test_the_token_is_read_in_each_form_that_makers_write(made: Sealed) -> None:
    outer = core.Sequence.load(made.stamp.der)
    inner = b"".join(bytes(outer[turn].dump()) for turn in range(4))
    forms = {
        "explicit": core.OctetBitString(b"\x30\x00", explicit=0).dump(),
        "bare": core.OctetBitString(b"\x30\x00").dump(),
        "octets": core.OctetString(b"\x30\x00").dump(),
        "itself": b"\x30\x00",
    }
    for written in forms.values():
        whole = bytes([0x30, 0x82]) + (len(inner) + len(written)).to_bytes(2, "big") + inner + written
        assert read_stamp(whole).time_stamp == b"\x30\x00"


def test_a_house_has_each_stamp_time_stamped_and_seals_nothing_without(
    settings: Settings, database_url: str, served: Stamper
) -> None:
    told = {"time_stamp_url": served.url, "time_stamp_root_file": served.root}
    settings = settings.model_copy(update=told)

    async def story() -> None:
        async with registry(settings, database_url) as ports:
            await in_use(ports, SealKind.LEGAL_NAME)
            now = datetime.now(UTC)
            licence = (await issue(ports, AUTHORITY, request(), now)).licence
            served.broken = b"no"
            with pytest.raises(TimeStampUnavailable):
                await give(ports, AUTHORITY, licence, Format.OFD, now)
            served.broken = None
            data = (await give(ports, AUTHORITY, licence, Format.OFD, now)).data
            moment = datetime.now(UTC)
            trust = own_further(current_trust(ports, moment), ports.keys, settings, moment)
            found = verify_bytes(data, "file", trust, moment, Ways(require_status=False))
            assert found.valid, found.as_json()
            part = found.parts[SIGNATURE.format(0)]
            assert part.checks["time_stamp"] is True
            assert part.checks["maker_not_revoked"] is part.checks["signer_not_revoked"] is True
            assert abs(datetime.fromisoformat(part.told["time_stamp"]) - now) < timedelta(minutes=1)
            # Years later, when the seal has ended, it is known that it was put before.
            later = moment + timedelta(days=3 * 365)
            (today, *_rest) = verify_bytes(
                data, "file", trust, later, Ways(require_status=False)
            ).parts.values()
            assert (today.checks["seal_today"], today.checks["seal_not_over"]) == (True, True)
            bare = replace(trust, time_stamp_roots=())
            (today, *_rest) = verify_bytes(
                data, "file", bare, later, Ways(require_status=False)
            ).parts.values()
            assert (today.checks["seal_today"], today.checks["time_stamp"]) == (None, None)

    asyncio.run(story())


def test_a_stamp_without_an_authority_that_answers_does_not_leave(made: Sealed, served: Stamper) -> None:
    async def asked(url: str, trusted: tuple[x509.Certificate, ...]) -> Stamp:
        return await time_stamped(made.stamp, TimeStamping(url, trusted))

    assert asyncio.run(asked(served.url, roots(served))).time_stamp is not None
    with pytest.raises(TimeStampUnavailable) as refused:
        asyncio.run(asked(served.url, ()))
    assert refused.value.values["reason"] == "root-unknown"
    with pytest.raises(TimeStampUnavailable):
        asyncio.run(asked("http://127.0.0.1:9/", roots(served)))
