"""Seals of OFD documents, check by check: ours, forged ones, and real ones of another maker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import pem
from cryptography import x509

from foundation.signing.chain import load_roots
from license_registry.documents.ofd.package import packed, unpacked
from license_registry.documents.written import Attached
from license_registry.presenting.check import Result
from license_registry.presenting.own_trust import own_keys
from license_registry.seals.checks import sm3
from license_registry.seals.make import put_seal
from license_registry.verifying.errors import FileUnreadable
from license_registry.verifying.file import Ways, verify_bytes
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import Verdict
from tests.conftest import SHARED
from tests.license_registry.documents.conftest import written
from tests.license_registry.documents.packages import sealed_files
from tests.license_registry.seals.conftest import NOW, Sealed, made
from tests.license_registry.verifying.conftest import registry_in_small

__all__ = ["made"]

REAL = SHARED / "ofd"
with_real = pytest.mark.skipif(not REAL.is_dir(), reason="the real documents are not on this machine")
PAGE = "Doc_0/Pages/Page_0/Content.xml"
SIGNATURE = "Doc_0/Signs/Sign_{}/Signature.xml"


def roots(made: Sealed) -> tuple[x509.Certificate, ...]:
    return load_roots(pem.armor("CERTIFICATE", made.root.der))


def verdict(data: bytes, trusted: tuple[x509.Certificate, ...], at: datetime = NOW) -> Verdict:
    return verify_bytes(data, "file.ofd", Trust({}, roots=trusted), at, Ways())


def failed(found: Verdict) -> set[str]:
    return {name for name, passed in found.checks.items() if passed is not True}


@pytest.mark.parametrize("seals", [1, 2])
def test_a_sealed_document_is_valid_with_every_check(made: Sealed, seals: int) -> None:
    found = verdict(packed(sealed_files(made, seals)), roots(made))
    assert (found.kind, found.result, found.checks) == ("ofd", Result.VALID, {"seals": True})
    assert list(found.parts) == [SIGNATURE.format(turn) for turn in range(seals)]
    for part in found.parts.values():
        assert failed(part) == set()
        assert {"digests", "covered", "place", "seal_file", "seal_today", "signature", "data"} <= set(
            part.checks
        )
        assert part.told["name"] == made.seal.content.name


def test_roots_are_those_of_the_verifier(made: Sealed) -> None:
    found = verdict(packed(sealed_files(made)), ())
    assert found.result is Result.VOID
    assert failed(found.parts[SIGNATURE.format(0)]) == {"maker_certificate", "signer_certificate"}


def altered(path: str) -> Callable[[dict[str, bytes]], Any]:
    return lambda files: files.update({path: files[path] + b" "})


FORGERIES: dict[str, tuple[Callable[[dict[str, bytes]], Any], set[str], str]] = {
    "a changed page": (altered(PAGE), {"digests"}, PAGE),
    "changed metadata": (altered("OFD.xml"), {"digests"}, "OFD.xml"),
    "a changed font": (altered("Doc_0/Res/document.ttf"), {"digests"}, "document.ttf"),
    "a missing page": (lambda files: files.pop(PAGE), {"digests"}, PAGE),
    "a file that nobody sealed": (
        lambda files: files.update({"Doc_0/x.js": b"x"}),
        {"covered"},
        "Doc_0/x.js",
    ),
    "another seal beside it": (
        lambda files: files.update({"Doc_0/Signs/Sign_0/Seal.esl": b"x"}),
        {"digests", "seal_file"},
        "Seal.esl",
    ),
    "other digests in its list": (altered(SIGNATURE.format(0)), {"data"}, ""),
    "no stamp": (lambda files: files.pop("Doc_0/Signs/Sign_0/SignedValue.dat"), {"signature"}, "SignedValue"),
    "a changed list of seals": (altered("Doc_0/Signs/Signatures.xml"), {"digests"}, "Signatures.xml"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_each_forgery_fails_its_check_and_is_told(made: Sealed, forgery: str) -> None:
    forge, expected, told = FORGERIES[forgery]
    files = sealed_files(made)
    forge(files)
    found = verdict(packed(files), roots(made))
    assert not found.valid
    (part,) = found.parts.values()
    assert failed(part) == expected
    if told and forgery != "no stamp":
        assert told in str(part.as_json()["reasons"])


def test_a_stamp_says_where_it_was_put(made: Sealed) -> None:
    files = sealed_files(made)
    elsewhere = put_seal(made.seal, made.signer, sm3(files[SIGNATURE.format(0)]), "/Doc_1/Signature.xml", NOW)
    files["Doc_0/Signs/Sign_0/SignedValue.dat"] = elsewhere.der
    (part,) = verdict(packed(files), roots(made)).parts.values()
    assert failed(part) == {"place"}


def test_a_seal_that_is_over_today_leaves_it_open(made: Sealed) -> None:
    data = packed(sealed_files(made))
    found = verdict(data, roots(made), made.seal.content.valid_until + timedelta(days=1))
    assert (found.result, found.checks) == (Result.INSUFFICIENT_DATA, {"seals": None})
    assert failed(found.parts[SIGNATURE.format(0)]) == {"seal_today"}


def test_a_second_entry_that_is_none_does_not_hide(made: Sealed) -> None:
    def named_twice(files: dict[str, bytes]) -> dict[str, bytes]:
        path = "Doc_0/Signs/Signatures.xml"
        extra = b'<ofd:Signature ID="s9" BaseLoc="/Doc_0/Signs/none.xml"/></ofd:Signatures>'
        return {**files, path: files[path].replace(b"</ofd:Signatures>", extra)}

    found = verdict(packed(sealed_files(made, change=named_twice)), roots(made))
    assert (found.result, found.checks) == (Result.VOID, {"seals": False})
    assert [part.valid for part in found.parts.values()] == [False, True]


def test_a_licence_does_not_stand_for_a_seal(made: Sealed, tmp_path: Path) -> None:
    """A genuine credential, listed as the one seal of forged pages."""
    house = registry_in_small(tmp_path)
    text = house.credential(iat=int(NOW.timestamp()) - 60, valid_until=None)
    words = written(attached=(Attached("credential.sdjwt", "application/dc+sd-jwt", "电子凭证", text),))
    files = sealed_files(made, words=words)
    trust = Trust(own_keys(house.keys), roots=roots(made))
    status = Ways(require_status=False)
    good = verify_bytes(packed(files), "file.ofd", trust, NOW, status)
    assert good.valid, good.as_json()
    listed = files["Doc_0/Signs/Signatures.xml"]
    forged = listed.replace(b"/Doc_0/Signs/Sign_0/Signature.xml", b"/Doc_0/Attachs/credential.sdjwt")
    files = {**files, "Doc_0/Signs/Signatures.xml": forged}
    found = verify_bytes(packed(files), "file.ofd", trust, NOW, status)
    assert (found.result, found.checks) == (Result.VOID, {"seals": False})
    assert [part.kind for part in found.parts.values()] == ["seal"]


def test_weak_digests_and_entities_are_not_read(made: Sealed) -> None:
    files = sealed_files(made)
    files[SIGNATURE.format(0)] = files[SIGNATURE.format(0)].replace(b'"SM3"', b'"MD5"')
    (part,) = verdict(packed(files), roots(made)).parts.values()
    assert part.checks["digests"] is None
    bomb = b'<!DOCTYPE x [<!ENTITY a "aa">]><OFD>&a;</OFD>'
    with pytest.raises(FileUnreadable):
        verdict(packed({"OFD.xml": bomb}), ())
    with pytest.raises(FileUnreadable):
        verdict(packed(sealed_files(made))[:-40], ())


@with_real
@pytest.mark.parametrize(
    ("name", "result", "fails"),
    [
        ("SESV4SignDoc.ofd", Result.VOID, {"seal_not_over", "seal_today"}),
        ("V4RideRight.ofd", Result.VOID, {"seal_today"}),
        ("DigitalSign.ofd", Result.INSUFFICIENT_DATA, {"signature"}),
    ],
)
def test_real_documents_are_what_they_are_known_for(name: str, result: Result, fails: set[str]) -> None:
    """Signature and digests of the stamps hold; their seal is over, and whose root certified it is not here."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    found = verdict((REAL / name).read_bytes(), (), at)
    assert found.result is result
    (part,) = found.parts.values()
    unknown = set() if name == "DigitalSign.ofd" else {"maker_certificate", "signer_certificate"}
    assert failed(part) == {*fails, *unknown}
    assert part.checks["digests"] is part.checks["covered"] is True


