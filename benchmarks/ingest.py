"""Bringing in a population against plain COPY of the same rows, and the memory that it takes.

    python -m benchmarks.ingest [--people 1000000]

The whole run is measured, from the start of `zhengtong ingest` to its report: decoding GB18030, checks of schema and
identifiers, encryption, staging, merge. The floor is one COPY of the same file, decoded by PostgreSQL, into a table
of the same fifteen columns with its primary key. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from demonstration import city
from foundation import database
from foundation.settings import Settings

RATIO_TARGET = 0.10
MEMORY_TARGET = 500
GROWTH_TARGET = 1.2
"""Peak at the full size, in times of the peak at a tenth of it: what 'flat' means here."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One size: rows a second of the floor and of ours, peak resident memory of ours in MB."""

    people: int
    floor: float
    ours: float
    memory: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    people = parser.parse_args().people
    small, large = _measure(people // 10), _measure(people)
    growth = large.memory / small.memory
    ratio = large.ours / large.floor
    print(f"{ratio:.3f} of plain COPY at {people:,} rows (target at least {RATIO_TARGET})")
    print(f"peak memory {large.memory:.0f} MB (target below {MEMORY_TARGET})")
    print(f"{growth:.2f} times the peak at {small.people:,} rows (target at most {GROWTH_TARGET})")
    return 0 if ratio >= RATIO_TARGET and large.memory < MEMORY_TARGET and growth <= GROWTH_TARGET else 1


def _measure(people: int) -> Measured:
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        settings = Settings(home=home)
        with database.running_database(settings) as address:
            database.migrate(address)
            path = home / "population.csv"
            rows = city.write_population(city.CityPlan(people=people, mess=city.Mess({}, {}, {})), path).rows
            floor = rows / _copy(address, path)
            seconds, memory = _ingest(home, path, rows)
    measured = Measured(people, floor, rows / seconds, memory)
    print(
        f"{people:>9,} people: COPY {measured.floor:9,.0f}/s   ingest {measured.ours:8,.0f}/s   "
        f"ratio {measured.ours / measured.floor:.3f}   peak {memory:.0f} MB",
        flush=True,
    )
    return measured


def _copy(address: str, path: Path) -> float:
    columns = ", ".join(f"c{number} text" for number in range(1, 15))
    with psycopg.connect(address, autocommit=True, client_encoding="gb18030") as connection:
        connection.execute(f"CREATE TABLE plain (id text PRIMARY KEY, {columns})")
        started = time.perf_counter()
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY plain FROM STDIN (FORMAT csv, HEADER)") as copy,
            path.open("rb") as file,
        ):
            while block := file.read(1 << 20):
                copy.write(block)
        seconds = time.perf_counter() - started
        connection.execute("DROP TABLE plain")
        connection.execute("CHECKPOINT")
    return seconds


def _ingest(home: Path, path: Path, rows: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "zhengtong", "--home", str(home)]
    command += ["ingest", "population", "--file", str(path), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status != 0 or report["inserted"] != rows:
        raise RuntimeError(f"not every row came in: {report}")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
