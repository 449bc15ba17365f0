"""Killed at any step: a licence is issued once or not at all, and a job goes on without issuing anything twice."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from foundation.settings import Settings
from license_registry import tables
from license_registry.issuing.bulk.jobs import submit
from license_registry.issuing.requests import Key
from license_registry.presenting.present import lead_copy
from tests.license_registry.conftest import AUTHORITY, body, registry

ROOT = Path(__file__).parents[3]


def run(settings: Settings, address: str, step: str, when: str, turn: int, *work: str) -> int:
    """Run the process; return its exit code."""
    program = Path(__file__).with_name("dying.py")
    done = subprocess.run(
        [sys.executable, str(program), str(settings.home), address, step, when, str(turn), *work],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode


def whole(settings: Settings, address: str) -> list[str]:
    """Numbers of all licences, after checking that each is there whole: object, digest, event."""

    async def work() -> list[str]:
        async with registry(settings, address) as ports:
            numbers = []
            for row in await ports.pool.fetch("SELECT identifier FROM license_registry.licence"):
                licence = await tables.find(ports.pool, row["identifier"])
                assert licence is not None
                assert (await lead_copy(ports, licence)).endswith("~")
                numbers.append(licence.number)
            return numbers

    numbers = asyncio.run(work())
    with psycopg.connect(address) as connection:
        events = connection.execute(
            "SELECT count(*), count(DISTINCT identifier) FROM license_registry.event WHERE kind = 'issued'"
        ).fetchone()
    assert events == (len(numbers), len(numbers))
    return numbers


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("keep", "after"),
        *(
            pytest.param(step, when, marks=pytest.mark.thorough)
            for step, when in (
                ("draw", "before"),
                ("draw", "after"),
                ("put", "before"),
                ("put", "after"),
                ("add", "before"),
                ("add", "after"),
                ("keep-key", "before"),
                ("keep-key", "after"),
                ("keep", "before"),
            )
        ),
    ],
)
def test_one_licence_is_issued_once_wherever_the_process_was_killed(
    settings: Settings, database_url: str, step: str, when: str
) -> None:
    assert run(settings, database_url, step, when, 1, "one") == -signal.SIGKILL
    committed = (step, when) == ("keep", "after")
    assert whole(settings, database_url) == ["ONE"] * committed
    for _ in range(2):
        assert run(settings, database_url, "none", "-", 0, "one") == 0
        assert whole(settings, database_url) == ["ONE"]


ROWS = 450
"""Two batches and a half."""


def submitted(settings: Settings, address: str, rows: list[dict[str, Any]]) -> str:
    async def work() -> uuid.UUID:
        async with registry(settings, address) as ports:
            lines = b"\n".join(orjson.dumps(row) for row in rows)
            job = await submit(ports, AUTHORITY, Key("client", "job"), "issue", lines, datetime.now(UTC))
            return job.id

    return str(asyncio.run(work()))


def job_row(address: str, job: str) -> tuple[Any, ...]:
    with psycopg.connect(address) as connection:
        found = connection.execute(
            "SELECT state, next_row, issued, known, refused FROM license_registry.issue_job WHERE id = %s",
            [job],
        ).fetchone()
    assert found is not None
    return tuple(found)


@pytest.mark.parametrize(
    ("step", "when", "turn", "done"),
    [
        ("write", "after", 2, 400),
        *(
            pytest.param(*step, marks=pytest.mark.thorough)
            for step in (
                ("draw-many", "before", 1, 0),
                ("put-many", "after", 1, 0),
                ("put-many", "before", 2, 200),
                ("add-many", "after", 2, 200),
                ("advance", "before", 2, 200),
                ("advance", "after", 3, 400),
                ("write", "after", 3, 450),
                ("delete", "before", 1, 450),
            )
        ),
    ],
)
def test_a_job_goes_on_where_it_was_killed_and_issues_nothing_twice(
    settings: Settings, database_url: str, step: str, when: str, turn: int, done: int
) -> None:
    rows = [body(number=f"J{n:04d}") for n in range(ROWS)]
    rows[10] |= {"valid_until": "2019-12-31"}
    rows[300] = rows[299]
    job = submitted(settings, database_url, rows)
    assert run(settings, database_url, step, when, turn, "job", job) == -signal.SIGKILL
    assert job_row(database_url, job)[1] == done + 1
    killed = whole(settings, database_url)
    assert len(killed) == max(0, done - (done >= 200) - (done >= 400))
    assert run(settings, database_url, "none", "-", 0, "job", job) == 0
    assert job_row(database_url, job) == ("done", ROWS + 1, ROWS - 2, 1, 1)
    numbers = whole(settings, database_url)
    assert len(numbers) == len(set(numbers)) == ROWS - 2
    assert set(killed) <= set(numbers)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("step", "when", "turn"), [("keep", "after", 3), ("add", "after", 3), ("put", "after", 3)]
)
def test_rows_that_go_singly_are_issued_once_too(
    settings: Settings, database_url: str, step: str, when: str, turn: int
) -> None:
    # Numbers made by the type tell nothing of an earlier attempt: only the key of the row does. A conflict that
    # shows at writing only makes the batch go row by row.
    rows = [body(number=f"S{n}") for n in range(6)]
    job = submitted(settings, database_url, rows)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "CREATE FUNCTION license_registry.once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NOT EXISTS (SELECT FROM license_registry.issue_request) AND"
            "  (SELECT count(*) FROM inserted) > 1 THEN RAISE unique_violation; END IF; RETURN NULL; END $$;"
            "CREATE TRIGGER once AFTER INSERT ON license_registry.licence REFERENCING NEW TABLE AS inserted"
            " FOR EACH STATEMENT EXECUTE FUNCTION license_registry.once()"
        )
    assert run(settings, database_url, step, when, turn, "job", job) == -signal.SIGKILL
    assert len(whole(settings, database_url)) == (3 if step == "keep" else 2)
    assert run(settings, database_url, "none", "-", 0, "job", job) == 0
    assert sorted(whole(settings, database_url)) == [f"S{n}" for n in range(6)]
    state, next_row, issued, known, refused = job_row(database_url, job)
    assert (state, next_row, issued + known, refused) == ("done", 7, 6, 0)
