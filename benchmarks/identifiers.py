"""Bulk checks of identifiers: how many a second on one core, and in times of one by one with python-stdnum.

    python -m benchmarks.identifiers [--count 1000000]

Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import stdnum.cn.ric
import stdnum.cn.uscc

from demonstration.city.codes import company_code
from foundation.identifiers import CitizenId
from foundation.identifiers.bulk import check_citizen_ids, check_usccs

RATE_TARGET = 1_000_000
ONE_BY_ONE = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    count = parser.parse_args().count
    rng = random.Random(1)
    # Divisions that python-stdnum knows, so that it works as hard as it can.
    people = [
        CitizenId.compute(
            "110101", date.fromordinal(rng.randrange(710000, 738000)), rng.randrange(1000)
        ).reveal()
        for _ in range(50_000)
    ]
    companies = [company_code("110101", number) for number in range(50_000)]
    enough = True
    for name, values, ours, theirs in (
        ("citizen IDs", people, check_citizen_ids, stdnum.cn.ric.is_valid),
        ("USCCs", companies, check_usccs, stdnum.cn.uscc.is_valid),
    ):
        many = [values[place % len(values)] for place in range(count)]
        rate = max(_bulk(ours, many) for _ in range(3))
        floor = max(_each(theirs, many[:ONE_BY_ONE]) for _ in range(3))
        print(
            f"{name:<12} {rate:12,.0f}/s   python-stdnum {floor:10,.0f}/s   ratio {rate / floor:6.0f}   "
            f"(target at least {RATE_TARGET:,}/s)"
        )
        enough = enough and rate >= RATE_TARGET
    return 0 if enough else 1


def _bulk(check: Callable[[Sequence[str]], Any], values: list[str]) -> float:
    started = time.process_time()
    verdicts = check(values)
    seconds = time.process_time() - started
    if verdicts.any():
        raise RuntimeError("a valid identifier was refused")
    return len(values) / seconds


def _each(is_valid: Callable[[str], bool], values: list[str]) -> float:
    started = time.process_time()
    if not all(map(is_valid, values)):
        raise RuntimeError("a valid identifier was refused")
    return len(values) / (time.process_time() - started)


if __name__ == "__main__":
    sys.exit(main())
