"""Hours of the day and a quota a minute over HTTP: asked for, granted no wider, and there in the grant."""

from __future__ import annotations

from demonstration.parties import System
from tests.conftest import Service
from tests.exchange.requests.asking import body, ok, post, refused, scope


def test_hours_and_a_quota_a_minute_are_asked_for_and_granted_no_wider(
    service: Service, fund: System, police: System, bureau: System
) -> None:
    hours = {"from": "08:30", "to": "17:30"}
    given = body(per_minute=30, hours=hours)
    asked = ok(post(service, fund, "", given), 201)
    assert (asked["asked"]["per_minute"], asked["asked"]["hours"]) == (30, hours)
    assert post(service, fund, "", given).json() == asked
    path = f"/{asked['id']}"
    ok(post(service, bureau, f"{path}/check", {"complete": True}))
    part = {"answer": "grant-in-part", "reason": "仅限上午"}
    wide = {"per_minute": 31, "hours": hours}
    for wider in (wide, {"per_minute": 1}, {"per_minute": 1, "hours": {"from": "08:00", "to": "09:00"}}):
        reply = post(service, police, f"{path}/answer", part | {"scope": scope(given, **wider)})
        refused(reply, 422, "scope-too-wide")
    morning = {"per_minute": 20, "hours": {"from": "08:30", "to": "11:30"}}
    answered = ok(post(service, police, f"{path}/answer", part | {"scope": scope(given, **morning)}))
    assert (answered["granted"] | morning) == answered["granted"]
    provided = ok(post(service, police, f"{path}/provision"))["grant"]
    grants = fund.call(service.http, "GET", "/exchange/v1/grants").json()["grants"]
    (grant,) = [each for each in grants if each["id"] == provided]
    assert (grant["quota_per_minute"], grant["hours"]) == (20, morning["hours"])
    empty = body(hours={"from": "08:30", "to": "08:30"})
    refused(post(service, fund, "", empty), 422, "invalid-request")
    ok(post(service, fund, f"{path}/withdrawal"))
