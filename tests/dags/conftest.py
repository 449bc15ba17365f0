"""A real Airflow in an environment of its own, its metadata in the PostgreSQL of the test run."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from foundation.database import sqlalchemy_url

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-airflow" / "bin" / "python"


@dataclass(frozen=True, slots=True)
class Airflow:
    """A migrated Airflow: `python(...)` runs a program in it, with `more` in its environment."""

    home: Path
    metadata: str
    more: Mapping[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of its programs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "ZHENGTONG"))}
        url = sqlalchemy_url(self.metadata, "psycopg").render_as_string(hide_password=False)
        return {
            **kept,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "PYTHONPATH": str(ROOT),
            **self.more,
            **more,
        }

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a Python program, in a process group of its own."""
        return subprocess.Popen(
            [str(PYTHON), *arguments],
            env=self.environment(**more),
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def python(self, *arguments: str, **more: str) -> str:
        """Run a Python program to its end, and return what it said."""
        program = self.start(*arguments, **more)
        try:
            said, _ = program.communicate(timeout=100)
        finally:
            program.kill()
        assert program.returncode == 0, said
        return said

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the metadata."""
        with psycopg.connect(self.metadata, autocommit=True) as connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture(scope="session")
def airflow(server_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """An Airflow for the whole run; skips where its environment cannot be made."""
    made = subprocess.run(
        ["sh", "-c", ". deploy/environment.sh; environment airflow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"the environment of Airflow cannot be made: {made.stderr[-300:]}")
    name = f"airflow_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_address, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    address = make_url(server_address).set(database=name).render_as_string(hide_password=False)
    running = Airflow(tmp_path_factory.mktemp("airflow"), address)
    running.python("-m", "airflow", "db", "migrate")
    yield running
    with psycopg.connect(server_address, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
