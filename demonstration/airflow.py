"""A real Airflow for the story: its database beside ours, its parts as children that end with us, its interface."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg
from psycopg import sql
from sqlalchemy import make_url

import dags
from connectors.gates import GateVerdict
from connectors.pipeline import Report
from demonstration.bringing_in import Opening, Way
from demonstration.transcript import Transcript
from foundation.database import sqlalchemy_url
from foundation.errors import DomainError
from foundation.language import _, both
from foundation.settings import Settings

DATABASE_NAME = "airflow"
USER = "admin"
PARTS: tuple[tuple[str, ...], ...] = (("scheduler",), ("dag-processor",), ("triggerer",))
"""What runs beside the API server, as commands of Airflow."""

START_SECONDS = 120
RUN_SECONDS = 3600
STOP_SECONDS = 20


class AirflowBroken(DomainError):
    """Airflow does not start, or a run of it did not succeed."""

    code = "airflow-broken"


@dataclass(frozen=True, slots=True)
class Installation:
    """An Airflow: where its programs, its files and its metadata are.

    Args:
        python: of the environment that Airflow is installed in.
        home: its folder: secrets, logs, what its parts say.
        metadata: libpq address of its database.
        variables: environment of all its programs beyond what follows from the above.
    """

    python: Path
    home: Path
    metadata: str
    port: int
    executor: str = "LocalExecutor"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where its pages and its interface are: on this machine only."""
        return f"http://127.0.0.1:{self.port}"

    def secret(self, name: str) -> str:
        """Return a secret of this installation, made when first asked for."""
        path = self.home / "secrets" / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _write_private(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        return path.read_text(encoding="ascii")

    def environment(self) -> dict[str, str]:
        """Return the environment of its programs."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        passwords = self.home / "secrets" / "passwords.json"
        _write_private(passwords, orjson.dumps({USER: self.secret("password")}).decode())
        url = sqlalchemy_url(self.metadata, "psycopg").render_as_string(hide_password=False)
        options = {
            "CORE__DAGS_FOLDER": str(Path(dags.__file__).parent),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "CORE__EXECUTOR": self.executor,
            "CORE__PARALLELISM": "4",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.address}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "CORE__FERNET_KEY": self.secret("fernet"),
            "API__BASE_URL": self.address,
            "API__SECRET_KEY": self.secret("api"),
            "API_AUTH__JWT_SECRET": self.secret("jwt"),
            "DATABASE__SQL_ALCHEMY_CONN": url,
            "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            "LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        # Its own folder of programs first: the parts call `airflow` by its name.
        path = f"{self.python.parent}{os.pathsep}{kept.get('PATH', '')}"
        airflow = {f"AIRFLOW__{name}": value for name, value in options.items()}
        root = str(Path(dags.__file__).parents[1])
        return {
            **kept,
            **airflow,
            "PATH": path,
            "PYTHONPATH": root,
            "AIRFLOW_HOME": str(self.home),
            **self.variables,
        }

    def command(self, *arguments: str) -> str:
        """Run a command of Airflow to its end and return what it said.

        Raises:
            AirflowBroken: it failed; with the end of what it said.
        """
        done = subprocess.run(  # noqa: S603 -- our own environment
            [str(self.python), "-m", *arguments],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise AirflowBroken(
                _("Airflow's {command} failed: {said}"),
                command=" ".join(arguments)[:80],
                said=done.stdout[-500:],
            )
        return done.stdout

    def prepare(self) -> None:
        """Make its database and tables where they are not there yet, and the pools of the departments."""
        self.home.mkdir(parents=True, exist_ok=True)
        name = make_url(self.metadata).database
        maintenance = make_url(self.metadata).set(database="postgres").render_as_string(hide_password=False)
        with psycopg.connect(maintenance, autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name or "")))
        self.command("airflow", "db", "migrate")
        pools = self.home / "pools.json"
        pools.write_text(self.command("dags.pools"), encoding="utf-8")
        self.command("airflow", "pools", "import", str(pools))

    @contextlib.contextmanager
    def running(self, parts: Sequence[tuple[str, ...]] = PARTS) -> Iterator[Client]:
        """Run its parts, and yield a signed-in client of its interface once all are healthy.

        Raises:
            AirflowBroken: a part ended, or not all are healthy in time.
        """
        environment = self.environment()
        api = ("api-server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        children: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for part in (api, *parts):
                with (self.home / f"{part[0]}.out").open("wb") as said:
                    children[part[0]] = subprocess.Popen(  # noqa: S603 -- our own environment
                        [str(self.python), "-m", "airflow", *part],
                        env=environment,
                        cwd=self.home,
                        stdout=said,
                        stderr=said,
                        # Its own group: Ctrl-C is ours to hear, and to pass on in order.
                        start_new_session=True,
                    )

            def all_alive() -> None:
                for name, child in children.items():
                    if child.poll() is not None:
                        said = (self.home / f"{name}.out").read_text(encoding="utf-8", errors="replace")
                        raise AirflowBroken(_("Airflow's {part} ended: {said}"), part=name, said=said[-500:])

            with httpx.Client(base_url=self.address, timeout=30) as http:
                client = Client(http, all_alive)
                client.sign_in(USER, self.secret("password"))
                yield client
        finally:
            _stop(list(children.values()))


@dataclass(slots=True)
class Client:
    """Airflow's interface, version 2. `alive` raises when a part of it ended."""

    http: httpx.Client
    alive: Callable[[], None]

    def sign_in(self, user: str, password: str) -> None:
        """Wait until all parts are healthy, and take a token."""

        def healthy() -> bool:
            try:
                parts = self.http.get("/api/v2/monitor/health").json()
            except (httpx.TransportError, ValueError):
                return False
            names = ("metadatabase", "scheduler", "triggerer", "dag_processor")
            return all(parts.get(name, {}).get("status") == "healthy" for name in names)

        self.until(healthy, START_SECONDS, "health")
        given = self.http.post("/auth/token", json={"username": user, "password": password})
        given.raise_for_status()
        self.http.headers["Authorization"] = f"Bearer {given.json()['access_token']}"

    def until(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something.

        Raises:
            AirflowBroken: it did not come in time, or a part ended.
        """
        deadline = time.monotonic() + seconds
        while not reached():
            self.alive()
            if time.monotonic() > deadline:
                raise AirflowBroken(
                    _("Airflow did not reach {what} in {seconds} s"), what=what, seconds=seconds
                )
            time.sleep(0.25)

    def get(self, path: str, **query: Any) -> Any:
        """Return what the interface has at a path."""
        reply = self.http.get(f"/api/v2/{path}", params=query)
        reply.raise_for_status()
        return reply.json()

    def unpause(self, dag: str) -> None:
        """Let a DAG run, once the DAG processor has read its file."""
        path = f"/api/v2/dags/{dag}"
        self.until(lambda: self.http.get(path).status_code == 200, START_SECONDS, dag)
        self.http.patch(path, json={"is_paused": False}).raise_for_status()

    def trigger(self, dag: str) -> str:
        """Start a run and return its id."""
        reply = self.http.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None})
        reply.raise_for_status()
        return str(reply.json()["dag_run_id"])

    def succeed(self, dag: str, run: str) -> None:
        """Wait for the end of a run.

        Raises:
            AirflowBroken: it did not succeed.
        """
        states: list[str] = []

        def ended() -> bool:
            states.append(self.get(f"dags/{dag}/dagRuns/{run}")["state"])
            return states[-1] in {"success", "failed"}

        self.until(ended, RUN_SECONDS, f"{dag} {run}")
        if states[-1] != "success":
            raise AirflowBroken(_("the run {run} of {dag} failed; its pages say why"), run=run, dag=dag)

    def result(self, dag: str, run: str, task: str, map_index: int = -1) -> Any:
        """Return what a task returned."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/return_value"
        return self.get(path, map_index=map_index)["value"]


def by_airflow(python: Path) -> Opening:
    """Return the way through Airflow.

    Args:
        python: of the environment that it is installed in, see `deploy/environment.sh`.
    """

    @contextlib.contextmanager
    def opened(settings: Settings, address: str, told: Transcript) -> Iterator[Way]:
        metadata = make_url(address).set(database=DATABASE_NAME).render_as_string(hide_password=False)
        inbox = settings.home / "inbox"
        airflow = Installation(
            # Not resolved: the link in the environment is what makes it the environment's.
            python=python.absolute(),
            home=settings.home / "airflow",
            metadata=metadata,
            port=free_port(),
            variables={
                "ZHENGTONG_HOME": str(settings.home),
                "ZHENGTONG_INBOX": str(inbox),
                # Here the story says when: nothing is to take its files from under it.
                "ZHENGTONG_INBOX_SCHEDULE": "",
            },
        )
        with contextlib.ExitStack() as parts:
            with told.chapter(_("Airflow starts: API server, scheduler, DAG processor, triggerer")):
                airflow.prepare()
                client = parts.enter_context(airflow.running())
                told.fact(_("address"), airflow.address)
                client.unpause("zhengtong-after-registers")

            def bring_in(source: str, path: Path) -> Report:
                return _bring_in(client, inbox / source, source, path)

            pages = both(
                _("Airflow's pages are at {address}; sign in as {user} with {password}"),
                address=airflow.address,
                user=USER,
                password=airflow.secret("password"),
            )
            yield Way(bring_in, pages)

    return opened


def _bring_in(client: Client, folder: Path, source: str, path: Path) -> Report:
    """Put a file into the inbox, run the DAG of its source, and return the report of the connector run."""
    folder.mkdir(parents=True, exist_ok=True)
    sent = folder / f"{path.name}.part"
    shutil.copyfile(path, sent)
    sent.rename(folder / path.name)
    dag = f"zhengtong-{source}"
    client.unpause(dag)
    run = client.trigger(dag)
    client.succeed(dag, run)
    # A file that an earlier, broken story left behind comes in too, under another number.
    for number in range(len(client.result(dag, run, "find"))):
        found = client.result(dag, run, "each_file.bring_in", number)
        if found["file"] == path.name:
            return report_of(found)
    raise AirflowBroken(_("the run {run} of {dag} did not bring in {file}"), run=run, dag=dag, file=path.name)


def report_of(found: Mapping[str, Any]) -> Report:
    """Return the report in what a task returned."""
    known = {each.name for each in fields(Report)}
    values = {name: value for name, value in found.items() if name in known}
    return Report(**{**values, "gates": [GateVerdict(**verdict) for verdict in found["gates"]]})


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _stop(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the parts and everything they started: asked first, then without asking."""
    for child in children:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
