"""Verification and query against their floor: requests a second and 99th percentile at 16 connections.

    python -m benchmarks.verification [--people 20000] [--seconds 5] [--rounds 5] [--many [PEOPLE]]
        [--workers N]

All are served by one worker over the same embedded PostgreSQL, in turn, several times; the ratio of each round is
taken, and the median round counts. The service is the whole one, with its sequencer, logs and metrics at work, and with
1,000 clients that ask, and 5,000 grants; every third client has quotas.

With `--many`, instead: the latency of verifications, one after the other, among 10,000,000 persons (or as many as are
said), whom SQL makes, beside the latency among 100,000. With `--workers`: the rate of so many workers beside that of
one. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
from sqlalchemy import make_url

from benchmarks import askers, load, verification_floor
from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration import city
from foundation import database
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings

CONNECTIONS = 16
RATE_TARGET = 0.6
P99_TARGET = 2.0
WORKERS_TARGET = 0.85
"""Of a worker's share: 1.7 times one for two, where they have cores of their own."""
MANY_TARGET = 1.3
CLIENTS = 1_000
ASKED_ABOUT = 2_000
FEW = 100_000
BATCH = 250_000
WAYS = {
    "verification": ("/exchange/v1/verifications", askers.verification),
    "query": ("/exchange/v1/queries", askers.query),
}

