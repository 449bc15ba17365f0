"""Which span of time a run is to bring in again, where it is asked for one."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from connectors.sources.raw import Window

ASKED = "window"
"""In the configuration of a run: `{"window": true}` asks for its data interval, as each run of a backfill does."""


def asked_window(context: Context) -> Window | None:
    """Return the data interval of a run that is asked for it; None: the run goes on at the cursor.

    Raises:
        AirflowFailException: it is asked for an interval, and has none.
    """
    run = context["dag_run"]
    if run.run_type != "backfill" and not (run.conf or {}).get(ASKED):
        return None
    begin, end = run.data_interval_start, run.data_interval_end
    if begin is None or end is None or begin >= end:
        raise AirflowFailException(
            "no-interval: the run has no data interval; the mapping needs a `schedule`"
        )
    return Window(begin, end)
