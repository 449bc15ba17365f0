"""A run that is not through by its deadline: somebody is told while it can still be helped."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference

from connectors.mapping import SourceMapping

logger = logging.getLogger(__name__)


async def missed(source: str, contact: str, minutes: int, context: Any = None) -> None:
    """Say so in the triggerer's log, which is where the alerts of an Airflow's operators are taken from."""
    run = (context or {}).get("dag_run") or {}
    logger.error(
        "deadline missed: source=%s run=%s minutes=%d contact=%s",
        source,
        run.get("dag_run_id") if isinstance(run, dict) else getattr(run, "run_id", None),
        minutes,
        contact,
    )


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
