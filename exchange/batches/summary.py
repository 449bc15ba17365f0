"""The signed summary of a batch: what was asked of whom by which grant, counts, and the digest of all answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from exchange.audit.receipt import INCLUSION_SECONDS
from exchange.batches.batch import Batch, State
from exchange.catalog.resources import Resource


def results_digest(parts: Iterable[bytes]) -> str:
    """Return SHA-256 over the SHA-256 (32 bytes each) of the lines of all parts, in order."""
    whole = hashlib.sha256()
    for digest in parts:
        whole.update(digest)
    return whole.hexdigest()


def summary(
    batch: Batch,
    resource: Resource | None,
    state: State,
    digests: list[bytes],
    issuer: str,
    log_origin: str,
    freshness: Mapping[str, str],
    now: datetime,
) -> dict[str, Any]:
    """Return what is signed when a batch is over; each line of the results carries the receipt of its own record."""
    question, counts = batch.question, batch.counts
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "batch": str(batch.id),
        "client": batch.client_id,
        "department": batch.department,
        "mode": question.mode.value,
        "resource": question.resource,
        "resource_version": None if resource is None else resource.version,
        "fields": sorted(question.fields),
        "grants": [str(grant) for grant in batch.grants],
        "matter": question.matter,
        "case": question.case,
        "state": state.value,
        "rows": batch.rows,
        "answered": counts.answered,
        "unknown": counts.unknown,
        "malformed": counts.malformed,
        "refused": counts.refused,
        "unanswered": counts.unanswered,
        "sources": sorted(batch.sources),
        "freshness": dict(freshness),
        "answered_from": _time(batch.first_at),
        "answered_to": _time(batch.last_at),
        "results": {
            "rows": counts.rows,
            "parts": len(digests),
            "part_rows": batch.part_rows,
            "sha256": results_digest(digests),
        },
        "log": {
            "origin": log_origin,
            "records": counts.records,
            "first": None if batch.first_record is None else str(batch.first_record),
            "last": None if batch.last_record is None else str(batch.last_record),
            "included_by": None
            if batch.last_at is None
            else _time(batch.last_at + timedelta(seconds=INCLUSION_SECONDS)),
        },
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
