"""Bringing in a register against plain COPY of the same rows, again unchanged, and the memory that it takes.

    python -m benchmarks.ingest [--source population|legal-entities] [--rows 1000000] [--tenfold]

The whole run is measured, from the start of `zhengtong ingest` to its report: decoding, gates, checks of schema and
identifiers, encryption, staging, merge. The floor is one COPY of the same file, decoded by PostgreSQL, into a table
of the same columns with its primary key. Exits 1 when a target is missed. `--tenfold` adds a run with ten times the
rows, whose rate is held against that of the rows asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from connectors.mapping import load_mapping
from demonstration import city
from foundation import database
from foundation.settings import Settings

GROWTH_TARGET = 1.2
"""Peak at the full size, in times of the peak at a tenth of it: what 'flat' means here."""
TENFOLD_TARGET = 0.8
"""Rows a second at ten times the size, of those at the size."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A source to measure: its generator, how many people make one row, and what is asked for.

    Args:
        ratio: of plain COPY, at least.
        memory: MB of the peak, below.
        again: an unchanged load in times of the first, at least; None: not asked for.
    """

    write: Callable[[city.CityPlan, Path], city.Made]
    people_per_row: int
    ratio: float
    memory: int
    again: float | None


KINDS = {
    "population": Kind(city.write_population, 1, 0.10, 500, None),
    "legal-entities": Kind(city.write_legal_entities, 15, 0.20, 400, 2.0),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One size: rows a second of the floor, of the first load and of an unchanged one, and the peak in MB."""

    rows: int
    floor: float
    first: float
    again: float
    memory: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", choices=KINDS, default="population")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tenfold", action="store_true")
    options = parser.parse_args()
    kind = KINDS[options.source]
    small, large = (_measure(options.source, kind, rows) for rows in (options.rows // 10, options.rows))
    verdicts = [
        _verdict("of plain COPY", large.first / large.floor, kind.ratio),
        _verdict("MB of memory at the peak", large.memory, kind.memory, at_most=True),
        _verdict(
            "times the peak of a tenth of the rows", large.memory / small.memory, GROWTH_TARGET, at_most=True
        ),
    ]
    if kind.again is not None:
        verdicts.append(
            _verdict("times the first load when unchanged", large.again / large.first, kind.again)
        )
    if options.tenfold:
        huge = _measure(options.source, kind, options.rows * 10)
        verdicts.append(
            _verdict("of the rate at ten times the rows", huge.first / large.first, TENFOLD_TARGET)
        )
    return 0 if all(verdicts) else 1


def _verdict(what: str, measured: float, target: float, *, at_most: bool = False) -> bool:
    print(f"{measured:.3g} {what} (target at {'most' if at_most else 'least'} {target})")
    return measured <= target if at_most else measured >= target


def _measure(source: str, kind: Kind, rows: int) -> Measured:
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        with database.running_database(Settings(home=home)) as address:
            database.migrate(address)
            path = home / "table.csv"
            plan = city.CityPlan(people=rows * kind.people_per_row, mess=city.Mess({}, {}, {}))
            written = kind.write(plan, path).rows
            floor = written / _copy(address, path, source)
            first, memory = _ingest(home, source, path, ("inserted", written))
            again, _ = _ingest(home, source, path, ("unchanged", written))
    measured = Measured(written, floor, written / first, written / again, memory)
    print(
        f"{written:>10,} rows: COPY {measured.floor:9,.0f}/s   ingest {measured.first:8,.0f}/s   unchanged "
        f"{measured.again:8,.0f}/s   ratio {measured.first / measured.floor:.3f}   peak {memory:.0f} MB",
        flush=True,
    )
    return measured


def _copy(address: str, path: Path, source: str) -> float:
    mapping = load_mapping(source)
    key = next(n for n, column in enumerate(mapping.columns) if column.kind in ("citizen-id", "uscc"))
    columns = (f"c{n} text{' PRIMARY KEY' if n == key else ''}" for n in range(len(mapping.columns)))
    with psycopg.connect(address, autocommit=True, client_encoding=mapping.encoding) as connection:
        connection.execute(f"CREATE TABLE plain ({', '.join(columns)})")
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


def _ingest(home: Path, source: str, path: Path, expected: tuple[str, int]) -> tuple[float, float]:
    command = [sys.executable, "-m", "zhengtong", "--home", str(home)]
    command += ["ingest", source, "--file", str(path), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    report = json.loads(process.stdout.read())
    _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status != 0 or report[expected[0]] != expected[1]:
        raise RuntimeError(f"not every row came in: {report}")
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
