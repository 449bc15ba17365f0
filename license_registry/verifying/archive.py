"""E-archive packages: a zip of what a closed matter rests on, with a signed manifest; made and verified.

    manifest.jws                  the signed manifest: matter, case, date, path and digests of every other file
    manifest.json                 the same as it was signed (RFC 8785), to be read without any program of ours
    case/<name>.json              of a case: its outcome, materials, consents, commitments, licences seen
    plans/<id>.jws                plans, as signed
    licences/<identifier>.sdjwt   credentials
    copies/<id>.jws               marked copies that the department got
    answers/<id>.jws              signed answers of the exchange
    commitments/<id>.jws          commitments that people signed
    documents/<name>              whatever else belongs to the matter
    receipts/checkpoint           head of the log that all records of the case are in
    receipts/proofs.json          and the proof for each
    evidence/status-lists.json    status lists of the day, by their addresses
    evidence/certificates.pem     chains of the keys that signed
    evidence/jwks.json            those keys, for other programs
    evidence/trust-bundle         trust bundle of the day: with it, the root certificate alone is enough to verify

Everything is judged as of the date of the archive, licences by the status lists of that day.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SM3, Hash

from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJws,
    Signer,
    canonical_json,
    decode_base64url,
    sign_compact,
    verify_compact,
)
from license_registry.presenting.check import Result
from license_registry.verifying.answer import verify_answer
from license_registry.verifying.bundle import open_bundle
from license_registry.verifying.copy import verify_copy
from license_registry.verifying.credential import verify_credential
from license_registry.verifying.errors import FileUnreadable
from license_registry.verifying.logged import verify_logged
from license_registry.verifying.trust import CREDENTIAL, Trust, TrustUnusable, judge_key
from license_registry.verifying.verdict import (
    CERTIFICATE,
    DIGESTS,
    ISSUER,
    LOGGED,
    SIGNATURE,
    Reason,
    Verdict,
    refused,
)
from license_registry.verifying.zipped import LONGEST_BYTES, read_zip

KIND: Final = "archive"
TYPE: Final = "zhengtong-archive+jwt"
MANIFEST: Final = "manifest.jws"
STATUS_LISTS: Final = "evidence/status-lists.json"
CERTIFICATES: Final = "evidence/certificates.pem"
READABLE: Final = "manifest.json"
JWKS: Final = "evidence/jwks.json"
TRUST_BUNDLE: Final = "evidence/trust-bundle"
CHECKPOINT: Final = "receipts/checkpoint"
PROOFS: Final = "receipts/proofs.json"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


def make_archive(
    signer: Signer, files: Mapping[str, bytes], facts: Mapping[str, Any], now: datetime
) -> bytes:
    """Return the package; the same files and facts at the same moment give the same manifest.

    Args:
        files: by their paths in the package.
        facts: what the archive is of, such as matter and case; JSON without fractions.
    """
    manifest = canonical_json(
        {
            **facts,
            "iat": int(now.timestamp()),
            "files": [
                {
                    "path": path,
                    "bytes": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "sm3": _sm3(data),
                }
                for path, data in sorted(files.items())
            ],
        }
    )
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(MANIFEST, _EPOCH), sign_compact(signer, manifest, TYPE))
        for path, data in (READABLE, manifest), *sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return held.getvalue()


def trust_within(data: bytes, name: str, roots: tuple[x509.Certificate, ...]) -> Trust:
    """Return what a package brings along to be verified by, if it leads to a root that the verifier holds.

    The bundle counts as of the date of the package. What has been revoked since it does not know.

    Raises:
        FileUnreadable: it is no package. TrustUnusable: it brings nothing, or from somebody else.
    """
    files = read_zip(data, name)
    try:
        made_at = datetime.fromtimestamp(int(orjson.loads(files[READABLE])["iat"]), UTC)
        bundle = files[TRUST_BUNDLE]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise TrustUnusable(_("the file brings nothing to verify it by; give a trust bundle")) from error
    return open_bundle(bundle, roots, made_at)


def verify_archive(data: bytes, name: str, trust: Trust, longest: int = LONGEST_BYTES) -> Verdict:
    """Verify a package: its manifest's signature, that it holds the files of the manifest and no others, and each.

    Raises:
        FileUnreadable: it is no package.
    """
    files = read_zip(data, name, longest)
    token = files.pop(MANIFEST, None)
    readable = files.pop(READABLE, None)
    if token is None:
        raise FileUnreadable(_("{file} holds no licence"), file=name)
    try:
        verified = verify_compact(token.decode("ascii"), trust.public_keys, TYPE, frozenset(Algorithm))
        manifest: dict[str, Any] = orjson.loads(verified.payload)
        made_at = datetime.fromtimestamp(manifest["iat"], UTC)
        listed = {str(told["path"]): (told["sha256"], told["sm3"]) for told in manifest["files"]}
    except BadJws as error:
        return refused(KIND, _("the signature does not hold: {reason}"), reason=error.code)
    except (KeyError, TypeError, ValueError):
        return refused(KIND, _("the signed part is not an archive's"))
    signed = judge_key(trust, str(verified.header["kid"]), CREDENTIAL, made_at)
    reasons: dict[str, Reason] = {}
    if signed.refusal is not None:
        reasons[CERTIFICATE if signed.entitled else ISSUER] = signed.refusal
    wrong = _differing(files, listed)
    if wrong is None and readable not in {None, verified.payload}:  # older packages have none
        wrong = READABLE
    if wrong is not None:
        reasons[DIGESTS] = (_("a file is missing, foreign or altered: {path}"), {"path": wrong})
    parts = {} if wrong is not None else dict(_parts(files, trust, made_at))
    checks: dict[str, bool | None] = {
        SIGNATURE: all(part.checks.get(SIGNATURE) is not False for part in parts.values()),
        CERTIFICATE: signed.certified,
        ISSUER: signed.entitled,
        DIGESTS: wrong is None,
    }
    if checks[SIGNATURE] is False:
        reasons[SIGNATURE] = (_("something in the archive is not well signed"), {})
    if wrong is None and CHECKPOINT in files:
        logged = verify_logged(
            files[CHECKPOINT].decode("utf-8", "replace"),
            files.get(PROOFS, b""),
            list(_receipts(files)),
            trust,
            made_at,
        )
        parts[CHECKPOINT] = logged
        checks[LOGGED] = None if logged.checks.get(SIGNATURE) is None else logged.valid
        if logged.problem is not None:
            reasons[LOGGED] = logged.problem
        elif SIGNATURE in logged.reasons:
            reasons[LOGGED] = logged.reasons[SIGNATURE]
    good = all(passed is not False for passed in checks.values())
    told = {name: value for name, value in manifest.items() if name not in {"files", "iat"}}
    told["archived_at"] = made_at.isoformat()
    return Verdict(KIND, Result.VALID if good else Result.VOID, checks, {}, reasons, told, parts)


def _differing(files: Mapping[str, bytes], listed: Mapping[str, tuple[str, str]]) -> str | None:
    for path in sorted(set(files) ^ set(listed)):
        return path
    for path, data in files.items():
        if (hashlib.sha256(data).hexdigest(), _sm3(data)) != listed[path]:
            return path
    return None


def _parts(files: Mapping[str, bytes], trust: Trust, made_at: datetime) -> list[tuple[str, Verdict]]:
    try:
        lists = {str(uri): str(token) for uri, token in orjson.loads(files[STATUS_LISTS]).items()}
    except (KeyError, AttributeError, ValueError):
        lists = {}
    then = replace(trust, status_lists=lists)
    verify: Mapping[str, Callable[[str], Verdict]] = {
        "licences": lambda text: verify_credential(text, then, made_at, require_status=True),
        "copies": lambda text: verify_copy(text, then, None),
        "answers": lambda text: verify_answer(text, then, made_at),
        "plans": lambda text: verify_answer(text, then, made_at, "zhengtong-plan+jwt"),
        "commitments": lambda text: verify_answer(text, then, made_at, "zhengtong-commitment+jwt"),
    }
    return [
        (path, verify[folder](data.decode("ascii", "replace").strip()))
        for path, data in files.items()
        if (folder := path.partition("/")[0]) in verify
    ]


def _receipts(files: Mapping[str, bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield the receipts inside statements; whether these are well signed is checked with each of them."""
    for path, data in files.items():
        if path.startswith(("answers/", "plans/", "commitments/")):
            try:
                yield orjson.loads(decode_base64url(data.decode("ascii").split(".")[1]))["receipt"]
            except (IndexError, KeyError, TypeError, ValueError):
                yield {"record": path}


def _sm3(data: bytes) -> str:
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize().hex()
