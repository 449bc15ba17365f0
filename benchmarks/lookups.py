"""Looking licences up among many and among few: by number, by holder, by identifier.

    python -m benchmarks.lookups [--few 50000] [--many 5000000] [--lookups 3000]

The rows are made by SQL, two licences for each holder; the statements are those of the program. Each round looks up the
same number of random licences in both tables, a few in turn; the median of the rounds' ratios counts. Exits 1 when a
lookup among many takes more than 1.3 times the time among few.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from foundation import database
from foundation.settings import Settings
from license_registry import tables
from license_registry.disclosing.tables import identifiers_of_number

TARGET = 1.3
ROUNDS = 7
TYPE_CODE = "11100000MB0143028R001"
ROWS = """
INSERT INTO license_registry.licence (identifier, type_code, number, issuer, holder, presenter, state, state_since,
    valid_from, issued_at, status_index, object_key, object_sha256, request_digest, sealed, type_version, issued_on,
    first_issued_on, origin)
SELECT '1.2.156.3005.2.{type}.11990100MB2A00001X.2026' || lpad(n::text, 10, '0') || '.001.X', '{type}',
    'N' || lpad(n::text, 10, '0'), '11990100MB2A00001X', decode(md5((n / 2)::text), 'hex'),
    decode(md5('p' || n), 'hex'), '01', now(), '2020-01-01', now(), n, 'licences/' || n || '.sdjwt',
    decode(md5('o' || n), 'hex'), decode(md5('r' || n), 'hex'), decode(repeat(md5('s' || n), 10), 'hex'), 1,
    '2020-01-01', '2020-01-01', 'issued'
FROM generate_series({first}, {last}) AS n
"""
BATCH = 250_000
TOGETHER = 20

Lookup = Callable[[Any, int], Awaitable[Any]]


async def by_number(pool: Any, n: int) -> Any:
    return await identifiers_of_number(pool, [TYPE_CODE], f"N{n:010d}")


async def by_identifier(pool: Any, n: int) -> Any:
    return await tables.find(pool, f"1.2.156.3005.2.{TYPE_CODE}.11990100MB2A00001X.2026{n:010d}.001.X")


async def by_holder(pool: Any, n: int) -> Any:
    holder = hashlib.md5(str(n // 2).encode(), usedforsecurity=False).digest()
    return await tables.of_holders(pool, [holder])


LOOKUPS: dict[str, Lookup] = {"number": by_number, "holder": by_holder, "identifier": by_identifier}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=50_000)
    parser.add_argument("--many", type=int, default=5_000_000)
    parser.add_argument("--lookups", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        with database.running_database(Settings(home=Path(folder) / "home")) as address:
            few, many = (_filled(address, rows) for rows in (options.few, options.many))
            return asyncio.run(_compare(options, few, many))


def _filled(address: str, rows: int) -> str:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE rows_{rows}")
    own = make_url(address).set(database=f"rows_{rows}").render_as_string(hide_password=False)
    database.migrate(own)
    with psycopg.connect(own, autocommit=True) as connection:
        for first in range(0, rows, BATCH):
            last = min(first + BATCH, rows) - 1
            connection.execute(ROWS.format(type=TYPE_CODE, first=first, last=last))
            print(f"{last + 1:,} of {rows:,} rows", flush=True)
        connection.execute("VACUUM ANALYZE license_registry.licence")
    return own


async def _compare(options: argparse.Namespace, few: str, many: str) -> int:
    missed = 0
    async with database.pool(few, 1) as small, database.pool(many, 1) as large:
        for name, lookup in LOOKUPS.items():
            ratios, times = [], [0.0, 0.0]
            for turn in range(ROUNDS + 1):
                times = await _times(
                    lookup, ((small, options.few), (large, options.many)), options.lookups, turn
                )
                if turn:  # the first round warms up
                    ratios.append(times[1] / times[0])
            ratio = statistics.median(ratios)
            missed += ratio > TARGET
            print(
                f"by {name}: {times[0] * 1e6:,.0f} µs among {options.few:,}, {times[1] * 1e6:,.0f} µs among"
                f" {options.many:,}: {ratio:.2f} times (target at most {TARGET})",
                flush=True,
            )
    return 1 if missed else 0


async def _times(lookup: Lookup, sides: Sequence[tuple[Any, int]], count: int, seed: int) -> list[float]:
    """Return the seconds of one lookup on each side; every one finds something.

    A few on one side, a few on the other: what else the machine does meets both alike.
    """
    chooser = random.Random(seed)
    spent = [0.0] * len(sides)
    for _ in range(count // TOGETHER):
        for side, (pool, rows) in enumerate(sides):
            chosen = chooser.choices(range(rows), k=TOGETHER)
            started = time.perf_counter()
            for n in chosen:
                if not await lookup(pool, n):
                    raise RuntimeError("a licence that is there was not found")
            spent[side] += time.perf_counter() - started
    return [each / (count // TOGETHER * TOGETHER) for each in spent]


if __name__ == "__main__":
    sys.exit(main())
