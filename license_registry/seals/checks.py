"""What is checked of a seal and of a stamp, check by check: each has its verdict, whatever became of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives import hashes

from foundation.language import _
from foundation.signing.chain import ChainBroken
from license_registry.seals.certificates import (
    Certificate,
    holds,
    read_certificate,
    require_chain,
)
from license_registry.seals.structures import SHA256, SM3, Seal, Stamp

MAKER_SIGNATURE: Final = "maker_signature"
MAKER_CERTIFICATE: Final = "maker_certificate"
SEAL_BEGUN: Final = "seal_begun"
SEAL_NOT_OVER: Final = "seal_not_over"
DATA: Final = "data"
SIGNATURE: Final = "signature"
SIGNER_LISTED: Final = "signer_listed"
SIGNER_CERTIFICATE: Final = "signer_certificate"
SIGNING_TIME: Final = "signing_time"

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
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of checking a seal or a stamp.

    Args:
        checks: name of `SEAL_CHECK_NAMES` → passed, failed, or None for what could not be checked.
        reasons: name → code of `foundation.signing.chain`, where a certificate failed.
    """

    checks: Mapping[str, bool | None]
    reasons: Mapping[str, str]

    @property
    def good(self) -> bool:
        """Everything was checked and holds."""
        return all(passed is True for passed in self.checks.values())


def sm3(data: bytes) -> bytes:
    """Return the SM3 digest (GB/T 32905), 32 bytes."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def check_seal(seal: Seal, roots: Sequence[Certificate], at: datetime) -> Checked:
    """Check a seal as it stood at a moment.

    Args:
        roots: whom the checker trusts to certify makers of seals; what the seal brings along is not trusted.
    """
    checks: dict[str, bool | None] = {}
    reasons: dict[str, str] = {}
    maker = _certified(seal.certificate, roots, at, MAKER_CERTIFICATE, checks, reasons)
    checks[MAKER_SIGNATURE] = maker is not None and holds(
        maker.key, seal.algorithm, seal.covered, seal.signature
    )
    checks[SEAL_BEGUN] = at >= seal.content.valid_from
    checks[SEAL_NOT_OVER] = at <= seal.content.valid_until
    return Checked(checks, reasons)


def check_stamp(
    stamp: Stamp,
    maker_roots: Sequence[Certificate],
    signer_roots: Sequence[Certificate],
    now: datetime,
    digest: bytes | None = None,
) -> Checked:
    """Check a stamp and the seal in it: a stamp is only as good as its seal.

    The seal and both certificates are held against the time of signing. That one is the signer's own word where no
    time stamp vouches for it; so it does not lie in the future, and a stamp without a readable one is held against now.

    Args:
        maker_roots: trusted to certify makers of seals; `signer_roots`: those who put seals on data.
        digest: SM3 of what was sealed; None: not at hand, so that check stays open.
    """
    at = now if stamp.signed_at is None else stamp.signed_at
    seal = check_seal(stamp.seal, maker_roots, at)
    checks: dict[str, bool | None] = dict(seal.checks)
    reasons: dict[str, str] = dict(seal.reasons)
    checks[DATA] = None if digest is None else digest == stamp.digest
    signer = _certified(stamp.certificate, signer_roots, at, SIGNER_CERTIFICATE, checks, reasons)
    checks[SIGNATURE] = signer is not None and holds(
        signer.key, stamp.algorithm, stamp.covered, stamp.signature
    )
    checks[SIGNER_LISTED] = _listed(stamp)
    checks[SIGNING_TIME] = None if stamp.signed_at is None else stamp.signed_at <= now
    return Checked(checks, reasons)


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
