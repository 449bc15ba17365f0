"""Notices of wrong values by signed webhook: in order, again after a failure, dead in the end where somebody sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.webhooks.sending import WAITS
from tests.conftest import Service
from tests.exchange.corrections.test_corrections import (
    Bring,
    bring,
    fund,
    get,
    notices,
    ok,
    person,
    police,
    post,
    refused,
    report,
    school,
    verify,
)
from tests.foundation.webhooks.receiving import Receiver, receiving, verifier

__all__ = ["bring", "fund", "police", "school"]  # fixtures

ADDRESS = "/exchange/v1/corrections/notices/address"


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def told(
    service: Service, by: System, police: System, subject: str, field: str = "name"
) -> tuple[str, dict[str, Any]]:
    """Have a value that a system was given found wrong; return the report's id and the notice."""
    reported = ok(post(service, by, "", report(subject=subject, field=field, claimed=None)), 201)["id"]
    ok(post(service, police, f"/{reported}/answer", {"answer": "corrected", "reason": "录入错误"}))
    (notice,) = notices(service, by, reported)
    return reported, notice


def state(service: Service, notice: int) -> tuple[Any, ...]:
    (row,) = service.sql(
        "SELECT delivered_at IS NOT NULL, dead_at IS NOT NULL, next_attempt_at IS NOT NULL, attempts"
        " FROM exchange.correction_notice WHERE id = %s",
        notice,
    )
    return row


def again(service: Service, notice: int, attempts: int = 1) -> None:
    service.sql(
        "UPDATE exchange.correction_notice SET next_attempt_at = now(), attempts = %s WHERE id = %s",
        attempts,
        notice,
    )


def test_who_registers_an_address_is_told_there_in_order_and_until_it_arrives(
    service: Service, bring: Bring, fund: System, school: System, police: System
) -> None:
    def sent(receiver: Receiver) -> list[int]:
        return [orjson.loads(each.content)["id"] for each in receiver.got]

    subject, other = person(201), person(202)
    for each in (subject, other):
        bring(each, "周八")
        verify(service, fund, each, name="x", marital_status="married")
    _report, before = told(service, fund, police, subject)
    refused(fund.call(service.http, "PUT", ADDRESS, {"url": "https://10.1.2.3/"}), 422, "webhook-refused")
    assert fund.call(service.http, "GET", ADDRESS).json() == {"url": None}
    with receiving() as receiver:
        receiver.answers[:] = [500]
        for _again in range(2):
            assert ok(fund.call(service.http, "PUT", ADDRESS, {"url": receiver.url})) == {"url": receiver.url}
        # What stood unacknowledged is sent, too; it fails, and waits.
        until(lambda: state(service, before["id"]) == (False, False, True, 1))
        behind_report, behind = told(service, fund, police, subject, "marital_status")
        _report, beside = told(service, fund, police, other)
        until(lambda: state(service, beside["id"])[0])
        assert sent(receiver) == [before["id"], beside["id"]], "the later one of the same subject waits"
        again(service, before["id"])
        until(lambda: state(service, behind["id"])[0])
        assert sent(receiver)[2:] == [before["id"], behind["id"]]

        got = receiver.got[-1]
        check = verifier(service.http.get("/jwks.json").json())
        check.verify(got, max_age=timedelta(minutes=5), body=got.content)
        assert got.headers["zhengtong-notice"] == "correction"
        body = orjson.loads(got.content)
        listed = {name: value for name, value in behind.items() if name != "acknowledged_at"}
        assert body == {**listed, "kind": "correction"}
        assert body["correction"] == behind_report
        assert all(text not in got.content.decode() for text in (subject, "周八", "married"))

        # Given up, seen by whose business it is, and revived.
        receiver.answers[:] = [500, 500]
        verify(service, fund, other, marital_status="married")
        _report, dying = told(service, fund, police, other, "marital_status")
        until(lambda: state(service, dying["id"])[2:] == (True, 1))
        again(service, dying["id"], len(WAITS))
        until(lambda: state(service, dying["id"])[1])
        operator = service.system("operator", Role.OPERATOR)
        for seeing in (fund, operator):
            (lying,) = get(service, seeing, "/notices/dead")["notices"]
            assert (lying["id"], lying["client_id"], lying["last_failure"]) == (
                dying["id"],
                "fund",
                "HTTP 500",
            )
            assert lying["attempts"] == len(WAITS) + 1
        assert get(service, school, "/notices/dead")["notices"] == []
        refused(post(service, school, f"/notices/{dying['id']}/retry"), 404, "not-found")
        assert post(service, operator, f"/notices/{dying['id']}/retry").status_code == 204
        until(lambda: state(service, dying["id"])[0])
        refused(post(service, operator, f"/notices/{dying['id']}/retry"), 404, "not-found")

        assert fund.call(service.http, "DELETE", ADDRESS).status_code == 204
    assert fund.call(service.http, "GET", ADDRESS).json() == {"url": None}
    events = [
        orjson.loads(content)["event"]
        for (content,) in service.sql("SELECT content FROM exchange.access_record WHERE client_id = 'fund'")
    ]
    assert events.count("correction-address-set") == events.count("correction-address-dropped") == 1


@pytest.mark.usefixtures("school")
def test_what_was_acknowledged_is_not_sent(
    service: Service, bring: Bring, fund: System, police: System
) -> None:
    subject = person(203)
    bring(subject, "吴九")
    verify(service, fund, subject, name="x")
    _report, notice = told(service, fund, police, subject)
    assert post(service, fund, f"/notices/{notice['id']}/acknowledgement").status_code == 204
    assert state(service, notice["id"]) == (False, False, False, 0)
    with receiving() as receiver:
        ok(fund.call(service.http, "PUT", ADDRESS, {"url": receiver.url}))
        verify(service, fund, subject, marital_status="married")
        _report, later = told(service, fund, police, subject, "marital_status")
        until(lambda: state(service, later["id"])[0])
        assert [orjson.loads(each.content)["id"] for each in receiver.got] == [later["id"]]
        assert fund.call(service.http, "DELETE", ADDRESS).status_code == 204
