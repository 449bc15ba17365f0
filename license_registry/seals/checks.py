"""What is checked of a seal and of a stamp, check by check: each has its verdict, whatever became of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.language import _
from foundation.signing.chain import ChainBroken
from license_registry.seals.certificates import (
    Certificate,
    holds,
    read_certificate,
    require_chain,
)
from license_registry.seals.revocation import RevocationList, Revocations
from license_registry.seals.structures import SHA256, SM3, Seal, Stamp
from license_registry.seals.time_stamps import TimeStampBroken, check_time_stamp

MAKER_SIGNATURE: Final = "maker_signature"
MAKER_CERTIFICATE: Final = "maker_certificate"
SEAL_BEGUN: Final = "seal_begun"
SEAL_NOT_OVER: Final = "seal_not_over"
DATA: Final = "data"
SIGNATURE: Final = "signature"
SIGNER_LISTED: Final = "signer_listed"
SIGNER_CERTIFICATE: Final = "signer_certificate"
SIGNING_TIME: Final = "signing_time"

MAKER_NOT_REVOKED: Final = "maker_not_revoked"
SIGNER_NOT_REVOKED: Final = "signer_not_revoked"
TIME_STAMP: Final = "time_stamp"

SEAL_CHECK_NAMES: Mapping[str, str] = {
    MAKER_SIGNATURE: _("signature of the seal's maker"),
    MAKER_CERTIFICATE: _("certificate of the seal's maker"),
    SEAL_BEGUN: _("the seal's validity had begun"),
    SEAL_NOT_OVER: _("the seal's validity was not over"),
    DATA: _("the data are those that were sealed"),
    SIGNATURE: _("signature of the stamp"),
    SIGNER_LISTED: _("the seal names the signer"),
    SIGNER_CERTIFICATE: _("certificate of the signer"),
    SIGNING_TIME: _("the stamp is not from the future"),
    MAKER_NOT_REVOKED: _("the certificate of the seal's maker was not revoked"),
    SIGNER_NOT_REVOKED: _("the certificate of the signer was not revoked"),
    TIME_STAMP: _("time stamp"),
}

_OPEN: Final = frozenset({"malformed", "algorithm-unknown", "root-unknown"})
"""Why a time stamp says nothing; for any other reason it speaks against the stamp."""
_CLOCK_SKEW: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking a seal or a stamp.

    Args:
        checks: name of `SEAL_CHECK_NAMES` → passed, failed, or None for what could not be checked.
        reasons: name → code of `foundation.signing.chain` where a certificate failed, of `revocation` or `time_stamps`.
        proven: by when a stamp was there, by the word of a time stamp that holds.
    """

    checks: Mapping[str, bool | None]
    reasons: Mapping[str, str]
    proven: datetime | None = None

    @property
    def good(self) -> bool:
        """Everything was checked and holds."""
        return all(passed is True for passed in self.checks.values())