@with_real
def test_a_real_document_with_a_changed_page_names_it() -> None:
    files = unpacked((REAL / "V4RideRight.ofd").read_bytes())
    files["Doc_0/Pages/Page_3/Content.xml"] += b" "
    (part,) = verdict(packed(files), ()).parts.values()
    assert part.checks["digests"] is False
    assert "Doc_0/Pages/Page_3/Content.xml" in str(part.as_json()["reasons"]["digests"])


@with_real
def test_a_real_document_without_a_seal_is_not_valid() -> None:
    found = verdict((REAL / "helloworld.ofd").read_bytes(), ())
    assert (found.result, found.checks, found.parts) == (Result.INSUFFICIENT_DATA, {"seals": None}, {})


@with_real
def test_a_real_document_that_was_edited_after_its_seal_is_void() -> None:
    """Made for a test of searching words: somebody put other words below the seal of a real authority."""
    found = verdict((REAL / "keyword.ofd").read_bytes(), ())
    assert (found.result, found.checks) == (Result.VOID, {"seals": False})
    seal, plain = found.parts.values()
    assert {"digests", "covered"} <= failed(seal) & failed(plain)
    assert {"signature", "data", "signer_listed"}.isdisjoint(failed(seal))
    assert "Doc_0/Pages/Page_0/Content.xml" in str(seal.as_json()["reasons"]["digests"])
    assert "Doc_0/Res/Font7.ttf" in str(seal.as_json()["reasons"]["covered"])
    assert plain.checks["signature"] is None
