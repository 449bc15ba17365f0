"""One DAG per mapping: the files in a source's inbox are brought into its register, and filed away."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, dag, task, task_group
from airflow.sdk.exceptions import AirflowFailException

from connectors.mapping import SourceMapping, load_mapping, mapping_names
from connectors.mapping.origins import SqlOrigin
from connectors.sources.raw import SourceError
from dags.arrival import FindFiles
from dags.bring_in import BringIn, FetchIn
from dags.deadlines import deadline
from dags.inbox import file_away, inbox
from dags.pools import pool
from dags.ranges import AllIn, CutRanges, FetchRange
from foundation.settings import Settings

SCHEDULE = os.environ.get("ZHENGTONG_INBOX_SCHEDULE", "*/5 * * * *") or None
"""How often the inboxes are looked into, as cron has it; empty: only when triggered. A mapping may have its own."""

PATIENCE = timedelta(hours=23)
"""How long the file of a source with a schedule of its own is waited for: less than the day to the next."""

RETRIES = {
    "retries": 5,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=30),
}


def source_dag(mapping: SourceMapping) -> DAG:
    """Return the DAG of a source.

    1. `find` lists the files that wait. Where the source has a schedule of its own, a file is expected: it is waited
       for, which takes no worker.
    2. `bring_in`, for each of them, is one connector run; its report is the XCom, its outlet the register.
    3. `put_away` moves the file to `done/` once that report is stored.

    Where its mapping has an origin, there is one task, `fetch_in`, that fetches and brings in what the origin has. If
    that is a table with `ranges`, `cut` cuts it, a `fetch_range` brings in each range, and `all_in` tells it as one.

    Dying in 2 leaves the file where it was and whole batches in the register; the retry brings in the rest. Dying in 3
    leaves a file that is moved by the retry. Files of one source come in one after the other, by name: of two files
    with the same subject the later one is to win. A file that waits for its retry is overtaken by those behind it.
    """
    source = mapping.source

    @dag(
        dag_id=f"zhengtong-{source}",
        description=mapping.title,
        schedule=timetable(mapping),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args=RETRIES,
        deadline=deadline(mapping),
        tags=["zhengtong", mapping.register_name],
        doc_md=f"**{mapping.title}** → `{mapping.register_name}`\n\n{mapping.contact}",
    )
    def build() -> None:
        if isinstance(mapping.origin, SqlOrigin) and mapping.origin.ranges > 1:
            by_ranges(mapping)
            return
        if mapping.origin is not None:
            FetchIn(task_id="fetch_in", mapping=mapping, pool=pool(mapping), max_active_tis_per_dag=1)
            return
        find = FindFiles(task_id="find", source=source, patience=PATIENCE if mapping.schedule else None)

        @task
        def put_away(report: dict[str, Any]) -> str | None:
            folder = inbox(Settings(), source)
            return file_away(folder, report["file"], report["mark"], report["run_id"])

        @task_group
        def each_file(name: str) -> None:
            bring_in = BringIn(
                task_id="bring_in",
                mapping=mapping,
                file=name,
                pool=pool(mapping),
                max_active_tis_per_dag=1,
                map_index_template="{{ file }}",
            )
            put_away(bring_in.output)

        each_file.expand(name=find.output)

    return build()


def by_ranges(mapping: SourceMapping) -> None:
    """Put the tasks of a source into the DAG in hand that is brought in by ranges of its key.

    Dying in a range leaves whole batches of it in the register, and the other ranges go on; its retry brings in the
    rest. Dying in `cut` or `all_in` leaves nothing. A run that is started anew cuts anew.
    """
    cut = CutRanges(task_id="cut", source=mapping.source, pool=pool(mapping))

    @task_group
    def each_range(key_range: dict[str, Any]) -> None:
        FetchRange(
            task_id="fetch_range",
            source=mapping.source,
            key_range=key_range,
            pool=pool(mapping),
            map_index_template="{{ range }}",
        )

    each_range.expand(key_range=cut.output) >> AllIn(
        task_id="all_in", mapping=mapping, fetched="each_range.fetch_range"
    )


def timetable(mapping: SourceMapping) -> Any:
    """Return when a source is looked at; one that can be asked for windows of time has the intervals between."""
    if mapping.schedule is not None and mapping.has_windows:
        return CronDataIntervalTimetable(mapping.schedule, timezone="UTC")
    return mapping.schedule or SCHEDULE


def broken_dag(source: str, reason: str) -> DAG:
    """Return what stands for a source whose mapping is wrong: it fails and says why; the other sources go on."""

    @dag(
        dag_id=f"zhengtong-{source}",
        schedule=SCHEDULE,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["zhengtong", "wrong-mapping"],
        doc_md=reason,
    )
    def build() -> None:
        @task
        def read_mapping() -> None:
            raise AirflowFailException(reason)

        read_mapping()

    return build()


def _dag(source: str) -> DAG:
    try:
        return source_dag(load_mapping(source, Settings().sources_folder))
    except SourceError as error:
        return broken_dag(source, str(error))


for _name in mapping_names(Settings().sources_folder):
    globals()[_name] = _dag(_name)
