"""Receipts: the signed promise, inside each answer, that its record will be in the log."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from exchange.audit.record import AccessRecord
from foundation.civil import rfc3339
from foundation.signing import canonical_json, encode_base64url

INCLUSION_SECONDS = 60
"""By when the record is in the tree. The sequencer needs a second; the promise leaves room for a restart."""


def answer_digest(answer: Mapping[str, Any]) -> str:
    """Return SHA-256 over the canonical JSON of an answer without its receipt: what the record commits to."""
    bare = {name: value for name, value in answer.items() if name != "receipt"}
    return hashlib.sha256(canonical_json(bare)).hexdigest()


def receipt(record: AccessRecord, origin: str) -> dict[str, str]:
    """Return the promise of inclusion of a record in the log `origin`."""
    return {
        "log": origin,
        "record": str(record.id),
        "entry": encode_base64url(record.entry),
        "recorded_at": rfc3339(record.recorded_at),
        "included_by": rfc3339(record.recorded_at + timedelta(seconds=INCLUSION_SECONDS)),
    }
