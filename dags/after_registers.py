"""After files came into any register: what the registers hold now, as XCom and in the task's log."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetAny, dag, task

from exchange.registers.schemas import load_registers
from foundation.settings import Settings


@dag(
    dag_id="zhengtong-after-registers",
    description="各库现状 What the registers hold",
    schedule=AssetAny(*(Asset(f"register://{name}") for name in load_registers())),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=30), "retry_exponential_backoff": 2.0},
    tags=["zhengtong"],
)
def after_registers() -> None:
    """Sum up the registers whenever one of them was brought in."""

    @task
    def sum_up() -> dict[str, Any]:
        """Return per register its subjects, and per source its last report."""
        import psycopg
        from psycopg import sql

        from foundation import database

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
        return {"subjects": subjects, "last": dict(last)}

    sum_up()


after_registers()
