"""A real Airflow in an environment of its own, its metadata in the PostgreSQL of the test run."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from sqlalchemy import make_url

from demonstration.airflow import Installation, free_port
from demonstration.city import CityPlan, write_credentials, write_legal_entities, write_population
from exchange.registers.schemas import load_registers, place
from foundation.database import sqlalchemy_url
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from tests.conftest import fresh_database
from tests.turns import turn

ROOT = Path(__file__).resolve().parents[2]
RUN = str(Path(__file__).with_name("run_dag.py"))
WRITERS: dict[str, Callable[[CityPlan, Path], Any]] = {
    "population": write_population,
    "legal-entities": write_legal_entities,
    "credentials": write_credentials,
}
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
    with turn("airflow"):
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


@dataclass(frozen=True, slots=True)
class Land:
    """A database and a data folder; several lands share the folder, hence the keys, but not the inbox."""

    airflow: Airflow
    address: str
    home: Path
    inbox: Path

    def settings(self) -> dict[str, str]:
        return {
            "ZHENGTONG_HOME": str(self.home),
            "ZHENGTONG_DATABASE_URL": self.address,
            "ZHENGTONG_INBOX": str(self.inbox),
        }

    def put(self, source: str, name: str, plan: CityPlan) -> Path:
        path = self.inbox / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        WRITERS[source](plan, path)
        return path

    def test(self, source: str) -> str:
        """Run the DAG of a source; return the id of its run."""
        self.airflow.python(RUN, "dags.sources", f"zhengtong-{source}", **self.settings())
        ((run,),) = self.airflow.sql(
            "SELECT run_id FROM dag_run WHERE dag_id = %s ORDER BY id DESC LIMIT 1", f"zhengtong-{source}"
        )
        return str(run)

    def results(self, run: str, task: str) -> list[Any]:
        found = self.airflow.sql(
            "SELECT value FROM xcom WHERE run_id = %s AND task_id = %s AND key = 'return_value'"
            " ORDER BY map_index",
            run,
            task,
        )
        return [value for (value,) in found]

    def ingest(self, source: str, path: Path | None, **more: str) -> None:
        """Bring in a file, or what the origin has, by the command."""
        command = [sys.executable, "-m", "zhengtong", "ingest", source]
        command += [] if path is None else ["--file", str(path)]
        environment = {**os.environ, **self.settings(), **more}
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def registers(self) -> dict[str, Any]:
        """Return everything that may not depend on how the files came in, opened."""
        vault = open_vault(Settings(home=self.home), datetime.now(UTC))
        found: dict[str, Any] = {
            "quarantine": self.sql(
                "SELECT source, digest, field, reason FROM exchange.quarantine ORDER BY 1, 2, 3, 4"
            )
        }
        for register in load_registers().values():
            for table in (register.table, f"{register.table}_history"):
                rows = self.sql(
                    f"SELECT subject, version, content, sealed FROM exchange.{table} ORDER BY 1, 2"
                )
                found[table] = [
                    (subject, version, content | opened(vault, register.table, subject, sealed))
                    for subject, version, content, sealed in rows
                ]
        return found


def opened(vault: Any, table: str, subject: bytes, sealed: bytes | None) -> dict[str, Any]:
    return orjson.loads(vault.open(sealed, place(table, subject))) if sealed else {}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def land(airflow: Airflow, database_url: str, home: Path) -> Land:
    return Land(airflow, database_url, home, home / "inbox")


@pytest.fixture
def by_command(
    airflow: Airflow, server_address: str, template: str, home: Path, tmp_path: Path
) -> Iterator[Land]:
    """Another land, that files come into by the command."""
    with fresh_database(server_address, template) as address:
        yield Land(airflow, address, home, tmp_path / "other")


@contextmanager
def installed(server: str, home: Path, executor: str, variables: dict[str, str]) -> Iterator[Installation]:
    """Prepare an Airflow with a database of its own."""
    name = f"airflow_{uuid.uuid4().hex[:12]}"
    metadata = make_url(server).set(database=name).render_as_string(hide_password=False)
    installation = Installation(PYTHON, home, metadata, free_port(), executor, variables)
    try:
        installation.prepare()
        yield installation
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def sql(address: str, statement: str) -> list[tuple[Any, ...]]:
    """Look into any database."""
    with psycopg.connect(address, autocommit=True) as connection:
        return connection.execute(statement).fetchall()
