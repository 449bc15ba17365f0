"""The seals of an OFD document (GB/T 33190), check by check, and the licence that it may hold."""

from __future__ import annotations

import posixpath
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from cryptography.hazmat.primitives.serialization import Encoding
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from foundation.language import _
from license_registry.presenting.check import Result
from license_registry.seals.certificates import Certificate, read_certificate
from license_registry.seals.checks import (
    MAKER_CERTIFICATE,
    SIGNATURE,
    SIGNER_CERTIFICATE,
    TIME_STAMP,
    check_stamp,
    sm3,
)
from license_registry.seals.structures import SM3, SealMalformed, Stamp, read_stamp
from license_registry.verifying.copy import verify_copy
from license_registry.verifying.credential import verify_credential
from license_registry.verifying.errors import FileUnreadable
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import (
    COVERED,
    DIGESTS,
    PLACE,
    SEAL_FILE,
    SEAL_TODAY,
    SEALS,
    STATUS,
    Reason,
    Verdict,
)
from license_registry.verifying.zipped import LONGEST_BYTES, read_zip

KIND: Final = "ofd"
ROOT: Final = "OFD.xml"
_CREDENTIAL, _COPY = ".sdjwt", "/marked-copy.jws"
_MOST_TOLD = 5
MOST_SEALS: Final = 200
_DO_NOT_HOLD: Final = {
    MAKER_CERTIFICATE: _("the certificate of the seal's maker does not hold: {reason}"),
    SIGNER_CERTIFICATE: _("the certificate of the signer does not hold: {reason}"),
    TIME_STAMP: _("the time stamp does not hold: {reason}"),
}
_CODES: Final[Mapping[str, Reason]] = {
    "revoked": (_("its authority has revoked it, and no time stamp tells that it was used before"), {}),
    "revoked-later": (_("revoked since; no time stamp tells whether it was used before"), {}),
    "list-lacking": (_("no revocation list of its authority is at hand"), {}),
    "list-late": (_("the revocation list of its authority is out of date"), {}),
}


@dataclass(frozen=True, slots=True)
class _Signature:
    """One entry of `Signatures.xml` with what it names; paths without the first slash.

    Args:
        seal: path of the seal's own file; None: there is none.
        references: path of a file → digest that it must have; None in place of one that cannot be read.
        method: of the digests, by name or OID.
    """

    path: str
    plain: bool
    xml: bytes
    value: str
    seal: str | None
    method: str
    references: Mapping[str, bytes | None]

    @property
    def own(self) -> frozenset[str]:
        """Files that are this signature, and so cannot lie under it."""
        return frozenset({self.path, self.value, *([] if self.seal is None else [self.seal])})


def verify_ofd(
    data: bytes,
    name: str,
    trust: Trust,
    now: datetime,
    *,
    require_status: bool,
    longest: int = LONGEST_BYTES,
) -> Verdict:
    """Verify all seals of a document. It is valid if it has one, and all of them hold and cover every file.

    A seal says who sealed these pages; what a licence is worth today its credential says, if the document holds one.

    Args:
        trust: its roots are trusted to certify makers of seals and signers.
        require_status: as in `verify_credential`.
        longest: bytes that the package may unpack to.

    Raises:
        FileUnreadable: it is no OFD, is too large, or has more seals than anybody puts; `name` is the file's, for the
            message.
    """
    files = {path: held for path, held in read_zip(data, name, longest).items() if not path.endswith("/")}
    roots = tuple(read_certificate(each.public_bytes(Encoding.DER)) for each in trust.roots)
    lists, entries = _listed(files, name)
    if len(entries) > MOST_SEALS:  # each is checked against each file
        raise FileUnreadable(_("{file} is no readable OFD"), file=name)
    signatures: list[_Signature] = []
    parts: dict[str, Verdict] = {}
    for path, plain in entries:
        try:
            signatures.append(_signature(files, path, plain))
        except (KeyError, ValueError, ParseError, DefusedXmlException):
            reason = _("{path} is missing or cannot be read"), {"path": path}
            parts[path] = Verdict("seal", Result.VOID, {DIGESTS: False}, reasons={DIGESTS: reason})
    apart = frozenset(lists).union(*(each.own for each in signatures))
    for each in signatures:
        parts[each.path] = _verify(each, files, apart, roots, trust, now)
    sealed = _together(list(parts.values()))
    inside = _inside(files, trust, now, require_status)
    result = _together([*parts.values(), *inside.values()]) if entries else Result.INSUFFICIENT_DATA
    reasons: dict[str, Reason] = {} if entries else {SEALS: (_("the document has no seal"), {})}
    checks = {SEALS: _PASSED.get(sealed, False) if entries else None}
    if not trust.keys and any(path.endswith((_CREDENTIAL, _COPY)) for path in files):
        checks[STATUS] = None
        reasons[STATUS] = (_("what the licence inside is worth is told by a trust bundle"), {})
        result = Result.INSUFFICIENT_DATA if result is Result.VALID else result
    # A path that is called a seal and a licence at once is told as the seal that it is not.
    told = {**parts, **{path: part for path, part in inside.items() if path not in parts}}
    return Verdict(KIND, result, checks, reasons=reasons, parts=told)


