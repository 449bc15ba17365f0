"""Batches that do not go straight through: paused, cancelled, stopped by the end of a grant, held up by a quota."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from exchange.batches import work
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.batches.conftest import PEOPLE, Asking, Give, lines

Client = Callable[..., Asking]
BODY = lines(*[{"subject": person, "claims": {"name": f"人{n}"}} for n, person in enumerate(PEOPLE)])
ROWS = len(PEOPLE)


class Gate:
    """Holds the worker of the service before it writes each part, until it is let through."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.open = threading.Semaphore(0)

    def let(self, parts: int) -> None:
        """Let parts through, and wait until the next one is there."""
        for _ in range(parts):
            assert self.arrived.acquire(timeout=20)
            self.open.release()

    def stand(self) -> None:
        """Wait until a part is ready to be written."""
        assert self.arrived.acquire(timeout=20)

    def pass_on(self) -> None:
        self.open.release()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    write = work._write

    async def held(*arguments: Any) -> None:
        made.arrived.release()
        while not made.open.acquire(blocking=False):  # noqa: ASYNC110 -- another thread opens it
            await asyncio.sleep(0.01)
        await write(*arguments)

    monkeypatch.setattr(work, "_write", held)
    yield made
    for _ in range(1000):
        made.open.release()


def records(service: Service, batch: str) -> list[dict[str, Any]]:
    found = [orjson.loads(row[0]) for row in service.sql("SELECT content FROM exchange.access_record")]
    return [record for record in found if record.get("batch") == batch]


def asked_about(service: Service, batch: str) -> list[int]:
    return sorted(record["row"] for record in records(service, batch) if "row" in record)


def test_a_grant_that_ends_stops_the_batch_and_what_was_answered_stays(
    service: Service, client: Client, gate: Gate
) -> None:
    short = client("short")
    batch = short.send(BODY, key="k").json()["id"]
    gate.let(2)
    gate.stand()
    grants = short.system.call(service.http, "GET", "/exchange/v1/grants").json()["grants"]
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    path = f"/exchange/v1/grants/{grants[0]['id']}"
    assert bureau.call(service.http, "DELETE", path).status_code == 204
    gate.pass_on()  # answered before the grant ended, and not written: it must not be
    shown = short.wait(batch, "stopped")
    assert (shown["done"], shown["problem"]) == (20, "not-granted")
    statement, rows = short.read(batch)
    assert (statement["state"], statement["rows"], statement["results"]["rows"]) == ("stopped", ROWS, 20)
    assert [row["row"] for row in rows] == list(range(1, 21))
    assert asked_about(service, batch) == list(range(1, 21))
    assert service.sql("SELECT count(*) FROM exchange.batch_lines WHERE batch_id = %s", batch) == [(0,)]
    (stopped,) = [record for record in records(service, batch) if record["event"] == "batch-stopped"]
    assert (stopped["outcome"], stopped["reason"]) == ("refused", "not-granted")


def test_a_batch_is_paused_resumed_and_cancelled(service: Service, client: Client, gate: Gate) -> None:
    pausing = client("pausing")
    batch = pausing.send(BODY, key="k").json()["id"]
    gate.let(1)
    gate.stand()
    reply = pausing.get(f"{batch}/result")
    assert (reply.status_code, reply.json()["type"]) == (409, "urn:zhengtong:problem:batch-not-finished")
    assert pausing.post(f"{batch}/pause").json()["state"] == "paused"
    gate.pass_on()
    shown = pausing.wait(batch, "paused")
    assert (shown["done"], shown["seconds_left"]) == (10, None)
    assert asked_about(service, batch) == list(range(1, 11))
    pausing.post(f"{batch}/resume")
    gate.let(1)
    gate.stand()
    shown = pausing.post(f"{batch}/cancel").json()
    assert (shown["state"], shown["done"]) == ("cancelled", 20)
    assert pausing.post(f"{batch}/cancel").json()["state"] == "cancelled"
    assert pausing.post(f"{batch}/resume").json()["type"] == "urn:zhengtong:problem:batch-finished"
    gate.pass_on()
    statement, rows = pausing.read(batch)
    assert (statement["state"], len(rows)) == ("cancelled", 20)
    assert asked_about(service, batch) == list(range(1, 21))


