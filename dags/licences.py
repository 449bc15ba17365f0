"""The life of licences by the clock and by the registers: each task is one command, and safe to run again."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import AssetAny, dag, task
from airflow.sdk.exceptions import AirflowFailException

from dags.bring_in import register_asset

HOLDERS = ("persons", "legal_entities")
"""Registers that holders of licences stand in."""

_KIND: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "default_args": {
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2.0,
    },
    "tags": ["zhengtong"],
}


def run_command(name: str) -> Any:
    """Run `zhengtong licence NAME` in a process of its own, and return what it reports.

    A command and not a call: what it does lives on the floor above this one.

    Raises:
        CalledProcessError: it failed; its own words stand in the log of the task.
    """
    done = subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, "-m", "zhengtong", "licence", name, "--json"], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)


@dag(
    dag_id="zhengtong-licences-daily",
    description="证照每日作业 What a day brings to licences",
    schedule="10 16 * * *",  # ten past midnight in China
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    **_KIND,
)
def licences_daily() -> None:
    """Let licences lapse and come back, remind, open and count annual reports."""

    @task
    def daily() -> dict[str, int]:
        """Return how many licences lapsed, came back, were reminded of, and owe a report."""
        found: dict[str, int] = run_command("daily")
        return found

    daily()


@dag(
    dag_id="zhengtong-licences-follow",
    description="联动变更 What the registers change of holders",
    schedule=AssetAny(*(register_asset(name) for name in HOLDERS)),
    **_KIND,
)
def licences_follow() -> None:
    """Raise tasks whenever a register of holders was brought in."""

    @task
    def follow_registers() -> dict[str, int]:
        """Return how many holders there are, how many changed, and the tasks that came of it."""
        found: dict[str, int] = run_command("follow-registers")
        return found

    follow_registers()


@dag(
    dag_id="zhengtong-licences-notices",
    description="投递通知 Send notices to departments",
    schedule=timedelta(minutes=5),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    **_KIND,
)
def licences_notices() -> None:
    """Send what is due; fail, for somebody to see, while notices lie dead."""

    @task
    def deliver() -> dict[str, int]:
        """Return how many notices arrived, failed, and lie dead."""
        try:
            found: dict[str, int] = run_command("deliver")
        except subprocess.CalledProcessError as error:
            if not error.stdout:
                raise
            # Trying at once again helps nobody; the dead wait for a person.
            raise AirflowFailException(f"notices lie dead: {error.stdout.decode()}") from error
        return found

    deliver()


LICENCES_DAILY = licences_daily()
LICENCES_FOLLOW = licences_follow()
LICENCES_NOTICES = licences_notices()
