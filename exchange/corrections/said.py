"""What people say in a report and in its answer: sealed at rest, opened for those whose business it is."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from exchange.registers.schemas import place
from foundation.sensitive import Vault

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Said:
    """What a reporter says.

    Args:
        what: is wrong, in words.
        evidence: in words; `evidence_sha256`: digest (hex) of a file that shows it and is kept elsewhere.
        claimed: the right value, if they know it.
    """

    what: str
    evidence: str | None = None
    evidence_sha256: str | None = None
    claimed: Value | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """All that was said in a report, in order, and the identifier of its subject where the reporter gave one."""

    identifier: str | None
    said: tuple[Said, ...]


def seal_told(vault: Vault, correction: uuid.UUID, told: Told) -> bytes:
    """Seal what was said for the row of its report."""
    document = {"identifier": told.identifier, "said": [asdict(each) for each in told.said]}
    return vault.seal(orjson.dumps(document), _place(correction))


def open_told(vault: Vault, correction: uuid.UUID, sealed: bytes | None) -> Told:
    """Open what `seal_told` sealed; raises SealBroken where it was altered or moved. Forgotten, nothing was said."""
    if sealed is None:
        return Told(None, ())
    document: dict[str, Any] = orjson.loads(vault.open(sealed, _place(correction)))
    return Told(document["identifier"], tuple(Said(**each) for each in document["said"]))


def seal_reason(vault: Vault, correction: uuid.UUID, reason: str) -> bytes:
    """Seal the reason of an answer."""
    return vault.seal(reason.encode(), _place(correction) + b"\0answer")


def open_reason(vault: Vault, correction: uuid.UUID, sealed: bytes) -> str:
    """Open what `seal_reason` sealed; raises SealBroken where it was altered or moved."""
    return vault.open(sealed, _place(correction) + b"\0answer").decode()


def _place(correction: uuid.UUID) -> bytes:
    return place("correction_report", correction.bytes)
