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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from connectors.mapping import load_mapping
from demonstration import city
from demonstration.city.codes import company_code
from foundation import database
from foundation.settings import Settings

GROWTH_TARGET = 1.2
"""Peak at the full size, in times of the peak at a tenth of it: what 'flat' means here."""
TENFOLD_TARGET = 0.8
"""Rows a second at ten times the size, of those at the size."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A source to measure, and what is asked for.

    Args:
        write: writes about so many good rows and returns how many.
        ratio: of plain COPY, at least.
        memory: MB of the peak, below.
        again: an unchanged load in times of the first, at least; None: not asked for.
    """

    write: Callable[[int, Path], int]
    ratio: float
    memory: int
    again: float | None


MADE_ENTITIES = 20_000
"""So many a city is made for; a larger file has them again and again under other names and codes."""


def write_population(rows: int, path: Path) -> int:
    """Write the people of a city without mess."""
    return city.write_population(city.CityPlan(people=rows, mess=city.Mess({}, {}, {})), path).rows


def write_legal_entities(rows: int, path: Path) -> int:
    """Write companies without mess; no two have the same name or code."""
    made = path.with_suffix(".made")
    city.write_legal_entities(
        city.CityPlan(people=min(rows, MADE_ENTITIES) * 15, mess=city.Mess({}, {}, {})), made
    )
    header, *lines = made.read_text(encoding="utf-8").splitlines()
    rest = [line.split(",", 2) for line in lines]
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{header}\n")
        for start in range(0, rows, len(rest)):
            file.writelines(
                f"{name}{start},{company_code('990101', start + number)},{others}\n"
                for number, (name, _, others) in enumerate(rest[: rows - start])
            )
    made.unlink()
    return rows


KINDS = {
    "population": Kind(write_population, 0.10, 500, None),
    "legal-entities": Kind(write_legal_entities, 0.20, 400, 2.0),
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
            written = kind.write(rows, path)
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
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with ThreadPoolExecutor(max_workers=1) as watcher:
        peak = watcher.submit(_peak, psutil.Process(process.pid))
        output, _ = process.communicate()
    seconds = time.perf_counter() - started
    report = json.loads(output)
    if process.returncode != 0 or report[expected[0]] != expected[1]:
        raise RuntimeError(f"not every row came in: {report}")
    return seconds, peak.result() / (1 << 20)


def _peak(process: psutil.Process) -> int:
    """Return the most memory that a process and its workers had together, looking ten times a second.

    Memory that several share counts once (proportional set size).
    """
    most = 0
    while True:
        try:
            family = [process, *process.children(recursive=True)]
            most = max(most, sum(member.memory_full_info().pss for member in family))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            # A worker that has just ended does not matter; what was measured once it has itself ended, neither.
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return most
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
