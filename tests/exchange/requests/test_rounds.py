"""Share requests as time goes on: what outlives itself, who dies in between, and answers at once."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from demonstration.parties import System
from exchange.requests import tables
from exchange.requests.act import settle_grants
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.exchange.requests.asking import (
    ASKING,
    Round_,
    ask,
    ok,
    post,
)
from zhengtong.house import open_house


def test_what_has_outlived_itself_expires_with_its_grant(
    service: Service, bureau: System, go_on: Round_
) -> None:
    short = service.system("short", Role.DEPARTMENT_SYSTEM, department=ASKING)
    until = datetime.now(UTC) + timedelta(days=30)
    asked = ask(service, short, resource="legal-entities-basic", fields=["name"], until=until.isoformat())
    grant = ok(post(service, bureau, f"/{asked['id']}/check", {"complete": True}))["grant"]
    waiting = ask(service, short, until=until.isoformat())
    go_on(until)
    for each in (asked, waiting):
        state = short.call(service.http, "GET", f"/exchange/v1/requests/{each['id']}").json()["state"]
        assert state == "expired"
    assert service.sql("SELECT ended_at IS NOT NULL FROM exchange.share_grant WHERE id = %s", grant) == [
        (True,)
    ]


def test_requests_and_grants_say_the_same_whoever_dies_in_between(
    service: Service, bureau: System, go_on: Round_
) -> None:
    def entities(name: str) -> dict[str, Any]:
        system = service.system(name, Role.DEPARTMENT_SYSTEM, department=ASKING)
        asked = ask(service, system, resource="legal-entities-basic", fields=["name"])
        return ok(post(service, bureau, f"/{asked['id']}/check", {"complete": True}))

    lost, left, ended = entities("lost"), entities("left"), entities("ended")
    # Died before the grant was given; died before it was ended; ended by itself.
    service.sql("DELETE FROM exchange.share_grant WHERE id = %s", lost["grant"])
    service.sql("UPDATE exchange.share_request SET state = 'withdrawn' WHERE id = %s", left["id"])
    assert bureau.call(service.http, "DELETE", f"/exchange/v1/grants/{ended['grant']}").status_code == 204
    go_on(datetime.now(UTC))
    standing = {
        str(each) for (each,) in service.sql("SELECT id FROM exchange.share_grant WHERE ended_at IS NULL")
    }
    assert lost["grant"] in standing
    assert standing.isdisjoint({left["grant"], ended["grant"]})
    assert bureau.call(service.http, "GET", f"/exchange/v1/requests/{ended['id']}").json()["state"] == "ended"
    again = go_on(datetime.now(UTC))
    assert (again.overdue, again.mended) == (0, 0)


def test_a_grant_that_comes_after_its_request_was_withdrawn_does_not_stand(
    service: Service, bureau: System
) -> None:
    hasty = service.system("hasty", Role.DEPARTMENT_SYSTEM, department=ASKING)
    asked = ask(service, hasty, resource="legal-entities-basic", fields=["name"])
    grant = ok(post(service, bureau, f"/{asked['id']}/check", {"complete": True}))["grant"]
    service.sql("DELETE FROM exchange.share_grant WHERE id = %s", grant)

    async def provide_late() -> None:
        async with open_house(service.settings, service.address) as house:
            provided = await tables.find(house.exchange.pool, uuid.UUID(asked["id"]))
            assert provided is not None
            # Withdrawn between the request's transaction and the grant.
            await asyncio.to_thread(ok, post(service, hasty, f"/{asked['id']}/withdrawal"))
            await settle_grants(house.exchange, provided, None, "x", datetime.now(UTC))

    asyncio.run(provide_late())
    assert service.sql("SELECT ended_at IS NOT NULL FROM exchange.share_grant WHERE id = %s", grant) == [
        (True,)
    ]


def test_of_two_answers_at_once_one_counts(
    service: Service, fund: System, police: System, bureau: System
) -> None:
    path = f"/{ask(service, fund)['id']}"
    ok(post(service, bureau, f"{path}/check", {"complete": True}))
    headers = {"Authorization": f"Bearer {police.token(service.http, 'urn:zhengtong:exchange')}"}

    async def at_once() -> list[int]:
        async with httpx.AsyncClient(base_url=service.settings.base_url, headers=headers, timeout=30) as http:
            replies = await asyncio.gather(
                *(
                    http.post(f"/exchange/v1/requests{path}/answer", json=answer)
                    for answer in [{"answer": "grant"}, {"answer": "refuse", "reason": "x"}] * 4
                )
            )
        return sorted(reply.status_code for reply in replies)

    found = asyncio.run(at_once())
    assert set(found) == {200, 409}
    history = fund.call(service.http, "GET", f"/exchange/v1/requests{path}").json()["history"]
    assert len(history) == 3