# Whoever is not asked about needs no values that open; rows are as large as those that were brought in.
FILLER = """
INSERT INTO exchange.person (subject, content, sealed, fingerprint, source, run_id, origin_row, version, valid_from,
    origin_part)
SELECT decode(md5('s' || n), 'hex'), t.content, t.sealed, decode(md5('f' || n), 'hex'), t.source, t.run_id, n, 1,
    t.valid_from, ''
FROM generate_series({first}, {last}) AS n, (SELECT * FROM real LIMIT 1) AS t
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, nargs="?", const=10_000_000)
    parser.add_argument("--workers", type=int, help="beside one: needs as many cores and more for the others")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        settings = Settings(home=home, listen_port=free_port(), sequence_interval_seconds=1)
        plan = city.CityPlan(people=options.people, mess=city.Mess({}, {}, {}))
        with database.running_database(settings) as address:
            if options.many:
                return _few_and_many(options, Path(folder), address, plan)
            if options.workers:
                return _one_and_several(options, settings, address, plan)
            floor_address = _another_database(address)
            asyncio.run(verification_floor.prepare(floor_address))
            _fill(settings, address, plan)
            systems = askers.register_clients(address, CLIENTS)
            floor_port = free_port()
            floor = [sys.executable, "-m", "benchmarks.verification_floor", floor_address, str(floor_port)]
            with _house(settings, address), _serving(floor, floor_port):
                bearers = askers.tokens(settings.base_url, systems)
                people = askers.sample(plan, ASKED_ABOUT)
                missed = 0
                for way, (path, body) in WAYS.items():
                    asked = askers.requests(path, body, people, bearers)
                    missed |= _compare(options, way, asked, settings.listen_port, floor_port)
                return missed


def _fill(settings: Settings, address: str, plan: city.CityPlan) -> None:
    """Make the tables, and bring the people of a city in."""
    database.migrate(address)
    path = settings.home / "population.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    city.write_population(plan, path)
    mapping = load_mapping("population")
    vault = open_vault(settings, datetime.now(UTC))
    run(mapping, FileSource(path, mapping), database=address, vault=vault)


def _compare(
    options: argparse.Namespace, way: str, questions: list[bytes], port: int, floor_port: int
) -> int:
    shuffled = random.Random(1)
    points = [
        load.post("/", verification_floor.subject(shuffled.randrange(verification_floor.SUBJECTS)), {})
        for _ in range(len(questions))
    ]
    load.run(floor_port, points, CONNECTIONS, 2)
    load.run(port, questions, CONNECTIONS, 2)
    rates, tails = [], []
    for number in range(options.rounds):
        floor = load.run(floor_port, points, CONNECTIONS, options.seconds)
        ours = load.run(port, questions, CONNECTIONS, options.seconds)
        if floor.failed or ours.failed:
            print(f"not every reply was 200: floor {floor.failed}, {way} {ours.failed}")
            return 1
        rates.append(ours.rate / floor.rate)
        tails.append(ours.p99 / floor.p99)
        print(
            f"round {number + 1}: floor {floor.rate:7,.0f}/s p50 {floor.p50:5.1f} ms p99 {floor.p99:5.1f} ms   "
            f"{way} {ours.rate:7,.0f}/s p50 {ours.p50:5.1f} ms p99 {ours.p99:5.1f} ms   "
            f"ratio {rates[-1]:.2f}, p99 {tails[-1]:.2f}",
            flush=True,
        )
    rate, tail = statistics.median(rates), statistics.median(tails)
    print(f"{way}, requests/s: {rate:.2f} of the floor (target at least {RATE_TARGET})")
    print(f"{way}, p99: {tail:.2f} times the floor's (target at most {P99_TARGET})", flush=True)
    return 0 if rate >= RATE_TARGET and tail <= P99_TARGET else 1


def _few_and_many(options: argparse.Namespace, folder: Path, address: str, plan: city.CityPlan) -> int:
    """Compare the latency of one verification after the other among few persons and among many."""
    people = askers.sample(plan, ASKED_ABOUT)
    with contextlib.ExitStack() as stack:
        sides = []
        for persons in (FEW, options.many):
            settings = Settings(home=folder / f"home_{persons}", listen_port=free_port())
            own = _another_database(address, f"persons_{persons}")
            _fill(settings, own, plan)
            _spread(own, persons)
            systems = askers.register_clients(own, CLIENTS)
            stack.enter_context(_house(settings, own))
            bearers = askers.tokens(settings.base_url, systems[:50])
            path, body = WAYS["verification"]
            asked = askers.requests(path, body, people, bearers)
            load.run(settings.listen_port, asked, 1, 5)
            sides.append((settings.listen_port, asked))
        ratios = []
        for number in range(options.rounds):
            few, many = (load.run(port, asked, 1, options.seconds) for port, asked in sides)
            if few.failed or many.failed:
                print(f"not every reply was 200: {few.failed} and {many.failed}")
                return 1
            ratios.append(many.p50 / few.p50)
            print(
                f"round {number + 1}: among {FEW:,} p50 {few.p50:.2f} ms p99 {few.p99:.2f} ms   "
                f"among {options.many:,} p50 {many.p50:.2f} ms p99 {many.p99:.2f} ms   ratio {ratios[-1]:.2f}",
                flush=True,
            )
    ratio = statistics.median(ratios)
    print(
        f"p50 among {options.many:,} is {ratio:.2f} times that among {FEW:,} (target at most {MANY_TARGET})"
    )
    return 0 if ratio <= MANY_TARGET else 1


def _one_and_several(
    options: argparse.Namespace, settings: Settings, address: str, plan: city.CityPlan
) -> int:
    """Compare the verifications a second of several workers with those of one, over the same database."""
    _fill(settings, address, plan)
    systems = askers.register_clients(address, CLIENTS)
    people = askers.sample(plan, ASKED_ABOUT)
    several = settings.model_copy(update={"listen_port": free_port()})
    with _house(settings, address), _house(several, address, options.workers):
        sides = []
        for each in (settings, several):
            asked = askers.requests(*WAYS["verification"], people, askers.tokens(each.base_url, systems))
            load.run(each.listen_port, asked, CONNECTIONS, 2)
            sides.append((each.listen_port, asked))
        ratios = []
        for number in range(options.rounds):
            one, more = (load.run(port, asked, CONNECTIONS, options.seconds) for port, asked in sides)
            if one.failed or more.failed:
                print(f"not every reply was 200: {one.failed} and {more.failed}")
                return 1
            ratios.append(more.rate / one.rate)
            print(
                f"round {number + 1}: one worker {one.rate:7,.0f}/s   {options.workers} workers "
                f"{more.rate:7,.0f}/s   ratio {ratios[-1]:.2f}",
                flush=True,
            )
    ratio, target = statistics.median(ratios), WORKERS_TARGET * options.workers
    print(f"{options.workers} workers: {ratio:.2f} times one (target at least {target:.2f})")
    return 0 if ratio >= target else 1


def _spread(address: str, persons: int) -> None:
    """Fill the register up, with those who will be asked about spread among the others."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE real AS SELECT *, row_number() OVER () AS place FROM exchange.person"
        )
        ((real,),) = connection.execute("SELECT count(*) FROM real").fetchall()
        connection.execute("TRUNCATE exchange.person")
        columns = "subject, content, sealed, fingerprint, source, run_id, origin_row, version, valid_from, origin_part"
        for first in range(0, persons, BATCH):
            last = min(first + BATCH, persons)
            connection.execute(FILLER.format(first=first, last=last - 1))
            connection.execute(
                f"INSERT INTO exchange.person ({columns}) SELECT {columns} FROM real WHERE place > %s AND place <= %s",
                [real * first // persons, real * last // persons],
            )
            print(f"{last:,} of {persons:,} persons", flush=True)
        connection.execute("VACUUM ANALYZE exchange.person")


def _another_database(address: str, name: str = "floor") -> str:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return make_url(address).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def _house(settings: Settings, address: str, workers: int = 1) -> Iterator[None]:
    command = [sys.executable, "-m", "zhengtong", "--home", str(settings.home), "serve"]
    with _serving(
        [*command, "--port", str(settings.listen_port), "--workers", str(workers)],
        settings.listen_port,
        {"ZHENGTONG_DATABASE_URL": address, "ZHENGTONG_SEQUENCE_INTERVAL_SECONDS": "1"},
    ):
        yield


@contextlib.contextmanager
def _serving(command: list[str], port: int, settings: dict[str, str] | None = None) -> Iterator[None]:
    process = subprocess.Popen(command, env={**os.environ, **(settings or {})})
    try:
        deadline = time.monotonic() + 30
        while True:
            # The door is open before the house is: whoever answers, whatever, is ready.
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"did not start: {command[2:4]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
