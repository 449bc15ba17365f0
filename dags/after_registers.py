"""After files came into any register: what the registers hold now, and that what was recorded is in the log."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import AssetAny, dag, get_current_context, task

from dags.bring_in import register_asset
from dags.commands import run_command
from exchange.registers.schemas import load_registers
from foundation.settings import Settings


@dag(
    dag_id="zhengtong-after-registers",
    description="各库现状 What the registers hold",
    schedule=AssetAny(*(register_asset(name) for name in load_registers())),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30), "retry_exponential_backoff": 2.0},
    tags=["zhengtong"],
)
def after_registers() -> None:
    """Sum up the registers whenever one of them was brought in, and see to the checkpoint."""

    @task
    def sum_up() -> dict[str, Any]:
        """Return per register its subjects, per source its last report, and the connector runs that led here."""
        import psycopg
        from psycopg import sql

        from foundation import database

        events = get_current_context()["triggering_asset_events"]
        extras = [event.extra for found in events.values() for event in found]
        reports = [each for extra in extras for each in extra.get("reports", [extra])]
        runs = [each["run_id"] for each in reports if "run_id" in each]
        with (
            database.running_database(Settings()) as address,
            psycopg.connect(address, autocommit=True) as connection,
        ):
            subjects = {}
            for register in load_registers().values():
                count = sql.SQL("SELECT count(*) FROM exchange.{}").format(sql.Identifier(register.table))
                subjects[register.name] = connection.execute(count).fetchone()[0]  # type: ignore[index]
            last = connection.execute(
                "SELECT DISTINCT ON (source) source, report FROM exchange.ingest_run"
                " WHERE finished_at IS NOT NULL ORDER BY source, finished_at DESC"
            ).fetchall()
        logging.getLogger(__name__).info("subjects: %s", subjects)
        return {"subjects": subjects, "last": dict(last), "runs": runs}

    @task
    def checkpoint() -> dict[str, Any]:
        """Fold into the log what waits for it, as the service does too, and return size and root of its checkpoint."""
        found: dict[str, Any] = run_command("checkpoint")
        return found

    sum_up()
    checkpoint()


AFTER_REGISTERS = after_registers()
