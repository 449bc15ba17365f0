"""One DAG per mapping: the files in a source's inbox are brought into its register, and filed away."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Asset, dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from connectors.mapping import SourceMapping, load_mapping, mapping_names
from connectors.sources.raw import SourceError
from dags.inbox import file_away, inbox, mark, waiting
from foundation.settings import Settings

SCHEDULE = os.environ.get("ZHENGTONG_INBOX_SCHEDULE", "*/5 * * * *") or None
"""How often the inboxes are looked into, as cron has it; empty: only when triggered."""

RETRIES = {
    "retries": 5,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
}


def source_dag(mapping: SourceMapping) -> DAG:
    """Return the DAG of a source.

    1. `find` lists the files that wait.
    2. `bring_in`, for each of them, is one connector run; its report is the XCom, its outlet the register.
    3. `put_away` moves the file to `done/` once that report is stored.

    Dying in 2 leaves the file where it was and whole batches in the register; the retry brings in the rest. Dying in 3
    leaves a file that is moved by the retry. Files of one source come in one after the other, by name: of two files
    with the same subject the later one is to win.
    """
    source = mapping.source

    @dag(
        dag_id=f"zhengtong-{source}",
        description=mapping.title,
        schedule=SCHEDULE,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args=RETRIES,
        tags=["zhengtong", mapping.register_name],
        doc_md=f"**{mapping.title}** → `{mapping.register_name}`\n\n{mapping.contact}",
    )
    def build() -> None:
        @task
        def find() -> list[str]:
            return waiting(inbox(Settings(), source))

        @task(
            outlets=[Asset(f"register://{mapping.register_name}")],
            pool=getattr(mapping, "pool", None) or "default_pool",
            max_active_tis_per_dag=1,
            map_index_template="{{ file }}",
        )
        def bring_in(name: str) -> dict[str, Any]:
            # Here and not above: this file is read every half minute, and only this task needs them.
            from connectors.pipeline import run
            from connectors.sources.files import FileSource
            from foundation import database
            from foundation.sensitive import Vault, open_keyring
            from foundation.settings import load_master_key

            get_current_context()["file"] = name
            settings = Settings()
            path = inbox(settings, source) / name
            vault = Vault(
                open_keyring(settings.keys_folder / "data", load_master_key(settings), datetime.now(UTC))
            )
            marked = mark(path)
            try:
                with database.running_database(settings) as address:
                    database.require_current_schema(address)
                    fresh = load_mapping(source, settings.sources_folder)
                    report = run(fresh, FileSource(path, fresh), database=address, vault=vault)
            except SourceError as error:
                # The file is at fault. Trying again mends nothing; whoever sent it has to send another.
                raise AirflowFailException(str(error)) from error
            return {**report.as_json(), "file": name, "mark": marked}

        @task
        def put_away(report: dict[str, Any]) -> str | None:
            folder = inbox(Settings(), source)
            return file_away(folder, report["file"], report["mark"], report["run_id"])

        @task_group
        def each_file(name: str) -> None:
            put_away(bring_in(name))

        each_file.expand(name=find())

    return build()


for _name in mapping_names(Settings().sources_folder):
    globals()[_name] = source_dag(load_mapping(_name, Settings().sources_folder))