def sm3(data: bytes) -> bytes:
    """Return the SM3 digest (GB/T 32905), 32 bytes."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def check_seal(
    seal: Seal, roots: Sequence[Certificate], at: datetime, revocations: Revocations | None = None
) -> Checked:
    """Check a seal as it stood at a moment.

    Args:
        roots: whom the checker trusts to certify makers of seals; what the seal brings along is not trusted.
        revocations: None: it is not asked whether the certificate was revoked.
    """
    checks: dict[str, bool | None] = {}
    reasons: dict[str, str] = {}
    maker = _certified(seal.certificate, roots, at, MAKER_CERTIFICATE, checks, reasons)
    checks[MAKER_SIGNATURE] = maker is not None and holds(
        maker.key, seal.algorithm, seal.covered, seal.signature
    )
    if revocations is not None and maker is not None:
        _stands(maker, roots, seal.content.created_at, revocations, MAKER_NOT_REVOKED, checks, reasons)
    checks[SEAL_BEGUN] = at >= seal.content.valid_from
    checks[SEAL_NOT_OVER] = at <= seal.content.valid_until
    return Checked(checks, reasons)


def check_stamp(
    stamp: Stamp,
    maker_roots: Sequence[Certificate],
    signer_roots: Sequence[Certificate],
    now: datetime,
    digest: bytes | None = None,
    revocation_lists: Sequence[RevocationList] | None = None,
    time_stamp_roots: Sequence[x509.Certificate] = (),
) -> Checked:
    """Check a stamp and the seal in it: a stamp is only as good as its seal.

    The seal and both certificates are held against the time of signing. That one is the signer's own word where no
    time stamp vouches for it; so it does not lie in the future, and a stamp without a readable one is held against now.
    Where a time stamp vouches that the stamp was there by a moment, what was revoked later does not speak against it.

    Args:
        maker_roots: trusted to certify makers of seals; `signer_roots`: those who put seals on data.
        digest: SM3 of what was sealed; None: not at hand, so that check stays open.
        revocation_lists: None: it is not asked whether a certificate was revoked.
        time_stamp_roots: trusted to certify authorities of time stamps, and nobody else.
    """
    at = now if stamp.signed_at is None else stamp.signed_at
    stamped: dict[str, bool | None] = {}
    reasons: dict[str, str] = {}
    proven = _stamped(stamp, time_stamp_roots, stamped, reasons)
    revocations = None
    if revocation_lists is not None:
        revocations = Revocations(tuple(revocation_lists), now, proven)
    seal = check_seal(stamp.seal, maker_roots, at, revocations)
    checks: dict[str, bool | None] = {**seal.checks, **stamped}
    reasons |= seal.reasons
    checks[DATA] = None if digest is None else digest == stamp.digest
    signer = _certified(stamp.certificate, signer_roots, at, SIGNER_CERTIFICATE, checks, reasons)
    checks[SIGNATURE] = signer is not None and holds(
        signer.key, stamp.algorithm, stamp.covered, stamp.signature
    )
    if revocations is not None and signer is not None:
        _stands(signer, signer_roots, stamp.signed_at, revocations, SIGNER_NOT_REVOKED, checks, reasons)
    checks[SIGNER_LISTED] = _listed(stamp)
    checks[SIGNING_TIME] = None if stamp.signed_at is None else stamp.signed_at <= now
    return Checked(checks, reasons, proven)


def _stamped(
    stamp: Stamp,
    roots: Sequence[x509.Certificate],
    checks: dict[str, bool | None],
    reasons: dict[str, str],
) -> datetime | None:
    if stamp.time_stamp is None:
        return None
    try:
        proven = check_time_stamp(stamp.time_stamp, stamp.signature, roots)
    except TimeStampBroken as broken:
        checks[TIME_STAMP] = None if broken.code in _OPEN else False
        reasons[TIME_STAMP] = broken.code
        return None
    if stamp.signed_at is not None and proven < stamp.signed_at - _CLOCK_SKEW:
        checks[TIME_STAMP] = False
        reasons[TIME_STAMP] = "before-signing"
        return None
    checks[TIME_STAMP] = True
    return proven


def _stands(
    certificate: Certificate,
    roots: Sequence[Certificate],
    at: datetime | None,
    revocations: Revocations,
    name: str,
    checks: dict[str, bool | None],
    reasons: dict[str, str],
) -> None:
    checks[name], reason = revocations.judge(certificate, roots, at)
    if reason is not None:
        reasons[name] = reason


def _certified(
    der: bytes,
    roots: Sequence[Certificate],
    at: datetime,
    name: str,
    checks: dict[str, bool | None],
    reasons: dict[str, str],
) -> Certificate | None:
    certificate = None
    try:
        certificate = read_certificate(der)
        require_chain(certificate, roots, at)
        checks[name] = True
    except ChainBroken as broken:
        checks[name] = False
        reasons[name] = broken.code
    return certificate


def _listed(stamp: Stamp) -> bool:
    content = stamp.seal.content
    if stamp.certificate in content.certificates:
        return True
    known = {**dict.fromkeys(("SM3", SM3), sm3), **dict.fromkeys(("SHA256", SHA256), _sha256)}
    return any(
        algorithm in known and known[algorithm](stamp.certificate) == digest
        for algorithm, digest in content.digests
    )


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
