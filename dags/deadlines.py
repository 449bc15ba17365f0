"""A run that is not through by its deadline: somebody is told while it can still be helped."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference

from connectors.mapping import SourceMapping

logger = logging.getLogger(__name__)


async def missed(source: str, contact: str, minutes: int, context: Any = None) -> None:
    """Say so in the triggerer's log, where an Airflow's operators take their alerts from, and note it for stewards."""
    run = (context or {}).get("dag_run") or {}
    name = run.get("dag_run_id") if isinstance(run, dict) else getattr(run, "run_id", None)
    logger.error("deadline missed: source=%s run=%s minutes=%d contact=%s", source, name, minutes, contact)
    await asyncio.to_thread(_note, source, str(name), minutes)


def _note(source: str, run: str, minutes: int) -> None:
    # Here and not above: the DAG files are read every half minute.
    import psycopg

    from connectors.deadlines import MissedDeadline, note
    from foundation import database
    from foundation.settings import Settings

    with (
        database.running_database(Settings()) as address,
        psycopg.connect(address, autocommit=True) as connection,
    ):
        note(connection, source, MissedDeadline(run, minutes, datetime.now(UTC)))


def deadline(mapping: SourceMapping) -> DeadlineAlert | None:
    """Return the deadline of a source's runs, from when they were queued; None where it has none."""
    if mapping.deadline_minutes is None:
        return None
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(minutes=mapping.deadline_minutes),
        callback=AsyncCallback(
            missed,
            kwargs={
                "source": mapping.source,
                "contact": mapping.contact,
                "minutes": mapping.deadline_minutes,
            },
        ),
    )
