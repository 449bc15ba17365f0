"""Bringing in legal entities beside dlt, a general loader: the same CSV, the same PostgreSQL, merge on the key.

    python -m benchmarks.side_by_side [--rows 1000000]

The file is that of `benchmarks.ingest`. dlt is installed into an environment of its own for the run. It reads the file
with Python's csv module, in batches, and merges on the unified code; it checks nothing and encrypts nothing. Both load
twice: into empty tables, and again unchanged. Whole processes are measured, start included. Exits 1 when a target is
missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from benchmarks.ingest import write_legal_entities
from foundation import database
from foundation.settings import Settings

TARGET = 5.0
REQUIREMENT = "dlt[postgres]>=1.20,<2"
PROGRAM = """
import csv, itertools, sys
import dlt

@dlt.resource(name="legal_entity", primary_key="code", write_disposition="merge")
def entities():
    with open(sys.argv[1], encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        names[1] = "code"
        while batch := list(itertools.islice(rows, 10_000)):
            yield [dict(zip(names, row)) for row in batch]

pipeline = dlt.pipeline("beside", destination=dlt.destinations.postgres(sys.argv[2]), dataset_name="beside",
                        pipelines_dir=sys.argv[3])
pipeline.run(entities())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        theirs = _install(Path(folder) / "dlt")
        with database.running_database(Settings(home=home)) as address:
            database.migrate(address)
            path = home / "legal_entities.csv"
            rows = write_legal_entities(options.rows, path)
            beside = _dlt_address(address)
            worst = float("inf")
            for name in ("empty", "unchanged"):
                floor = rows / _run([str(theirs), "-c", PROGRAM, str(path), beside, f"{folder}/pipelines"])
                command = [sys.executable, "-m", "zhengtong", "--home", str(home)]
                ours = rows / _run([*command, "ingest", "legal-entities", "--file", str(path), "--json"])
                worst = min(worst, ours / floor)
                rates = f"dlt {floor:8,.0f}/s   ingest {ours:8,.0f}/s   ratio {ours / floor:.1f}"
                print(f"{name:<10} {rows:>9,} rows   {rates}", flush=True)
            with psycopg.connect(address) as connection:
                (count,) = connection.execute("SELECT count(*) FROM exchange.legal_entity").fetchone() or (0,)
                if count != rows:
                    raise RuntimeError(f"{count} of {rows} rows came in")
    print(f"at least {worst:.1f} times dlt's rows/s (target at least {TARGET})")
    return 0 if worst >= TARGET else 1


def _install(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
    return python


def _dlt_address(address: str) -> str:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE beside")
    # dlt wants a host in the address itself, which for a socket is its folder, percent-encoded; and some password.
    url = make_url(address).set(database="beside")
    host = str(url.query["host"]).replace("/", "%2F")
    return f"postgresql://{url.username}:any@{host}/beside"


def _run(command: list[str]) -> float:
    environment = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "NORMALIZE__WORKERS": "1"}
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    if done.stdout.startswith("{") and json.loads(done.stdout)["quarantined"]:
        raise RuntimeError("a good row was refused")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
