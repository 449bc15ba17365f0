"""Issuing licences in bulk against a bare loop of one signature and one INSERT of the same size, all on one core.

    python -m benchmarks.issuing [--rows 4000]

The loop signs as many bytes as a credential has signed, by ES256, and inserts as many as a licence, its event and its
line of the report have, into a table with the same indexes, in transactions of as many rows as a batch has. Bulk
issuing checks fields, number and dates, asks the register of legal entities for each holder, looks for what is in
force, makes identifier and credential, seals, puts the lead copies through to the disk, and writes licence, event,
promise to the log and report: everything but a laid-out document. Beside it the same without the lead copies. Database
and program are bound to one core. Exits 1 when the target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg

from foundation import database
from foundation.identifiers import Uscc
from foundation.identity.principals import Principal, Role
from foundation.sensitive import Vault
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from license_registry import tables
from license_registry.catalog.types import load_types
from license_registry.issuing.bulk.jobs import BATCH, submit, work
from license_registry.issuing.requests import Key
from license_registry.lifecycle.status_lists import PURPOSE, StatusLists
from license_registry.ports import Registry
from license_registry.presenting.present import lead_copy
from license_registry.store.objects import FileStore
from zhengtong.holders import RegisteredHolders
from zhengtong.house_keys import open_keys

TARGET = 0.25
ROUNDS = 3
AUTHORITY = Principal("benchmark", "11990100MB2A00001X", frozenset({Role.ISSUING_AUTHORITY}))
BARE = (
    "CREATE TABLE bare (identifier text PRIMARY KEY, type_code text NOT NULL, number text NOT NULL,"
    " holder bytea NOT NULL, presenter bytea NOT NULL, status_index bigint NOT NULL UNIQUE, rest bytea NOT NULL,"
    " token bytea NOT NULL, UNIQUE (type_code, number));"
    " CREATE INDEX ON bare (holder); CREATE INDEX ON bare (presenter)"
)


class NoCopies(FileStore):
    """A store that keeps the lines of jobs, and no lead copies."""

    def put_many(self, objects: Sequence[tuple[str, bytes]]) -> None:
        pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4000)
    rows = parser.parse_args().rows
    # Before the database starts, so that it is bound too.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        settings = Settings(home=Path(folder) / "home", holder_register="required")
        with database.running_database(settings) as address:
            database.migrate(address)
            ratios = asyncio.run(measure(settings, address, rows))
    ratio = statistics.median(ratios)
    print(f"bulk issuing reaches {ratio:.2f} of the bare loop (target at least {TARGET})")
    return 0 if ratio >= TARGET else 1


async def measure(settings: Settings, address: str, rows: int) -> list[float]:
    ratios = []
    async with database.pool(address, 4) as pool:
        now = datetime.now(UTC)
        keys, vault = open_keys(settings, now), open_vault(settings, now)

        def registry(store: FileStore) -> Registry:
            return Registry(
                settings, pool, vault, keys, store, load_types(),
                StatusLists(pool, keys, f"{settings.base_url}/registry"), RegisteredHolders(pool, vault),
            )  # fmt: skip

        without, whole = (
            registry(NoCopies(settings.objects_folder)),
            registry(FileStore(settings.objects_folder)),
        )
        await register_holders(pool, vault, rows)
        await bulk(whole, "W", BATCH)
        size, token = await sizes(whole)
        # As the service does at start (`zhengtong/app.py`).
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        print(f"{size:,} bytes a licence in the database, {token:,} signed")
        for turn in range(ROUNDS):
            floor = rows / await asyncio.to_thread(bare, address, keys, size, token, turn, rows)
            ours = rows / await bulk(whole, f"A{turn}", rows)
            bodiless = rows / await bulk(without, f"B{turn}", rows)
            ratios.append(ours / floor)
            print(
                f"bare {floor:7,.0f}/s   bulk {ours:7,.0f}/s   ratio {ours / floor:.2f}   without lead copies"
                f" {bodiless:7,.0f}/s ({bodiless / floor:.2f})",
                flush=True,
            )
    return ratios


async def bulk(registry: Registry, prefix: str, rows: int) -> float:
    """Issue as many licences by a job and return the seconds; taking the job in is not counted."""
    lines = b"\n".join(orjson.dumps(request(prefix, number)) for number in range(rows))
    job = await submit(registry, AUTHORITY, Key("benchmark", prefix), "issue", lines, datetime.now(UTC))
    started = time.perf_counter()
    await work(registry, job.id)
    seconds = time.perf_counter() - started
    issued = await registry.pool.fetchval(
        "SELECT issued FROM license_registry.issue_job WHERE id = $1", job.id
    )
    if issued != rows:
        raise RuntimeError(f"{issued} of {rows} were issued")
    return seconds


def request(prefix: str, number: int) -> dict[str, Any]:
    return {
        "licence_type": "business-licence",
        "number": f"{prefix.upper()}{number:08d}",
        "fields": {
            "holder_name": f"示范市东湖茶业第{number}有限公司",
            "holder_code": str(Uscc.compute(f"91990101MA{number:07d}")),
            "entity_type": "有限责任公司",
            "representative_name": "张三丰",
            "registered_capital": "壹佰万元整",
            "established_on": "2001-05-06",
            "business_scope": "茶叶种植、加工、销售；食品经营；货物进出口；技术服务",
            "address": "示范市东湖区滨湖路128号",
        },
        "valid_from": date(2020, 1, 1).isoformat(),
        "valid_until": "2039-12-31",
        "presenter": "990101198002291233",
    }


async def register_holders(pool: Any, vault: Vault, rows: int) -> None:
    """Bring the holders of all requests into the register of legal entities."""
    told = [request("", number)["fields"] for number in range(rows)]
    await pool.execute(
        "INSERT INTO exchange.legal_entity (subject, version, content, fingerprint, source, run_id, origin_row,"
        " valid_from) SELECT subject, 1, content, subject, 'benchmark', gen_random_uuid(), 1, now()"
        " FROM unnest($1::bytea[], $2::jsonb[]) AS t (subject, content)",
        [vault.blind_index("uscc", fields["holder_code"]) for fields in told],
        [{"name": fields["holder_name"], "code": fields["holder_code"]} for fields in told],
    )


async def sizes(registry: Registry) -> tuple[int, int]:
    """Bytes that a licence takes in the database (row, event, line of the report), and bytes that are signed."""
    row = await registry.pool.fetchrow(
        "SELECT avg(pg_column_size(l.*) + pg_column_size(v.*) + pg_column_size(r.*))::int, min(identifier)"
        " FROM license_registry.licence l JOIN license_registry.event v USING (identifier)"
        " JOIN license_registry.issue_job_row r USING (identifier)"
    )
    licence = await tables.find(registry.pool, row[1])
    assert licence is not None
    token = (await lead_copy(registry, licence)).partition("~")[0]
    return row[0], len(token.rpartition(".")[0])


def bare(address: str, keys: Any, size: int, token: int, turn: int, rows: int) -> float:
    """Run the bare loop and return the seconds."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute(BARE)
    with psycopg.connect(address) as connection:
        started = time.perf_counter()
        signer = keys.signer(PURPOSE)
        for number in range(rows):
            payload = os.urandom(token)
            signature = signer.sign(payload)
            connection.execute(
                "INSERT INTO bare VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    f"1.2.156.3005.2.{turn}.{number}", "11100000MB0143028R001", f"{number:08d}", payload[:16],
                    payload[16:32], number, os.urandom(size - 300), signature,
                ],
            )  # fmt: skip
            if number % BATCH == BATCH - 1:
                connection.commit()
        connection.commit()
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
