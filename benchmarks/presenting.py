"""Online verification by code against the verification floor: requests a second at 16 connections.

    python -m benchmarks.presenting [--seconds 3] [--rounds 5]

Both are served by one worker over the same embedded PostgreSQL, in turn, several times; the ratio of each round is
taken, and the median round counts. Each code is used once, as codes are; they are made beforehand. The service is the
whole one, with its sequencer, logs and metrics at work. Exits 1 when the target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import secrets
import statistics
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import orjson
import psycopg

from benchmarks import load, verification_floor
from benchmarks.verification import _another_database, _serving, free_port
from demonstration import city
from demonstration.parties import System
from foundation import database
from foundation.identifiers import CitizenId, Uscc
from foundation.identity.principals import Principal, Role
from foundation.identity.tables import put_client
from foundation.settings import Settings
from license_registry.credentials import sd_jwt
from license_registry.issuing.issue import IssueRequest, issue
from license_registry.presenting.present import code_digest, lead_copy
from zhengtong.licences import open_registry

CONNECTIONS = 16
TARGET = 0.5
LICENCES = 200
CODES_A_SECOND = 3000
AUDIENCE = "urn:zhengtong:license-registry"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        settings = Settings(
            home=home,
            listen_port=free_port(),
            sequence_interval_seconds=1,
            holder_register="if-known",
            documents="when-asked",  # drawing beside would be measured too
        )
        with database.running_database(settings) as address:
            floor_address = _another_database(address)
            asyncio.run(verification_floor.prepare(floor_address))
            database.migrate(address)
            each = int(options.seconds * CODES_A_SECOND)
            codes = asyncio.run(_codes(settings, address, each * (options.rounds + 1)))
            floor_port = free_port()
            ours = [sys.executable, "-m", "zhengtong", "--home", str(home), "serve"]
            floor = [sys.executable, "-m", "benchmarks.verification_floor", floor_address, str(floor_port)]
            with (
                _serving([*ours, "--port", str(settings.listen_port)], settings.listen_port),
                _serving(floor, floor_port),
            ):
                requests = _requests(settings, address, codes)
                parts = [requests[at : at + each] for at in range(0, len(requests), each)]
                return _compare(options, parts, settings.listen_port, floor_port)


def _compare(options: argparse.Namespace, parts: list[list[bytes]], port: int, floor_port: int) -> int:
    shuffled = random.Random(1)
    points = [
        load.post("/", verification_floor.subject(shuffled.randrange(verification_floor.SUBJECTS)), {})
        for _ in range(2000)
    ]
    load.run(floor_port, points, CONNECTIONS, 2)
    load.run(port, parts[0], CONNECTIONS, options.seconds)
    ratios = []
    for number, part in enumerate(parts[1:], 1):
        floor = load.run(floor_port, points, CONNECTIONS, options.seconds)
        ours = load.run(port, part, CONNECTIONS, options.seconds)
        if floor.failed or ours.failed:
            print(f"not every reply was 200: floor {floor.failed}, verification {ours.failed}")
            return 1
        ratios.append(ours.rate / floor.rate)
        print(
            f"round {number}: floor {floor.rate:7,.0f}/s p99 {floor.p99:5.1f} ms   "
            f"by code {ours.rate:7,.0f}/s p99 {ours.p99:5.1f} ms   ratio {ratios[-1]:.2f}",
            flush=True,
        )
    ratio = statistics.median(ratios)
    print(f"requests/s: {ratio:.2f} of the floor (target at least {TARGET})")
    return 0 if ratio >= TARGET else 1


async def _codes(settings: Settings, address: str, count: int) -> list[str]:
    """Issue some licences, and lay down as many codes as will be used, each showing two fields of one."""
    now = datetime.now(UTC)
    caller = Principal("benchmark", city.office_code(1), frozenset({Role.ISSUING_AUTHORITY}))
    person = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
    codes, rows = [], []
    async with open_registry(settings, address, now) as registry:
        shown = []
        for number in range(LICENCES):
            fields = {
                "holder_name": f"示范市第{number}茶业有限公司",
                "holder_code": str(Uscc.compute(f"91990101MA{number:07d}")),
                "representative_name": "张三丰",
                "registered_capital": "壹佰万元整",
                "established_on": "2001-05-06",
                "business_scope": "茶叶种植",
            }
            wanted = IssueRequest(
                "business-licence", f"TEST{number:06d}", fields, date(2020, 1, 1), None, person
            )
            licence = (await issue(registry, caller, wanted, now)).licence
            text = sd_jwt.select(
                await lead_copy(registry, licence), ["representative_name", "established_on"]
            )
            shown.append((licence, text.encode("ascii")))
        for number in range(count):
            licence, data = shown[number % LICENCES]
            code = base64.b32encode(secrets.token_bytes(20)).decode()
            digest = code_digest(code)
            assert licence.presenter is not None

            rows.append(
                (
                    digest,
                    licence.identifier,
                    licence.presenter,
                    "办理食品经营许可",
                    "food-permit",
                    registry.vault.seal(data, digest),
                    now + timedelta(hours=1),
                )
            )
            codes.append(code)
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        columns = "code_digest, identifier, presenter, purpose, matter, sealed, expires_at"
        with cursor.copy(f"COPY license_registry.presentation ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE license_registry.presentation")
    return codes


def _requests(settings: Settings, address: str, codes: list[str]) -> list[bytes]:
    counter = System("counter", "窗口", city.office_code(2), frozenset({Role.COUNTER}))

    async def register() -> None:
        engine = database.engine(address)
        await put_client(engine, counter.registration(), datetime.now(UTC))
        await engine.dispose()

    asyncio.run(register())
    with httpx.Client(base_url=settings.base_url) as http:
        headers = {"Authorization": f"Bearer {counter.token(http, AUDIENCE)}"}
    path = "/registry/v1/presentations/verify"
    return [
        load.post(path, orjson.dumps({"code": code, "case": f"2025-{number:06d}"}), headers)
        for number, code in enumerate(codes)
    ]


if __name__ == "__main__":
    sys.exit(main())
