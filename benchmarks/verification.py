"""Verification against its floor: requests a second and 99th percentile at 16 connections.

    python -m benchmarks.verification [--people 20000] [--seconds 5] [--rounds 5]

Both are served by one worker over the same embedded PostgreSQL, in turn, several times; the ratio of each round is
taken, and the median round counts. The service is the whole one, with its sequencer, logs and metrics at work.
Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import orjson
import psycopg
from sqlalchemy import make_url

from benchmarks import load, verification_floor
from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from demonstration import city
from demonstration.parties import System
from foundation import database
from foundation.identity.principals import Role
from foundation.identity.tables import put_client
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings

CONNECTIONS = 16
RATE_TARGET = 0.5
P99_TARGET = 2.5
AUDIENCE = "urn:zhengtong:exchange"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        settings = Settings(home=home, listen_port=free_port(), sequence_interval_seconds=1)
        with database.running_database(settings) as address:
            floor_address = _another_database(address)
            asyncio.run(verification_floor.prepare(floor_address))
            database.migrate(address)
            plan = city.CityPlan(people=options.people, mess=city.Mess({}, {}, {}))
            path = home / "population.csv"
            city.write_population(plan, path)
            mapping = load_mapping("population")
            vault = open_vault(settings, datetime.now(UTC))
            run(mapping, FileSource(path, mapping), database=address, vault=vault)
            floor_port = free_port()
            ours = [sys.executable, "-m", "zhengtong", "--home", str(home), "serve"]
            floor = [sys.executable, "-m", "benchmarks.verification_floor", floor_address, str(floor_port)]
            with (
                _serving([*ours, "--port", str(settings.listen_port)], settings.listen_port),
                _serving(floor, floor_port),
            ):
                return _compare(
                    options, _questions(settings, address, plan), settings.listen_port, floor_port
                )


def _compare(options: argparse.Namespace, questions: list[bytes], port: int, floor_port: int) -> int:
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
            print(f"not every reply was 200: floor {floor.failed}, verification {ours.failed}")
            return 1
        rates.append(ours.rate / floor.rate)
        tails.append(ours.p99 / floor.p99)
        print(
            f"round {number + 1}: floor {floor.rate:7,.0f}/s p50 {floor.p50:5.1f} ms p99 {floor.p99:5.1f} ms   "
            f"verification {ours.rate:7,.0f}/s p50 {ours.p50:5.1f} ms p99 {ours.p99:5.1f} ms   "
            f"ratio {rates[-1]:.2f}, p99 {tails[-1]:.2f}",
            flush=True,
        )
    rate, tail = statistics.median(rates), statistics.median(tails)
    print(f"requests/s: {rate:.2f} of the floor (target at least {RATE_TARGET})")
    print(f"p99: {tail:.2f} times the floor's (target at most {P99_TARGET})")
    return 0 if rate >= RATE_TARGET and tail <= P99_TARGET else 1


def _questions(settings: Settings, address: str, plan: city.CityPlan) -> list[bytes]:
    """Return requests about 2,000 people, with the token of a department that has a grant."""
    asking = System("housing-fund", "公积金", city.office_code(2), frozenset({Role.DEPARTMENT_SYSTEM}))
    sharing = System("data-bureau", "数据局", city.office_code(5), frozenset({Role.SHARING_AUTHORITY}))

    async def register() -> None:
        engine = database.engine(address)
        for system in (asking, sharing):
            await put_client(engine, system.registration(), datetime.now(UTC))
        await engine.dispose()

    asyncio.run(register())
    now = datetime.now(UTC)
    grant = {
        "client_id": asking.client_id,
        "resource": "persons-basic",
        "fields": ["name", "marital_status", "residence_division"],
        "matters": ["housing-fund-withdrawal"],
        "purpose": "住房公积金提取资格核验",
        "legal_basis": "政务数据共享条例（国务院令第809号）",
        "valid_from": now.isoformat(),
        "valid_until": (now + timedelta(days=1)).isoformat(),
    }
    with httpx.Client(base_url=settings.base_url) as http:
        sharing.call(http, "POST", "/exchange/v1/grants", grant).raise_for_status()
        token = asking.token(http, AUDIENCE)
    everybody = list(city.people(plan))
    made = []
    for number, person in enumerate(random.Random(1).sample(everybody, min(2000, len(everybody)))):
        body = {
            "resource": "persons-basic",
            "subject": person.citizen_id,
            "claims": {
                "name": person.name,
                "marital_status": "married",
                "residence_division": person.residence_division,
            },
            "matter": "housing-fund-withdrawal",
            "case": f"公积金提取 2025-{number:06d}",
        }
        headers = {"Authorization": f"Bearer {token}"}
        made.append(load.post("/exchange/v1/verifications", orjson.dumps(body), headers))
    return made


def _another_database(address: str) -> str:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE floor")
    return make_url(address).set(database="floor").render_as_string(hide_password=False)


@contextlib.contextmanager
def _serving(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
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
