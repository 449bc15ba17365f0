"""The life of licences by the clock and by the registers: each task is one command, and safe to run again."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import AssetAny, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from connectors.mapping import load_mapping, mapping_names
from connectors.sources.raw import SourceError
from dags.bring_in import register_asset
from dags.commands import run_command
from foundation.settings import Settings

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
        found: dict[str, int] = run_command("licence", "daily")
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
        found: dict[str, int] = run_command("licence", "follow-registers")
        return found

    follow_registers()


@dag(
    dag_id="zhengtong-licences-issue",
    description="据登记签发 Issue licences for credentials that came in",
    schedule=register_asset("credentials"),
    **_KIND,
)
def licences_issue() -> None:
    """Issue licences whenever the register of credentials was brought in, for the sources that say in whose name."""

    @task
    def sources() -> list[dict[str, str]]:
        """Return the sources that say so, each with the system in whose name. Wrong mappings have DAGs of their own."""
        folder = Settings().sources_folder
        found = []
        for name in mapping_names(folder):
            try:
                mapping = load_mapping(name, folder)
            except SourceError:
                continue
            if mapping.issued_by is not None:
                found.append({"source": name, "client": mapping.issued_by})
        return found

    @task(map_index_template="{{ source }}", max_active_tis_per_dagrun=1)
    def issue(source: str, client: str) -> dict[str, Any]:
        """Return how many licences were issued, known before, refused, and why."""
        get_current_context()["source"] = source  # for the name of the mapped task
        found: dict[str, Any] = run_command("licence", "issue-from", source, "--client", client)
        return found

    issue.expand_kwargs(sources())


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
            found: dict[str, int] = run_command("licence", "deliver")
        except subprocess.CalledProcessError as error:
            if not error.stdout:
                raise
            # Trying at once again helps nobody; the dead wait for a person.
            raise AirflowFailException(f"notices lie dead: {error.stdout.decode()}") from error
        return found

    deliver()


LICENCES_DAILY = licences_daily()
LICENCES_FOLLOW = licences_follow()
LICENCES_ISSUE = licences_issue()
LICENCES_NOTICES = licences_notices()
