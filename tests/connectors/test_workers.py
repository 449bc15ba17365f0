"""Workers give what this process would, in its order, and end with it."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psutil
import pytest

from connectors import workers
from connectors.mapping import load_mapping
from connectors.ready import Preparer
from connectors.sources.files import FileSource
from connectors.sources.raw import Slice, SourceError
from connectors.workers import WorkerDied, making_ready, workers_for
from demonstration.city import CityPlan, Mess, write_legal_entities
from demonstration.city import mess as kinds
from exchange.registers.schemas import load_registers
from foundation.sensitive import Keyring, Vault

MAPPING = load_mapping("legal-entities")
VAULT = Vault(Keyring(b"i" * 32, {1: b"a" * 32}, 1))


def preparer() -> Preparer:
    register = load_registers()[MAPPING.register_name]
    return Preparer(MAPPING, register, VAULT, uuid.UUID(int=1), date(2026, 1, 1))


@pytest.fixture(scope="module")
def entities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("city") / "legal_entities.csv"
    mess = Mess({}, dict.fromkeys(kinds.LEGAL_ENTITIES, 0.1), {})
    write_legal_entities(CityPlan(people=3000, mess=mess), path)
    return path


@pytest.mark.parametrize("count", [0, 1, 3])
def test_slices_come_back_ready_in_their_order(entities: Path, count: int) -> None:
    with making_ready(preparer(), count) as make_ready:
        found = list(make_ready(FileSource(entities, MAPPING).slices(17)))
    alone = [preparer().make_ready(piece) for piece in FileSource(entities, MAPPING).slices(17)]
    assert [ready.end for _, ready in found] == [ready.end for ready in alone]
    assert [ready.rows.subjects for _, ready in found] == [ready.rows.subjects for ready in alone]
    assert [ready.rows.fingerprints for _, ready in found] == [ready.rows.fingerprints for ready in alone]
    assert [ready.bad for _, ready in found] == [ready.bad for ready in alone]
    assert any(ready.bad for ready in alone)
    for piece, ready in found:
        assert piece.original(ready.end) == piece.cut(1000).__next__().original(ready.end)


@pytest.mark.parametrize("size", [0, 1 << 20])
def test_rows_come_back_whole_whether_they_fit_the_shared_memory_or_not(
    entities: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(workers, "WINDOW_BYTES", size or mmap.PAGESIZE)
    with making_ready(preparer(), 2) as make_ready:
        found = [ready.rows for _, ready in make_ready(FileSource(entities, MAPPING).slices(17))]
    assert len(found) > 4
    assert all(len(rows.rows) == rows.ends[-1] for rows in found)
    for rows in found:
        assert [row[6:22] for _subject, _mark, row in rows.each()] == rows.each_subject()


def test_nothing_sensitive_stands_in_clear_in_what_goes_to_the_database(entities: Path) -> None:
    (piece,) = FileSource(entities, MAPPING).slices(10_000)
    checked = preparer()._checker.check(piece.taken_apart())
    names = {name for name in checked.columns["representative_name"] if name and len(name) > 2}
    assert names
    spelled = preparer().make_ready(piece).rows.rows
    assert not [name for name in names if f'"{name}"'.encode() in spelled]


def test_what_the_source_raises_comes_through(entities: Path) -> None:
    def breaking() -> Iterator[Slice]:
        yield from FileSource(entities, MAPPING).slices(50)
        raise SourceError("it breaks")

    with making_ready(preparer(), 2) as make_ready, pytest.raises(SourceError, match="it breaks"):
        list(make_ready(breaking()))


def test_a_worker_that_dies_is_told(entities: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_make_ready", _dying)
    with making_ready(preparer(), 2) as make_ready, pytest.raises(WorkerDied):
        list(make_ready(FileSource(entities, MAPPING).slices(20)))


def _dying(_piece: Slice, _window: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


PARENT = """
import os, sys, time
from tests.connectors.test_workers import making_ready, preparer
with making_ready(preparer(), 2):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_workers_end_with_a_parent_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        children = psutil.Process(parent.pid).children()
        assert len(children) == 2
        parent.kill()
        gone, alive = psutil.wait_procs(children, timeout=20)
    assert (len(gone), alive) == (2, [])


def test_only_a_large_file_is_worth_workers(
    entities: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert workers_for(None) == workers_for(entities) == workers_for(tmp_path) == 0
    monkeypatch.setattr(workers, "LARGE_FILE", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2})
    assert workers_for(entities) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert workers_for(entities) == 0
