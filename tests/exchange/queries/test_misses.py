"""Enumeration: who misses too often gets no answers at all for a while, and auditors see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import orjson
import pytest
from joserfc.jwk import ECKey

from demonstration.parties import System
from exchange.queries.misses import Misses, TooManyUnknown
from foundation import database
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.settings import Settings
from tests.conftest import Service, free_port, fresh_database, serving
from tests.exchange.queries.asking import PERSON, ask, bring_person, code_of, give, last_record
from tests.exchange.relaying.test_relaying import KEY, LIVE, POLICE, department, described, opened
from zhengtong.client.live import Reply, sign_answer

LIMIT = 3
NOW = datetime(2025, 11, 25, 4, 30, tzinfo=UTC)


def stranger(number: int) -> str:
    return CitizenId.compute("990102", date(1990, 1, 1), number).reveal()


@pytest.fixture(scope="module")
def strict(server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A house that allows few misses."""
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=address,
            listen_port=free_port(),
            unknown_subjects_per_hour=LIMIT,
        )
        with serving(settings, address) as running:
            bring_person(running, tmp_path_factory.mktemp("data"))
            yield running


def asked(service: Service, system: System, subject: str = PERSON, name: str = "张三丰") -> str:
    reply = ask(service, system, "verifications", subject=subject, claims={"name": name})
    return str(reply.json()["results"]["name"]) if reply.status_code == 200 else code_of(reply)


def test_who_tries_identifiers_out_is_stopped_and_told_of(strict: Service) -> None:
    for client in ("curious", "careful"):
        give(strict, client, modes=["verify", "query"])
    curious, careful = (strict.system(name, Role.DEPARTMENT_SYSTEM) for name in ("curious", "careful"))
    # The same subject again is no further miss.
    assert [asked(strict, curious, stranger(1)) for _ in range(5)] == ["unknown"] * 5
    assert asked(strict, curious, stranger(2)) == "unknown"
    assert ask(strict, curious, "queries", subject=stranger(3), fields=["name"]).json()["found"] is False
    assert asked(strict, curious, stranger(4)) == "too-many-unknown"
    record = last_record(strict)
    assert (record["client"], record["reason"]) == ("curious", "too-many-unknown")
    # Now nothing is answered, so that a refusal does not tell who is known.
    assert asked(strict, curious) == "too-many-unknown"
    assert code_of(ask(strict, curious, "queries", fields=["name"])) == "too-many-unknown"
    assert asked(strict, careful) == "match"
    auditor = strict.system("audit-office", Role.AUDITOR)
    (found,) = auditor.call(strict.http, "GET", "/exchange/v1/audit/findings").json()["findings"]
    assert (found["kind"], found["client"], found["count"]) == ("too-many-unknown", "curious", 1)
    assert found["facts"]["limit"] == LIMIT
    assert stranger(4) not in str(found)
    place = f"/exchange/v1/audit/findings/{found['id']}/noted"
    for _ in range(2):
        assert auditor.call(strict.http, "PUT", place).status_code == 204
    assert auditor.call(strict.http, "GET", "/exchange/v1/audit/findings").json() == {"findings": []}
    everything = auditor.call(strict.http, "GET", "/exchange/v1/audit/findings?everything=true").json()
    assert everything["findings"][0]["noted_by"] == "audit-office"
    missing = auditor.call(
        strict.http, "PUT", "/exchange/v1/audit/findings/00000000-0000-0000-0000-000000000000/noted"
    )
    assert missing.status_code == 404
    assert careful.call(strict.http, "GET", "/exchange/v1/audit/findings").status_code == 403


def test_who_tries_names_out_misses_once_for_each_person(strict: Service) -> None:
    give(strict, "guessing")
    guessing = strict.system("guessing", Role.DEPARTMENT_SYSTEM)
    assert [asked(strict, guessing, name=name) for name in ("张三", "李四", "王五", "赵六")] == [
        "mismatch"
    ] * 4
    assert [asked(strict, guessing, stranger(n)) for n in (1, 2)] == ["unknown"] * 2
    assert asked(strict, guessing, stranger(3)) == "too-many-unknown"


def test_subjects_from_elsewhere_are_misses_like_unknown_ones(strict: Service) -> None:
    give(strict, "far-away", divisions=["110000"])
    far = strict.system("far-away", Role.DEPARTMENT_SYSTEM)
    said = [asked(strict, far, subject) for subject in (PERSON, stranger(1), stranger(2), stranger(3))]
    assert said == ["subject-not-covered"] * 3 + ["too-many-unknown"]


def test_another_process_knows_within_a_second_and_a_new_hour_begins_anew(database_url: str) -> None:
    async def work() -> None:
        async with database.pool(database_url, 4) as pool:
            here, there = Misses(pool, 1), Misses(pool, 1)
            now = datetime.now(UTC)
            await here.note("a", b"1", now)
            with pytest.raises(TooManyUnknown):
                await there.note("a", b"2", now)
            here.require_few("a", now)  # it has not seen it yet
            async with here.followed():
                for _ in range(100):
                    try:
                        here.require_few("a", now)
                    except TooManyUnknown:
                        break
                    await asyncio.sleep(0.01)
                with pytest.raises(TooManyUnknown):
                    here.require_few("a", now)
                here.require_few("b", now)
                here.require_few("a", now + timedelta(hours=1))
            await here.note("a", b"2", now + timedelta(hours=1))

    asyncio.run(work())


def test_what_a_live_source_does_not_know_counts_as_well(strict: Service) -> None:
    verdict = {"name": "unknown"}

    def answering(question: str) -> tuple[int, bytes]:
        asked = opened(question)
        return 200, sign_answer(asked, Reply(verdict), POLICE, KEY, time.time()).encode()

    give(strict, "at-the-source", modes=["verify", "batch"])
    guessing = strict.system("at-the-source", Role.DEPARTMENT_SYSTEM)
    bureau = strict.system("data-bureau", Role.SHARING_AUTHORITY)
    with department(answering) as (address, _asked):
        assert bureau.call(strict.http, "PUT", LIVE, described(address, KEY)).status_code == 200
        assert [asked(strict, guessing, stranger(n)) for n in (1, 1, 2)] == ["unknown"] * 3
        verdict["name"] = "mismatch"
        assert asked(strict, guessing, stranger(3)) == "mismatch"
        verdict["name"] = "match"
        assert asked(strict, guessing, stranger(4)) == "match"
        verdict["name"] = "mismatch"
        assert asked(strict, guessing, stranger(5)) == "too-many-unknown"
        assert last_record(strict)["reason"] == "too-many-unknown"
        # Nor can a batch go on where single questions may not.
        question = {
            "mode": "verify", "resource": "persons-basic", "matter": "withdrawal", "case": "1",
            "result_key": ECKey.generate_key("P-256").as_dict(private=False),
        }  # fmt: skip
        token = guessing.token(strict.http, "urn:zhengtong:exchange")
        reply = strict.http.post(
            "/exchange/v1/batches",
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "guess"},
            data={"question": orjson.dumps(question).decode()},
            files={
                "subjects": ("subjects", b'{"subject":"x","claims":{"name":"x"}}\n', "application/x-ndjson")
            },
        )
        assert (reply.status_code, code_of(reply)) == (429, "too-many-unknown")
        assert bureau.call(strict.http, "DELETE", LIVE).status_code == 204
