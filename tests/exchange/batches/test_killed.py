"""Killed at any step: a batch goes on where it was; nothing is asked or recorded twice, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from exchange.batches import work
from tests.conftest import Service
from tests.exchange.batches.conftest import PEOPLE, Asking, lines

ROOT = Path(__file__).parents[3]
ROWS = 35
"""Three parts and a half."""


@pytest.fixture(scope="module", autouse=True)
def resting() -> Iterator[None]:
    """Let the service of the tests take batches in and not work on them until it is told to."""
    patch = pytest.MonkeyPatch()
    patch.setattr(work, "LEASE", timedelta(seconds=0.05))
    rest()
    yield
    go_on()
    patch.undo()


def rest() -> None:
    work.MOST_WAITING_FOR_THE_LOG = -1


def go_on() -> None:
    work.MOST_WAITING_FOR_THE_LOG = 100_000


def run(service: Service, batch: str, step: str, when: str, turn: int) -> int:
    """Run the process; return its exit code."""
    program = Path(__file__).with_name("dying.py")
    arguments = [str(service.settings.home), service.address, batch, step, when, str(turn)]
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode


def sent(asking: Asking, key: str, times: int = 1) -> str:
    rows = [{"subject": PEOPLE[n], "claims": {"name": f"人{n}"}} for n in range(ROWS)]
    rows[7]["subject"] = "nobody"
    reply = asking.send(lines(*rows * times), key=key)
    assert reply.status_code == 202, reply.text
    batch: str = reply.json()["id"]
    return batch


def rows_recorded(service: Service, batch: str) -> list[int]:
    """Return the rows that have a record, each as often as it has; each must be promised to the log, once."""
    found = service.sql(
        "SELECT r.content, (SELECT count(*) FROM ledger.entry e WHERE e.entry = r.entry)"
        " + (SELECT count(*) FROM ledger.pending p WHERE p.entry = r.entry) FROM exchange.access_record r"
    )
    mine = [(orjson.loads(content), promised) for content, promised in found]
    mine = [
        (record, promised) for record, promised in mine if record.get("batch") == batch and "row" in record
    ]
    assert {promised for _record, promised in mine} <= {1}
    return sorted(record["row"] for record, _promised in mine)


def require_whole(service: Service, asking: Asking, batch: str) -> None:
    shown = asking.get(batch).json()
    assert (shown["state"], shown["done"], shown["answered"], shown["malformed"]) == (
        "done",
        ROWS,
        ROWS - 1,
        1,
    )
    assert rows_recorded(service, batch) == list(range(1, ROWS + 1))
    _statement, rows = asking.read(batch)
    assert [row["row"] for row in rows] == list(range(1, ROWS + 1))
    assert sum(row.get("results") == {"name": "match"} for row in rows) == ROWS - 1
    assert service.sql("SELECT count(*) FROM exchange.batch_lines WHERE batch_id = %s", batch) == [(0,)]


@pytest.mark.parametrize(
    ("step", "when", "turn", "done"),
    [
        ("records", "after", 2, 10),
        ("part", "after", 3, 30),
        *(
            pytest.param(*step, marks=pytest.mark.thorough)
            for step in (
                ("take", "after", 1, 0),
                ("ready", "after", 2, 0),
                ("advance", "before", 1, 0),
                ("advance", "after", 2, 10),
                ("result", "after", 1, 0),
                ("part", "after", 1, 10),
                ("result", "before", 4, 30),
                ("finish", "before", 1, 35),
                ("end", "after", 1, 35),
                ("finish", "after", 1, 35),
            )
        ),
    ],
)
def test_a_batch_goes_on_where_it_was_killed(
    service: Service, asking: Asking, step: str, when: str, turn: int, done: int
) -> None:
    batch = sent(asking, f"{step}-{when}-{turn}")
    assert run(service, batch, step, when, turn) == -signal.SIGKILL
    at_least = done if step != "ready" else 0
    assert asking.get(batch).json()["done"] >= at_least
    recorded = rows_recorded(service, batch)
    assert recorded == list(range(1, asking.get(batch).json()["done"] + 1))
    go_on()
    asking.wait(batch)
    rest()
    require_whole(service, asking, batch)


def test_two_processes_never_work_on_the_same_part(service: Service, asking: Asking) -> None:
    # Leases that are over at once: each takes the batch from the other all the time.
    batch = sent(asking, "two", times=8)
    other = threading.Thread(target=run, args=(service, batch, "none", "-", 0))
    other.start()
    time.sleep(2)
    go_on()
    asking.wait(batch)
    other.join()
    rest()
    assert rows_recorded(service, batch) == list(range(1, 8 * ROWS + 1))
    _statement, rows = asking.read(batch)
    assert [row["row"] for row in rows] == list(range(1, 8 * ROWS + 1))