_PASSED: Final = {Result.VALID: True, Result.INSUFFICIENT_DATA: None}
"""What a result means for a check; with every other one it failed."""


def _together(parts: Sequence[Verdict]) -> Result:
    """Return the result of all: the first that failed, else the first that stays open, else valid."""
    results = [part.result for part in parts]
    failed = [each for each in results if each not in _PASSED]
    return (failed or [each for each in results if each is not Result.VALID] or [Result.VALID])[0]


def _verify(
    signature: _Signature,
    files: Mapping[str, bytes],
    apart: frozenset[str],
    roots: Sequence[Certificate],
    trust: Trust,
    now: datetime,
) -> Verdict:
    """Verify one seal.

    Args:
        apart: files that belong to some seal; they need not lie under this one.
    """
    reasons: dict[str, Reason] = {}
    checks: dict[str, bool | None] = {DIGESTS: _digests(signature, files, reasons)}
    bare = sorted(set(files) - set(signature.references) - apart)
    checks[COVERED] = not bare
    if bare:
        reasons[COVERED] = (_("not sealed: {files}"), {"files": _some(bare)})
    try:
        stamp = None if signature.plain else read_stamp(files[signature.value])
    except (KeyError, SealMalformed):
        stamp = None
    told: dict[str, Any] = {}
    if stamp is None:
        checks[SIGNATURE] = None
        reasons[SIGNATURE] = (
            (_("a plain signature, without a seal or a certificate: whose it is cannot be told"), {})
            if signature.plain
            else (_("the stamp is missing, or of a form that is not read here"), {})
        )
    else:
        proven = _check(signature, files, stamp, roots, trust, now, checks, reasons)
        content = stamp.seal.content
        told = {"seal": content.id, "name": content.name}
        if stamp.signed_at is not None:
            told["signed_at"] = stamp.signed_at.isoformat()
        if proven is not None:
            told["time_stamp"] = proven.isoformat()
    if any(passed is False for passed in checks.values()):
        result = Result.VOID
    else:
        result = Result.VALID if all(checks.values()) else Result.INSUFFICIENT_DATA
    return Verdict("signature" if signature.plain else "seal", result, checks, {}, reasons, told)


def _check(
    signature: _Signature,
    files: Mapping[str, bytes],
    stamp: Stamp,
    roots: Sequence[Certificate],
    trust: Trust,
    now: datetime,
    checks: dict[str, bool | None],
    reasons: dict[str, Reason],
) -> datetime | None:
    """Make the checks of the stamp; return by when it was there if a time stamp tells."""
    found = check_stamp(
        stamp, roots, roots, now, sm3(signature.xml), trust.revocation_lists, trust.time_stamp_roots
    )
    checks |= found.checks
    for name, code in found.reasons.items():
        reasons[name] = _CODES[code] if code in _CODES else (_DO_NOT_HOLD[name], {"reason": code})
    checks[PLACE] = stamp.place.lstrip("/") == signature.path
    if signature.seal is not None:
        checks[SEAL_FILE] = files.get(signature.seal) == stamp.seal.der
    # Without a time stamp only its holder says that it was put before its end, and a late one looks like an early one.
    over = (found.proven or now) > stamp.seal.content.valid_until
    checks[SEAL_TODAY] = None if over else True
    if over:
        reasons[SEAL_TODAY] = (
            _("it ended on {day}; no time stamp tells whether it was put before"),
            {"day": stamp.seal.content.valid_until.date().isoformat()},
        )
    return found.proven


