"""Accepting a batch: once per key, by the pipeline that files go through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

import psycopg

from connectors.mapping import SourceMapping
from connectors.pipeline import run
from connectors.sources.raw import Source
from connectors.sources.sent import SentArrow, SentLines
from foundation.language import _
from foundation.sensitive import Vault
from foundation.settings import Settings
from zhengtong.ingest import tables
from zhengtong.ingest.errors import KeyReused, MediaTypeUnknown, UnderWay

LINES = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True, slots=True)
class Accepting:
    """What batches are brought in with; the application's `state.accepting`.

    Args:
        database: address of the database.
    """

    settings: Settings
    database: str
    vault: Vault


def require_known(media_type: str) -> None:
    """Refuse a body that cannot be read.

    Raises:
        MediaTypeUnknown: it is neither JSON lines nor a stream of Arrow IPC.
    """
    if media_type not in (LINES, ARROW):
        raise MediaTypeUnknown(_("send {lines} or {arrow}"), lines=LINES, arrow=ARROW)


def accept(
    accepting: Accepting,
    mapping: SourceMapping,
    client_id: str,
    key: str,
    body: BinaryIO,
    digest: bytes,
    media_type: str,
) -> dict[str, Any]:
    """Bring a batch in and return the report; blocks, so call it in a thread.

    1. Hold the key. Known with the same body: return what was answered.
    2. Run the pipeline.
    3. Keep the answer.

    Dying in 2 or between 2 and 3 keeps no answer: the same request again runs again and finds unchanged what came in.
    A refusal is not kept: it may be sent again with the same key once the reason is mended.

    Raises:
        KeyReused, UnderWay: as they say.
        GateClosed, SourceError: as the pipeline does.
    """
    with psycopg.connect(accepting.database, autocommit=True) as connection:
        if not tables.try_lock(connection, client_id, key):
            raise UnderWay(_("ask again with the same Idempotency-Key"))
        known = tables.find(connection, client_id, key)
        if known is not None:
            if (known.source, known.digest) != (mapping.source, digest):
                raise KeyReused(_("take a new Idempotency-Key for each batch"))
            return known.report
        kind = SentArrow if media_type == ARROW else SentLines
        origin: Source = kind(body, mapping, f"sent/{client_id}", digest.hex())
        report = run(
            mapping,
            origin,
            database=accepting.database,
            vault=accepting.vault,
            sources_folder=accepting.settings.sources_folder,
        ).as_json()
        tables.keep(
            connection, client_id, key, tables.Answered(mapping.source, digest, report), datetime.now(UTC)
        )
        return report