def test_a_quota_that_is_used_up_lets_the_batch_rest_until_it_is_there_again(
    service: Service, client: Client
) -> None:
    limited = client("limited", quota_per_day=25)
    batch = limited.send(BODY, key="k").json()["id"]
    shown = limited.wait(batch, "paused")
    assert (shown["done"], shown["problem"]) == (20, "quota-exceeded")
    assert datetime.fromisoformat(shown["resume_at"]) > datetime.now(UTC)
    assert asked_about(service, batch) == list(range(1, 21))
    # The day is over.
    service.sql("UPDATE exchange.grant_use SET begins = begins - interval '1 day'")
    service.sql("UPDATE exchange.batch SET resume_at = now() WHERE id = %s", batch)
    assert limited.wait(batch, "done")["done"] == ROWS
    assert asked_about(service, batch) == list(range(1, ROWS + 1))


def test_parts_are_no_larger_than_what_a_grant_allows_at_once(service: Service, client: Client) -> None:
    small = client("small", quota_per_minute=7)
    batch = small.send(BODY, key="k").json()["id"]
    shown = small.wait(batch, "paused")
    # A minute may have ended in between.
    assert shown["done"] in (7, 14)
    assert shown["problem"] == "quota-exceeded"
    assert service.sql("SELECT part_rows, parts FROM exchange.batch WHERE id = %s", batch) == [(7, 6)]


def test_outside_the_hours_of_the_grant_a_batch_rests(service: Service, client: Client, gate: Gate) -> None:
    night = client("night")
    batch = night.send(BODY, key="k").json()["id"]
    gate.let(1)
    gate.stand()
    grant = night.system.call(service.http, "GET", "/exchange/v1/grants").json()["grants"][0]["id"]
    now = datetime.now(UTC) + timedelta(hours=8)
    hours = {"from": f"{now + timedelta(hours=2):%H:%M}", "to": f"{now + timedelta(hours=3):%H:%M}"}
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    changed = bureau.call(service.http, "PATCH", f"/exchange/v1/grants/{grant}", {"hours": hours})
    assert changed.status_code == 200, changed.text
    gate.let(0)
    for _ in range(3):
        gate.pass_on()
    shown = night.wait(batch, "paused")
    assert shown["problem"] == "outside-hours"
    begins = datetime.fromisoformat(shown["resume_at"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=58) < begins <= timedelta(hours=2)


def test_a_batch_whose_subjects_were_altered_fails_and_says_so(
    service: Service, client: Client, gate: Gate
) -> None:
    altered = client("altered")
    batch = altered.send(BODY, key="k").json()["id"]
    gate.let(1)
    service.sql("UPDATE exchange.batch_lines SET sealed = sealed || '\\x00' WHERE batch_id = %s", batch)
    for _ in range(4):
        gate.pass_on()
    shown = altered.wait(batch, "failed")
    assert shown["problem"] == "batch-lines-lost"
    statement, rows = altered.read(batch)
    assert (statement["state"], len(rows)) == ("failed", shown["done"])
    assert asked_about(service, batch) == list(range(1, shown["done"] + 1))


def test_batches_take_turns(
    service: Service, client: Client, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "SLICE_SECONDS", 0.0)
    turns: list[str] = []
    take = work.tables.take

    async def told(*arguments: Any, **named: Any) -> Any:
        taken = await take(*arguments, **named)
        if taken is not None:
            turns.append(str(taken.id))
        return taken

    monkeypatch.setattr(work.tables, "take", told)
    busy = client("busy")
    monkeypatch.setattr(work, "MOST_WAITING_FOR_THE_LOG", -1)
    first, second = (busy.send(BODY, key=key).json()["id"] for key in ("a", "b"))
    monkeypatch.setattr(work, "MOST_WAITING_FOR_THE_LOG", 100_000)
    busy.wait(first)
    busy.wait(second)
    # Batches of other tests may have woken up meanwhile.
    assert [turn for turn in turns if turn in (first, second)] == [first, second] * 4
