"""Making a seal and putting it on data. No database, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from foundation.signing import Signer
from license_registry.seals.octets import signature_der
from license_registry.seals.structures import (
    SIGNATURE_OIDS,
    Seal,
    SealContent,
    Stamp,
    content_der,
    read_seal,
    read_stamp,
    seal_der,
    stamp_der,
    to_sign_der,
)


@dataclass(frozen=True, slots=True)
class Sealer:
    """A key and its certificate (DER)."""

    signer: Signer
    certificate: bytes


def make_seal(content: SealContent, maker: Sealer) -> Seal:
    """Return a seal of this content, signed by its maker.

    Raises:
        ValueError: the content cannot be written.
    """
    covered = content_der(content)
    signature = signature_der(maker.signer.sign(covered))
    return read_seal(seal_der(covered, maker.certificate, SIGNATURE_OIDS[maker.signer.algorithm], signature))


def put_seal(seal: Seal, sealer: Sealer, digest: bytes, place: str, now: datetime) -> Stamp:
    """Put a seal on data: sign their digest, the seal and the time.

    Args:
        digest: SM3 of the data.
        place: what the data are, for `propertyInfo`; ASCII.

    Raises:
        ValueError: the seal does not name the sealer's certificate, or it is of a version that is only read.
    """
    if sealer.certificate not in seal.content.certificates:
        raise ValueError("the seal does not name this certificate")
    if seal.content.version != 4:
        raise ValueError("only seals of version 4 are put on data")
    covered = to_sign_der(seal.der, now, digest, place)
    signature = signature_der(sealer.signer.sign(covered))
    return read_stamp(
        stamp_der(covered, sealer.certificate, SIGNATURE_OIDS[sealer.signer.algorithm], signature)
    )
