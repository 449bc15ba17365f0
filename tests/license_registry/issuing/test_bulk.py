"""Jobs over HTTP: taken in once, worked on beside, told row by row; papers taken over; nobody else's business."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import httpx
import orjson

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.issuing.bulk import tables
from license_registry.issuing.bulk.jobs import submit, work
from license_registry.issuing.requests import Key
from tests.conftest import Service
from tests.license_registry.conftest import (
    AUTHORITY,
    NOW,
    PERSON,
    STRANGER,
    body,
    issued,
    problem,
    registry,
)

JOBS = "/registry/v1/issue-jobs"
AUDIENCE = "urn:zhengtong:license-registry"


def send(
    service: Service, authority: System, lines: bytes, key: str | None, kind: str = "issue"
) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {authority.token(service.http, AUDIENCE)}",
        "Content-Type": "application/x-ndjson",
    }
    if key is not None:
        headers["Idempotency-Key"] = key
    return service.http.post(f"{JOBS}?kind={kind}", content=lines, headers=headers)


def jsonl(*rows: Any) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else orjson.dumps(row) for row in rows)


def done(service: Service, authority: System, job: dict[str, Any]) -> dict[str, Any]:
    """The job once all its rows are done."""
    deadline = time.monotonic() + 60
    while True:
        told: dict[str, Any] = authority.call(service.http, "GET", f"{JOBS}/{job['id']}").json()
        if told["state"] != "open":
            return told
        assert time.monotonic() < deadline, told
        time.sleep(0.05)


def report(service: Service, authority: System, job: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    told = authority.call(service.http, "GET", f"{JOBS}/{job['id']}/rows{query}").json()
    rows: list[dict[str, Any]] = told["rows"]
    return rows


def tally(job: dict[str, Any]) -> tuple[str, int, int, int, int]:
    return job["state"], job["done"], job["issued"], job["known"], job["refused"]


def test_each_row_is_issued_or_told_why_not(service: Service, authority: System) -> None:
    before = issued(service, authority)
    known, again, other = body(), body(), body()
    known["number"] = before["number"]
    other["number"] = again["number"]
    rows = jsonl(
        body(),
        b"{",
        {**body(), "state": "01"},
        body(valid_until="2019-12-31"),
        {**body(), "presenter": PERSON[:17] + ("0" if PERSON[17] != "0" else "1")},
        again,
        again,
        {**other, "valid_until": None},
        known,
        b"[]",
        body(licence_type="nothing"),
    )
    reply = send(service, authority, rows + b"\n\n", "job-1")
    assert reply.status_code == 202, reply.text
    job = done(service, authority, reply.json())
    assert tally(job) == ("done", 11, 2, 2, 7)
    told = report(service, authority, job)
    assert [row["row"] for row in told] == list(range(1, 12))
    assert [row.get("error") for row in told] == [
        None, "line-invalid", "line-invalid", "validity-invalid", "holder-invalid", None, None, "licence-in-force",
        None, "line-invalid", "licence-type-unknown",
    ]  # fmt: skip
    assert [row.get("pointer") for row in told][2:5] == ["/state", "/valid_until", "/presenter"]
    assert told[5]["identifier"] == told[6]["identifier"]
    assert told[8]["identifier"] == before["identifier"]
    assert PERSON[:17] not in str(told)
    assert report(service, authority, job, "?refused=true&limit=2&after=2") == [told[2], told[3]]
    made = authority.call(service.http, "GET", f"/registry/v1/licences/{told[0]['identifier']}").json()
    assert (made["state"], made["origin"]) == ("01", "issued")
    # The lines, which hold people's data, are gone once they are done.
    assert not list((service.settings.objects_folder / "issuing").glob("*"))


def test_a_job_is_taken_in_once_per_key(service: Service, authority: System) -> None:
    rows = jsonl(body(), body())
    first = send(service, authority, rows, "job-2").json()
    assert done(service, authority, first)["issued"] == 2
    again = send(service, authority, rows, "job-2").json()
    assert (again["id"], again["issued"], again["known"]) == (first["id"], 2, 0)
    assert problem(send(service, authority, jsonl(body()), "job-2")) == (422, "issuing-key-reused")
    assert problem(send(service, authority, rows, None)) == (400, "issuing-key-invalid")
    # The same lines under another key are another job, that finds all there.
    assert tally(done(service, authority, send(service, authority, rows, "job-3").json()))[1:] == (2, 0, 2, 0)


def test_an_empty_job_is_done(service: Service, authority: System) -> None:
    assert tally(send(service, authority, b"\n", "job-4").json()) == ("done", 0, 0, 0, 0)


def test_papers_are_taken_over_and_marked(service: Service, authority: System) -> None:
    paper = body(issued_on="2011-03-04", first_issued_on="2001-05-06", issuer_name="示范市工商行政管理局")
    without = body()
    job = done(
        service, authority, send(service, authority, jsonl(paper, without), "job-5", "take-over").json()
    )
    assert tally(job) == ("done", 2, 1, 0, 1)
    good, bad = report(service, authority, job)
    assert (bad["error"], bad["pointer"]) == ("validity-invalid", "/issued_on")
    made = authority.call(service.http, "GET", f"/registry/v1/licences/{good['identifier']}/metadata").json()
    assert (made["origin"], made["ZZBFRQ"], made["first_issued_on"]) == (
        "digitised",
        "2011-03-04",
        "2001-05-06",
    )


def test_rows_of_several_types_and_holders_go_together(service: Service, authority: System) -> None:
    married = body(
        licence_type="marriage-certificate",
        number="J990101-2020-000009",
        fields={
            "holder_name": "张三丰",
            "holder_code": PERSON,
            "co_holders": [{"holder_name": "李四光", "holder_code": STRANGER}],
            "registered_on": "2020-05-20",
        },
        valid_until=None,
        presenter=None,
    )
    disabled = body(
        licence_type="disability-certificate",
        number=None,
        division="990100",
        fields={"holder_name": "张三丰", "holder_code": PERSON, "category": "视力", "grade": "一级"},
        valid_until=None,
        presenter=None,
    )
    second = {**married, "number": "J990101-2020-000010"}
    rows = jsonl(married, disabled, second, disabled, body())
    job = done(service, authority, send(service, authority, rows, "job-6").json())
    told = report(service, authority, job)
    assert [row.get("error") for row in told] == [None, None, "licence-in-force", None, None]
    assert told[1]["identifier"] == told[3]["identifier"]
    assert tally(job)[2:] == (3, 1, 1)
    later = done(service, authority, send(service, authority, rows, "job-7").json())
    assert tally(later)[2:] == (0, 4, 1)
    ((held,),) = service.sql("SELECT count(*) FROM license_registry.co_holder")
    assert held == 1


def test_a_job_is_for_the_authority_that_sent_it(service: Service, authority: System) -> None:
    job = done(service, authority, send(service, authority, jsonl(body()), "job-8").json())
    other = service.system("other-authority", Role.ISSUING_AUTHORITY, department="11990100MB2A00002U")
    for path in (f"{JOBS}/{job['id']}", f"{JOBS}/{job['id']}/rows", f"{JOBS}/{uuid.uuid4()}"):
        assert problem(other.call(service.http, "GET", path)) == (404, "not-found")
    stranger = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    assert problem(send(service, stranger, jsonl(body()), "job-8")) == (403, "role-missing")


def test_a_job_whose_lines_were_altered_fails_and_says_so(settings: Settings, database_url: str) -> None:
    async def work_on_it() -> tuple[str, str | None, int]:
        async with registry(settings, database_url) as ports:
            job = await submit(ports, AUTHORITY, Key("client", "key"), "issue", jsonl(body()), NOW)
            path = settings.objects_folder / "issuing" / f"{job.id}.sealed"
            sealed = path.read_bytes()
            path.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
            assert await work(ports, job.id)
            found = await tables.find(ports.pool, job.id)
            assert found is not None
            licences = await ports.pool.fetchval("SELECT count(*) FROM license_registry.licence")
            return found.state, found.problem, licences

    assert asyncio.run(work_on_it()) == ("failed", "lines-lost", 0)


def test_two_processes_never_work_on_one_job(settings: Settings, database_url: str) -> None:
    async def both() -> list[bool]:
        async with registry(settings, database_url) as one, registry(settings, database_url) as other:
            lines = jsonl(*(body() for _ in range(300)))
            job = await submit(one, AUTHORITY, Key("client", "key"), "issue", lines, NOW)
            worked = await asyncio.gather(work(one, job.id), work(other, job.id))
            found = await tables.find(one.pool, job.id)
            assert found is not None
            assert (found.state, found.issued, found.known) == ("done", 300, 0)
            return worked

    assert sorted(asyncio.run(both())) == [False, True]