def _digests(signature: _Signature, files: Mapping[str, bytes], reasons: dict[str, Reason]) -> bool | None:
    if signature.method.upper() not in {"SM3", SM3}:
        reasons[DIGESTS] = (_("digests by `{method}` are not read here"), {"method": signature.method[:40]})
        return None
    wrong = sorted(
        path
        for path, digest in signature.references.items()
        if path not in files or sm3(files[path]) != digest
    )
    if wrong:
        reasons[DIGESTS] = (_("missing, or not as it was sealed: {files}"), {"files": _some(wrong)})
    elif not signature.references:
        reasons[DIGESTS] = (_("no file is sealed"), {})
    return bool(signature.references) and not wrong


def _inside(
    files: Mapping[str, bytes], trust: Trust, now: datetime, require_status: bool
) -> dict[str, Verdict]:
    """Return the verdicts on the licences, or marked copies, that the document holds."""
    found: dict[str, Verdict] = {}
    if trust.keys:
        for path, data in files.items():
            text = data.decode("ascii", "replace").strip()
            if path.endswith(_CREDENTIAL):
                found[path] = verify_credential(text, trust, now, require_status=require_status)
            elif path.endswith(_COPY):
                found[path] = verify_copy(text, trust, now)
    return found


def credentials_within(data: bytes, name: str, longest: int = LONGEST_BYTES) -> list[str]:
    """Return the credentials that a document holds, as text; nothing of them is checked.

    Raises:
        FileUnreadable: it is no package, or unpacks to more bytes.
    """
    files = read_zip(data, name, longest)
    return [held.decode("ascii", "replace") for path, held in files.items() if path.endswith(_CREDENTIAL)]


def _listed(files: Mapping[str, bytes], name: str) -> tuple[list[str], list[tuple[str, bool]]]:
    """Return the lists of signatures, and path and whether it is a plain one for each signature in them."""
    lists: list[str] = []
    entries: dict[str, bool] = {}
    try:
        for told in _all(_parsed(files[ROOT]), "Signatures"):
            path = _resolved(files, ROOT, told.text)
            lists.append(path)
            for entry in _all(_parsed(files[path]), "Signature"):
                entries[_resolved(files, path, entry.get("BaseLoc"))] = entry.get("Type", "Seal") == "Sign"
    except (KeyError, ValueError, ParseError, DefusedXmlException) as error:
        raise FileUnreadable(_("{file} is no readable OFD"), file=name) from error
    return lists, list(entries.items())


def _signature(files: Mapping[str, bytes], path: str, plain: bool) -> _Signature:
    xml = files[path]
    told = _parsed(xml)
    seal = next(_all(told, "Seal"), None)
    references = _one(told, "References")
    digests: dict[str, bytes | None] = {}
    for each in _all(references, "Reference"):
        covered = _resolved(files, path, each.get("FileRef"))
        # Named twice, another reader may look at the other digest.
        digests[covered] = None if covered in digests else _digest(_one(each, "CheckValue"))
    return _Signature(
        path,
        plain,
        xml,
        value=_resolved(files, path, _one(told, "SignedValue").text),
        seal=None if seal is None else _resolved(files, path, _one(seal, "BaseLoc").text),
        method=references.get("CheckMethod", ""),
        references=digests,
    )


def _digest(told: Element) -> bytes | None:
    try:
        return b64decode("".join((told.text or "").split()), validate=True)
    except ValueError:
        return None


def _parsed(xml: bytes) -> Element:
    return fromstring(xml, forbid_dtd=True)


def _all(element: Element, name: str) -> Iterator[Element]:
    """Yield the elements of a name below one, in whatever namespace: some makers forget it."""
    return (each for each in element.iter() if each.tag.rpartition("}")[2] == name and each is not element)


def _one(element: Element, name: str) -> Element:
    """Return the one element of a name below another, or raise ValueError."""
    (found,) = _all(element, name)
    return found


def _resolved(files: Mapping[str, bytes], origin: str, told: str | None) -> str:
    """Return a path in the package. A relative one counts from the file that names it; some makers' from the root.

    Raises:
        ValueError: none is told.
    """
    path = (told or "").strip()
    if not path:
        raise ValueError("no path")
    if path.startswith("/"):
        return posixpath.normpath(path).lstrip("/")
    near = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
    return posixpath.normpath(path) if near not in files and posixpath.normpath(path) in files else near


def _some(paths: Sequence[str]) -> str:
    more = "" if len(paths) <= _MOST_TOLD else f" … ({len(paths)})"
    return ", ".join(paths[:_MOST_TOLD]) + more
