"""Many subjects in one batch against the same asked one by one: subjects a second, one worker.

    python -m benchmarks.batches [--people 20000] [--rows 100000] [--seconds 4] [--rounds 3]

The same service answers both in turn, over HTTP: single verifications from 16 connections, and a batch from its POST
until its result can be fetched. Each round takes the ratio; the median round counts. While a batch runs, single
verifications are asked at leisure, to show what it does to them. Exits 1 when the target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
from joserfc.jwk import ECKey

from benchmarks import load
from benchmarks.askers import AUDIENCE
from benchmarks.verification import CONNECTIONS, _serving, free_port
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

TARGET = 10.0
QUESTION = {"resource": "persons-basic", "matter": "housing-fund-withdrawal", "case": "年度核验 2025"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        settings = Settings(home=home, listen_port=free_port(), sequence_interval_seconds=1)
        with database.running_database(settings) as address:
            database.migrate(address)
            plan = city.CityPlan(people=options.people, mess=city.Mess({}, {}, {}))
            path = home / "population.csv"
            city.write_population(plan, path)
            mapping = load_mapping("population")
            run(
                mapping,
                FileSource(path, mapping),
                database=address,
                vault=open_vault(settings, datetime.now(UTC)),
            )
            asking = System(
                "housing-fund", "公积金", city.office_code(2), frozenset({Role.DEPARTMENT_SYSTEM})
            )
            sharing = System(
                "data-bureau", "数据局", city.office_code(5), frozenset({Role.SHARING_AUTHORITY})
            )
            asyncio.run(_register(address, asking, sharing))
            ours = [sys.executable, "-m", "zhengtong", "--home", str(home), "serve"]
            with _serving([*ours, "--port", str(settings.listen_port)], settings.listen_port):
                return _compare(options, settings, plan, asking, sharing)


def _compare(
    options: argparse.Namespace, settings: Settings, plan: city.CityPlan, asking: System, sharing: System
) -> int:
    chosen = random.Random(1)
    everybody = [
        {"subject": person.citizen_id, "claims": {"name": person.name, "marital_status": "married"}}
        for person in city.people(plan)
    ]
    subjects = b"".join(orjson.dumps(chosen.choice(everybody)) + b"\n" for _row in range(options.rows))
    ratios = []
    with httpx.Client(base_url=settings.base_url, timeout=60) as http:
        _grant(http, sharing, asking)
        bearer = {"Authorization": f"Bearer {asking.token(http, AUDIENCE)}"}
        single = [
            load.post("/exchange/v1/verifications", orjson.dumps({**QUESTION, **row}), bearer)
            for row in chosen.sample(everybody, min(2000, len(everybody)))
        ]
        load.run(settings.listen_port, single, CONNECTIONS, 2)
        for number in range(options.rounds):
            one_by_one = load.run(settings.listen_port, single, CONNECTIONS, options.seconds)
            if one_by_one.failed:
                print(f"not every reply was 200: {one_by_one.failed}")
                return 1
            together, worst = _batch(http, bearer, subjects, options.rows, everybody[0])
            ratios.append(together / one_by_one.rate)
            print(
                f"round {number + 1}: one by one {one_by_one.rate:7,.0f}/s   batch {together:8,.0f}/s   "
                f"ratio {ratios[-1]:5.1f}   a single one meanwhile: median {worst[0]:.0f} ms, worst {worst[1]:.0f} ms",
                flush=True,
            )
    ratio = statistics.median(ratios)
    print(f"subjects/s: {ratio:.1f} times single verifications (target at least {TARGET:g})")
    return 0 if ratio >= TARGET else 1


def _batch(
    http: httpx.Client, bearer: dict[str, str], subjects: bytes, rows: int, one: dict[str, Any]
) -> tuple[float, tuple[float, float]]:
    """Send a batch and wait for it; return subjects a second, and milliseconds of single verifications meanwhile."""
    key = ECKey.generate_key("P-256").as_dict(private=False)
    question = {**QUESTION, "mode": "verify", "result_key": key}
    waits = []
    started = time.perf_counter()
    reply = http.post(
        "/exchange/v1/batches",
        headers={**bearer, "Idempotency-Key": uuid.uuid4().hex},
        data={"question": orjson.dumps(question).decode()},
        files={"subjects": ("subjects.jsonl", subjects, "application/x-ndjson")},
    )
    reply.raise_for_status()
    batch = reply.json()["id"]
    while True:
        asked = time.perf_counter()
        http.post("/exchange/v1/verifications", json={**QUESTION, **one}, headers=bearer).raise_for_status()
        waits.append((time.perf_counter() - asked) * 1000)
        shown = http.get(f"/exchange/v1/batches/{batch}", headers=bearer).json()
        if shown["state"] == "done":
            break
        if shown["state"] != "running" and shown["state"] != "accepted":
            raise RuntimeError(f"the batch is {shown['state']}: {shown['problem']}")
        time.sleep(0.1)
    elapsed = time.perf_counter() - started
    if shown["answered"] != rows:
        raise RuntimeError(f"{shown['answered']} of {rows} were answered")
    return rows / elapsed, (statistics.median(waits), max(waits))


async def _register(address: str, *systems: System) -> None:
    engine = database.engine(address)
    for system in systems:
        await put_client(engine, system.registration(), datetime.now(UTC))
    await engine.dispose()


def _grant(http: httpx.Client, sharing: System, asking: System) -> None:
    now = datetime.now(UTC)
    grant = {
        "client_id": asking.client_id,
        "resource": QUESTION["resource"],
        "fields": ["name", "marital_status"],
        "matters": [QUESTION["matter"]],
        "modes": ["verify", "batch"],
        "purpose": "住房公积金提取资格核验",
        "legal_basis": "政务数据共享条例（国务院令第809号）",
        "valid_from": now.isoformat(),
        "valid_until": (now + timedelta(days=1)).isoformat(),
    }
    sharing.call(http, "POST", "/exchange/v1/grants", grant).raise_for_status()


if __name__ == "__main__":
    sys.exit(main())
