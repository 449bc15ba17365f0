"""Whether a certificate around a seal was revoked, by the lists that its authority signed (RFC 5280 §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from asn1crypto import crl, pem

from foundation.signing.chain import ChainBroken
from license_registry.seals.certificates import Certificate, holds

LARGEST: Final = 64 << 20
_CLOCK_SKEW: Final = timedelta(seconds=60)
_ONLY_FROM_THEN: Final = frozenset({"affiliation_changed", "superseded", "cessation_of_operation"})
"""Reasons that leave good what was signed before; with any other the key may have been somebody else's for long."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate on a list: since when, and whether that says nothing against what was signed before."""

    at: datetime
    only_from_then: bool


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list as it came; whose it is has to be checked.

    Args:
        next_at: when the next is due; None: not told.
        revoked: serial number → entry.
    """

    issuer: bytes = field(repr=False)
    issued_at: datetime
    next_at: datetime | None
    revoked: Mapping[int, Revoked] = field(repr=False)
    covered: bytes = field(repr=False)
    algorithm: str
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revocations:
    """The lists at hand and the moment by which they are judged.

    Args:
        proven: a time stamp vouches that what was signed was there by then; None: nobody does.
    """

    lists: tuple[RevocationList, ...]
    now: datetime
    proven: datetime | None = None

    def judge(
        self, certificate: Certificate, roots: Sequence[Certificate], at: datetime | None
    ) -> tuple[bool | None, str | None]:
        """Tell whether a certificate stood when it was used: yes, no, or None for not known; and a code of why not.

        Codes: `revoked`, `revoked-later`, `list-lacking`, `list-late`.

        Args:
            at: when it was used, by the word of who used it; None: not told.
        """
        issuers = [
            root
            for root in roots
            if root.subject == certificate.issuer
            and holds(root.key, certificate.algorithm, certificate.covered, certificate.signature)
        ]
        mine = [each for each in self.lists if any(_signed(each, root) for root in issuers)]
        for entry in (
            each.revoked[certificate.serial] for each in mine if certificate.serial in each.revoked
        ):
            if self.proven is not None and self.proven < entry.at:
                continue
            if entry.only_from_then and at is not None and at < entry.at:
                return None, "revoked-later"
            return False, "revoked"
        if not mine:
            return None, "list-lacking"
        if not any(
            each.issued_at <= self.now + _CLOCK_SKEW and (each.next_at is None or self.now <= each.next_at)
            for each in mine
        ):
            return None, "list-late"
        return True, None


def read_revocation_lists(data: bytes) -> tuple[RevocationList, ...]:
    """Read a file of one list in DER, or of several in PEM.

    Raises:
        ChainBroken: `malformed`.
    """
    try:
        ders = [der for _, _, der in pem.unarmor(data, multiple=True)] if pem.detect(data) else [data]
    except ValueError as error:
        raise ChainBroken("malformed") from error
    return tuple(read_revocation_list(der) for der in ders)


def read_revocation_list(der: bytes) -> RevocationList:
    """Read a list in DER; nothing of it is checked.

    Raises:
        ChainBroken: `malformed`: it is none, or is one of parts or for others, which is not read here.
    """
    try:
        if not 0 < len(der) <= LARGEST:
            raise ValueError("empty, or larger than anything that is read")
        read = crl.CertificateList.load(der, strict=True)
        told = read["tbs_cert_list"]
        # A critical extension changes what the list covers (RFC 5280 §5.2).
        if read.critical_extensions:
            raise ValueError("a list of parts")
        entries = told["revoked_certificates"]
        revoked = {}
        for entry in entries if entries.native is not None else ():
            if entry.critical_extensions:
                raise ValueError("an entry of another authority")
            reason = entry.crl_reason_value
            if reason is not None and reason.native == "remove_from_crl":
                continue
            only = reason is not None and reason.native in _ONLY_FROM_THEN
            revoked[int(entry["user_certificate"].native)] = Revoked(
                entry["revocation_date"].native.astimezone(UTC), only
            )
        next_at = told["next_update"].native
        return RevocationList(
            issuer=bytes(told["issuer"].dump()),
            issued_at=told["this_update"].native.astimezone(UTC),
            next_at=None if next_at is None else next_at.astimezone(UTC),
            revoked=revoked,
            covered=bytes(told.dump()),
            algorithm=str(read["signature_algorithm"]["algorithm"].dotted),
            signature=bytes(read["signature"].native),
        )
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise ChainBroken("malformed") from error


def _signed(told: RevocationList, root: Certificate) -> bool:
    return (
        told.issuer == root.subject
        and (root.usage is None or "crl_sign" in root.usage)
        and holds(root.key, told.algorithm, told.covered, told.signature)
    )
