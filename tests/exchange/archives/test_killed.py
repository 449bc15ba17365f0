"""Killed at any step: a case is packed once or not at all, and what was begun is gone on with."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from demonstration.parties import System
from exchange.archives import pack, tables
from tests.conftest import Service
from tests.exchange.archives.closing import CODE, close, fetched, state, wait
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import material, matter, put_matter
from tests.exchange.plans.conftest import register as register

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def resting() -> Iterator[Callable[[bool], None]]:
    """Let the service of the tests leave closed cases alone until it is told to go on."""
    patch = pytest.MonkeyPatch()
    take, at_rest = tables.take_due, threading.Event()
    at_rest.set()

    async def take_or_rest(*arguments: Any) -> Any:
        return None if at_rest.is_set() else await take(*arguments)

    patch.setattr(tables, "take_due", take_or_rest)
    patch.setattr(pack, "LEASE", timedelta(seconds=0.05))
    yield lambda rests: at_rest.set() if rests else at_rest.clear()
    patch.undo()


@pytest.fixture(scope="module", autouse=True)
def published(service: Service, fund: System) -> None:
    put_matter(service.address, matter(CODE, material("form")))


def run(service: Service, outcome: str, step: str, when: str) -> int:
    """Run the process; return its exit code."""
    given = service.settings
    arguments = [str(given.home), service.address, str(given.listen_port), outcome, step, when]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dying.py")), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode


def told(service: Service, table: str, outcome: str, event: str) -> list[dict[str, Any]]:
    rows = service.sql(
        "SELECT r.content, (SELECT count(*) FROM ledger.entry e WHERE e.entry = r.entry)"
        f" + (SELECT count(*) FROM ledger.pending p WHERE p.entry = r.entry) FROM {table} r"
    )
    found = [(orjson.loads(content), promised) for content, promised in rows]
    mine = [(said, promised) for said, promised in found if said["event"] == event and outcome in str(said)]
    assert {promised for _said, promised in mine} <= {1}
    return [said for said, _promised in mine]


def require_once(service: Service, fund: System, case: str, outcome: str) -> None:
    """One object, noted once, recorded once on either side, all with the digest of what is handed out."""
    digest = hashlib.sha256(fetched(service, fund, case).content).hexdigest()
    assert state(service, fund, case)["sha256"] == digest
    kept = list((service.settings.objects_folder / "archives" / "cases").glob(f"*{outcome}*"))
    assert [each.name for each in kept if not each.name.endswith(".part")] == [f"{outcome}.zip"]
    key = f"archives/cases/{outcome}.zip"
    noted = service.sql("SELECT sha256 FROM license_registry.archive WHERE object_key = %s", key)
    assert [bytes(each).hex() for (each,) in noted] == [digest]
    for table, event in (
        ("license_registry.event", "archived"),
        ("exchange.access_record", "case-archived"),
    ):
        assert [said["sha256"] for said in told(service, table, outcome, event)] == [digest]


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("put", "after"),
        *(
            pytest.param(*step, marks=pytest.mark.thorough)
            for step in (
                ("take", "after"),
                ("gather", "after"),
                ("prove", "after"),
                ("make", "after"),
                ("put", "before"),
                ("note", "after"),
                ("event", "after"),
                ("packed", "after"),
                ("tell", "before"),
                ("tell", "after"),
                ("record", "after"),
                ("done", "after"),
            )
        ),
    ],
)
def test_a_case_is_packed_once_wherever_it_was_killed(
    service: Service, fund: System, resting: Callable[[bool], None], step: str, when: str
) -> None:
    case = f"{step}-{when}"
    resting(True)
    outcome = close(service, fund, case)
    assert run(service, outcome, step, when) == -signal.SIGKILL
    there = state(service, fund, case)
    assert there["state"] == ("packed" if step == "done" else "waiting-for-log")
    resting(False)
    wait(service, fund, case)
    require_once(service, fund, case, outcome)


@pytest.mark.thorough
def test_two_processes_pack_a_case_once(
    service: Service, fund: System, resting: Callable[[bool], None]
) -> None:
    # Leases that are over at once: both pack the same case at the same time.
    resting(True)
    outcomes = {f"two-{n}": close(service, fund, f"two-{n}") for n in range(20)}
    other = threading.Thread(target=run, args=(service, outcomes["two-19"], "none", "-"))
    other.start()
    resting(False)
    for case, outcome in outcomes.items():
        wait(service, fund, case)
        require_once(service, fund, case, outcome)
    other.join()
