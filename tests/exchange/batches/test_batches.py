"""Batches over HTTP, against a running house: sent, answered, read; stopped, paused, refused."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey

from exchange.batches import accept
from exchange.batches.batch import BatchResultKeyUnusable
from exchange.batches.reading import verify_lines
from exchange.batches.sealing import BatchResultBroken
from exchange.queries.answer import subject_matches
from foundation.identity.principals import Role
from foundation.ledger import commit
from foundation.signing import PublicKey
from tests.conftest import Service
from tests.exchange.batches.conftest import PEOPLE, STRANGER, Asking, lines, opened

Client = Callable[..., Asking]


def claim(number: int, **claims: Any) -> dict[str, Any]:
    return {
        "subject": PEOPLE[number],
        "claims": claims or {"name": f"人{number}", "marital_status": "married"},
    }


def records(service: Service, batch: str) -> list[dict[str, Any]]:
    found = service.sql("SELECT content, entry, salt, subject FROM exchange.access_record")
    parsed = [
        (orjson.loads(content), bytes(entry), bytes(salt), subject) for content, entry, salt, subject in found
    ]
    for record, entry, salt, subject in parsed:
        if record["event"].startswith("batch-") and record.get("batch") == batch and "row" in record:
            assert commit(salt, orjson.dumps(record, option=orjson.OPT_SORT_KEYS)) == entry
            assert record["subject"] == (None if subject is None else bytes(subject).hex())
    return sorted(
        (record for record, *_ in parsed if record.get("batch") == batch and "row" in record),
        key=lambda record: record["row"],
    )


@pytest.fixture(scope="module")
def mixed(asking: Asking) -> str:
    """A batch of 25 rows, with one of each fault."""
    rows: list[Any] = [claim(number) for number in range(20)]
    rows += [
        {"subject": STRANGER, "claims": {"name": "某人"}},
        {"subject": PEOPLE[0][:17] + ("0" if PEOPLE[0][17] != "0" else "1"), "claims": {"name": "某人"}},
        b"{not json\n",
        claim(3, birth_date="1981-02-29"),
        claim(3, address="东湖路3号"),
        claim(3, shoe_size="42"),
        claim(0, name="人0"),
    ]
    reply = asking.send(lines(*rows), key="mixed")
    assert reply.status_code == 202, reply.text
    assert (reply.json()["state"], reply.json()["rows"]) == ("accepted", 27)
    batch: str = reply.json()["id"]
    return batch


def test_every_row_is_answered_or_says_why_not(asking: Asking, mixed: str) -> None:
    shown = asking.wait(mixed)
    counts = {
        name: shown[name] for name in ("done", "answered", "unknown", "malformed", "refused", "records")
    }
    assert counts == {
        "done": 27, "answered": 21, "unknown": 1, "malformed": 4, "refused": 1, "records": 26,
    }  # fmt: skip
    assert shown["rate"] > 0
    assert shown["seconds_left"] is None
    statement, rows = asking.read(mixed)
    assert [row["row"] for row in rows] == list(range(1, 28))
    for number, row in enumerate(rows[:20]):
        expected = {"name": "match", "marital_status": "match" if number % 2 else "mismatch"}
        assert row["results"] == expected
        assert row["source"] == "population"
        assert subject_matches(row, PEOPLE[number])
    assert rows[20]["results"] == {"name": "unknown"}
    assert rows[20]["as_of"] is None
    errors = {row["row"]: (row["error"], row["pointer"]) for row in rows if "error" in row}
    assert errors == {
        22: ("subject-malformed", "/subject"),
        23: ("row-malformed", None),
        24: ("claim-malformed", "/claims/birth_date"),
        25: ("field-not-granted", "/claims/address"),
        26: ("field-unknown", "/claims/shoe_size/shoe_size"),
    }
    assert statement["state"] == "done"
    assert (statement["client"], statement["matter"], statement["case"]) == (
        "housing-fund", "withdrawal", "2025-1",
    )  # fmt: skip
    assert statement["log"]["records"] == 26


def test_each_subject_has_a_record_of_its_own_that_its_row_points_to(
    service: Service, asking: Asking, mixed: str
) -> None:
    asking.wait(mixed)
    _statement, rows = asking.read(mixed)
    written = records(service, mixed)
    assert [record["row"] for record in written] == [
        row["row"] for row in rows if row.get("error") != "row-malformed"
    ]
    by_row = {row["row"]: row for row in rows}
    for record in written:
        row = by_row[record["row"]]
        assert row["receipt"]["record"] == record["id"]
        assert (record["client"], record["matter"], record["case"]) == (
            "housing-fund",
            "withdrawal",
            "2025-1",
        )
        if "error" in row:
            assert (record["outcome"], record["reason"]) == ("refused", row["error"])
        else:
            bare = {name: value for name, value in row.items() if name != "receipt"}
            said = orjson.dumps(bare, option=orjson.OPT_SORT_KEYS)
            assert record["answer_sha256"] == hashlib.sha256(said).hexdigest()
            assert record["fields"] == sorted(row["claims"])
    # The same person twice is two uses of their data.
    subjects = [record["subject"] for record in written if record["outcome"] == "answered"]
    assert len(subjects) == len(set(subjects)) + 1


def test_records_are_in_the_log_and_the_person_sees_them(
    service: Service, asking: Asking, mixed: str
) -> None:
    asking.wait(mixed)
    _statement, rows = asking.read(mixed)
    for _attempt in range(100):
        proof = asking.system.call(
            service.http, "GET", f"/exchange/v1/receipts/{rows[0]['receipt']['record']}"
        )
        if proof.status_code != 409:
            break
    assert proof.status_code == 200
    seen = service.http.get("/exchange/v1/me/accesses", headers=service.person(PEOPLE[5])).json()["accesses"]
    assert any(each["event"] == "batch-verify" and each["client"] == "housing-fund" for each in seen)


def test_nothing_of_it_lies_about_in_clear(service: Service, asking: Asking, mixed: str) -> None:
    asking.wait(mixed)
    text = asking.get(f"{mixed}/result").text + str(records(service, mixed)) + asking.get(mixed).text
    for table in ("batch", "batch_lines", "batch_result"):
        text += str(service.sql(f"SELECT t::text FROM exchange.{table} t"))
    for secret in (*PEOPLE, STRANGER, "人7", "married"):
        assert secret not in text
        assert secret.encode().hex() not in text
    assert service.sql("SELECT count(*) FROM exchange.batch_lines WHERE batch_id = %s", mixed) == [(0,)]


def test_a_result_that_was_altered_or_is_read_with_another_key_is_not_taken(
    service: Service, asking: Asking, mixed: str
) -> None:
    asking.wait(mixed)
    whole = asking.get(f"{mixed}/result").content.splitlines()
    assert len(whole) == 4
    swapped = [whole[0], whole[2], whole[1], whole[3]]
    other = asking.send(lines(claim(1)), key="another")
    asking.wait(other.json()["id"])
    foreign = asking.get(f"{other.json()['id']}/result").content.splitlines()
    for broken in (
        whole[:-1],
        [*whole, whole[1]],
        swapped,
        whole[1:],
        [whole[0], foreign[1]],
        [foreign[0], *whole[1:]],
    ):
        with pytest.raises(BatchResultBroken):
            opened(service, asking.private, b"\n".join(broken))
    with pytest.raises(BatchResultBroken):
        opened(service, dict(ECKey.generate_key("P-256").as_dict(private=True)), b"\n".join(whole))
    with pytest.raises(BatchResultKeyUnusable):
        opened(service, dict(asking.key.as_dict(private=False)), b"\n".join(whole))


def test_filed_lines_are_checked_against_their_statement(
    service: Service, asking: Asking, mixed: str
) -> None:
    from exchange.batches.reading import read_result

    asking.wait(mixed)
    keys = {each["kid"]: PublicKey.from_jwk(each) for each in service.http.get("/jwks.json").json()["keys"]}
    answers = read_result(
        asking.get(f"{mixed}/result").content.splitlines(), asking.key.as_dict(private=True), keys
    )
    filed = b"".join(answers.parts).splitlines(keepends=True)
    assert verify_lines(filed, answers.jws, keys)["batch"] == mixed
    with pytest.raises(BatchResultBroken):
        verify_lines([*filed[:-1], filed[-1].replace(b"match", b"mismatch")], answers.jws, keys)


def test_the_same_batch_again_is_the_same_batch_and_another_under_its_key_is_refused(asking: Asking) -> None:
    body = lines(claim(1))
    first = asking.send(body, key="again")
    second = asking.send(body, key="again")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    for other, changes in ((lines(claim(2)), {}), (body, {"case": "2025-2"})):
        reply = asking.send(other, key="again", **changes)
        assert (reply.status_code, reply.json()["type"]) == (409, "urn:zhengtong:problem:batch-key-reused")


def test_csv_in_the_encoding_that_is_stated(asking: Asking) -> None:
    text = f'name,subject\r\n人1,{PEOPLE[1]}\r\n"人2, 之二",{PEOPLE[2]}\r\n,{PEOPLE[3]}\r\n人4\r\n'
    reply = asking.send(text.encode("gb18030"), key="csv", kind="text/csv; charset=GB18030")
    assert reply.status_code == 202, reply.text
    asking.wait(reply.json()["id"])
    _statement, rows = asking.read(reply.json()["id"])
    assert [row.get("results") for row in rows] == [{"name": "match"}, {"name": "mismatch"}, None, None]
    assert [row.get("error") for row in rows[2:]] == ["row-malformed", "row-malformed"]


def test_a_registered_key_is_taken_where_none_is_sent(service: Service, client: Client) -> None:
    from dataclasses import replace

    from tests.conftest import put

    registered = client("with-key")
    registration = registered.system.registration()
    assert registered.send(lines(claim(1)), key="k", result_key=None).json()["type"].endswith("key-unusable")
    public = registered.key.as_dict(private=False) | {"use": "enc", "kid": "mine"}
    put(service.address, replace(registration, jwks={"keys": [*registration.jwks["keys"], public]}))
    reply = registered.send(lines(claim(1)), key="k", result_key=None)
    assert reply.status_code == 202, reply.text
    registered.wait(reply.json()["id"])
    assert registered.read(reply.json()["id"])[1][0]["results"]["name"] == "match"


BODIES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no subjects": (422, "batch-empty", {"subjects": b"\n\n"}),
    "wrong encoding": (422, "batch-encoding-wrong", {"subjects": b'{"subject": "\xff\xff"}'}),
    "unknown charset": (422, "batch-encoding-wrong", {"kind": "text/csv; charset=koi8-r"}),
    "unknown form": (415, "batch-form-unknown", {"kind": "application/pdf"}),
    "no column of subjects": (422, "batch-columns-wrong", {"subjects": b"name\nx\n", "kind": "text/csv"}),
    "unknown resource": (404, "resource-unknown", {"resource": "nothing"}),
    "matter that is not granted": (403, "matter-not-granted", {"matter": "something-else"}),
    "fields of a verification": (422, "invalid-request", {"fields": ["name"]}),
    "unknown member": (422, "invalid-request", {"extra": 1}),
    "key that is private": (
        422, "batch-result-key-unusable", {"result_key": ECKey.generate_key("P-256").as_dict(private=True)},
    ),
    "key to sign with": (
        422, "batch-result-key-unusable",
        {"result_key": ECKey.generate_key("P-256").as_dict(private=False) | {"use": "sig"}},
    ),
    "key that is none": (422, "batch-result-key-unusable", {"result_key": {"kty": "EC", "crv": "P-256", "x": "A", "y": "A"}}),
    "no Idempotency-Key": (400, "batch-key-invalid", {"key": ""}),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_what_cannot_be_taken_in_is_a_clear_problem(service: Service, asking: Asking, name: str) -> None:
    status, code, changes = BODIES[name]
    before = service.sql("SELECT count(*) FROM exchange.batch")
    given = {"subjects": lines(claim(1)), "key": "bad", **changes}
    reply = asking.send(given.pop("subjects"), **given)
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:zhengtong:problem:{code}"), reply.text
    assert PEOPLE[1] not in reply.text
    assert service.sql("SELECT count(*) FROM exchange.batch") == before


def test_too_many_rows_are_refused_whole(
    service: Service, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept, "MOST_ROWS", 15)
    reply = asking.send(lines(*[claim(1)] * 16), key="many")
    assert (reply.status_code, reply.json()["type"]) == (413, "urn:zhengtong:problem:batch-too-many-rows")
    assert service.sql("SELECT count(*) FROM exchange.batch WHERE key = 'many'") == [(0,)]


def test_without_the_mode_or_a_grant_it_is_refused_and_recorded(service: Service, client: Client) -> None:
    single = client("single-only", modes=["verify"])
    assert single.send(lines(claim(1)), key="k").json()["type"].endswith("mode-not-granted")
    nobody = Asking(service, service.system("nobody", Role.DEPARTMENT_SYSTEM), ECKey.generate_key("P-256"))
    assert nobody.send(lines(claim(1)), key="k").json()["type"].endswith("not-granted")
    ((content,),) = service.sql(
        "SELECT content FROM exchange.access_record WHERE client_id = 'nobody' ORDER BY recorded_at DESC LIMIT 1"
    )
    record = orjson.loads(content)
    assert (record["event"], record["outcome"], record["reason"]) == ("batch-sent", "refused", "not-granted")


def test_others_do_not_see_a_batch(service: Service, asking: Asking, client: Client, mixed: str) -> None:
    other = client("curious")
    for path in ("", "/result", "/events"):
        assert other.get(f"{mixed}{path}").status_code == 404
    for path in ("pause", "resume", "cancel"):
        assert other.post(f"{mixed}/{path}").status_code == 404
    assert asking.get(str(uuid.uuid4())).status_code == 404
    listed = asking.service.http.get("/exchange/v1/batches", headers=asking.headers()).json()["batches"]
    assert mixed in {each["id"] for each in listed}
    empty = other.service.http.get("/exchange/v1/batches", headers=other.headers()).json()
    assert empty == {"batches": []}


def test_a_grant_for_some_divisions_refuses_the_others_and_the_unknown_alike(client: Client) -> None:
    local = client("local", divisions=["9901"])
    reply = local.send(
        lines(claim(1), claim(35), {"subject": STRANGER, "claims": {"name": "某人"}}), key="local"
    )
    batch = reply.json()["id"]
    local.wait(batch)
    _statement, (here, elsewhere, unknown) = local.read(batch)
    assert here["results"]["name"] == "match"
    assert {**elsewhere, "row": 0, "receipt": 0} == {**unknown, "row": 0, "receipt": 0}
    assert elsewhere["error"] == "subject-not-covered"


def test_progress_as_events(service: Service, asking: Asking) -> None:
    batch = asking.send(lines(*[claim(n) for n in range(40)]), key="events").json()["id"]
    seen = []
    with service.http.stream(
        "GET", f"/exchange/v1/batches/{batch}/events", headers=asking.headers()
    ) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        seen = [orjson.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
    assert seen[-1]["state"] == "done"
    assert seen[-1]["done"] == 40
    assert [each["done"] for each in seen] == sorted(each["done"] for each in seen)


def test_an_expired_result_is_gone(service: Service, asking: Asking) -> None:
    import asyncio

    from exchange.batches.tables import expire
    from foundation import database

    batch = asking.send(lines(claim(1)), key="expiring").json()["id"]
    asking.wait(batch)
    service.sql("UPDATE exchange.batch SET expires_at = now() - interval '1 hour' WHERE id = %s", batch)

    async def work() -> list[uuid.UUID]:
        async with database.pool(service.address, 1) as pool:
            return await expire(pool, datetime.now(UTC) - timedelta(minutes=1))

    assert asyncio.run(work()) == [uuid.UUID(batch)]
    assert asking.get(batch).json()["state"] == "expired"
    reply = asking.get(f"{batch}/result")
    assert (reply.status_code, reply.json()["type"]) == (410, "urn:zhengtong:problem:batch-result-expired")
    assert service.sql("SELECT count(*) FROM exchange.batch_result WHERE batch_id = %s", batch) == [(0,)]
    assert asking.post(f"{batch}/cancel").json()["type"].endswith("batch-finished")


def test_rows_may_compare_otherwise_and_the_question_may_say_how(asking: Asking) -> None:
    rows = [
        {"subject": PEOPLE[1], "claims": {"adult": 18, "home": "9901", "name": "人1"}},
        {"subject": PEOPLE[35], "claims": {"adult": 90, "home": "9901"}},
        {"subject": PEOPLE[1], "claims": {"young": {"field": "birth_date", "is": "age-below", "value": 30}}},
        {"subject": PEOPLE[1], "claims": {"adult": "old"}},
        {"subject": PEOPLE[1], "claims": {"x": {"field": "name", "is": "odd", "value": "x"}}},
        {"subject": PEOPLE[1], "claims": {"x": {"field": "name", "value": "x"}}},
    ]
    how = {"adult": {"field": "birth_date", "is": "age-at-least"}, "home": {"is": "in-division"}}
    reply = asking.send(lines(*rows), key="compared", claims=how)
    assert reply.status_code == 202, reply.text
    asking.wait(reply.json()["id"])
    _statement, (first, second, third, *bad) = asking.read(reply.json()["id"])
    assert first["results"] == {"adult": "match", "home": "match", "name": "match"}
    assert first["claims"]["adult"] == {"field": "birth_date", "is": "age-at-least", "value": 18}
    assert second["results"] == {"adult": "mismatch", "home": "mismatch"}
    assert third["results"] == {"young": "mismatch"}
    assert [row["error"] for row in bad] == ["claim-malformed", "claim-malformed", "row-malformed"]


def test_what_stands_elsewhere_is_asked_there(client: Client) -> None:
    wide = client("wide", fields=["name", "licences", "entries"])
    rows = [
        {"subject": PEOPLE[1], "claims": {"l": {"is": "licence-in-force", "value": "business-licence"}}},
        {"subject": PEOPLE[1], "claims": {"l": {"is": "licence-in-force", "value": "no-such-type"}}},
        {"subject": PEOPLE[1], "claims": {"e": {"is": "no-entry", "value": "criminal"}, "name": "人1"}},
    ]
    batch = wide.send(lines(*rows), key="elsewhere").json()["id"]
    wide.wait(batch)
    _statement, (licence, unknown_type, entry) = wide.read(batch)
    assert licence["results"] == {"l": "mismatch"}
    assert licence["sources"] == {"l": "licences"}
    assert unknown_type["error"] == "claim-malformed"
    assert entry["results"] == {"e": "unknown", "name": "match"}


def test_a_query_discloses_what_the_grant_says_and_masks_the_rest(service: Service, client: Client) -> None:
    curious = client("query", clear_fields=["marital_status"])
    fields = ["name", "marital_status", "residence_division"]
    rows = [{"subject": PEOPLE[1]}, {"subject": STRANGER}, claim(2)]
    reply = curious.send(lines(*rows), key="query", mode="query", fields=fields)
    assert reply.status_code == 202, reply.text
    batch = reply.json()["id"]
    curious.wait(batch)
    statement, (known, unknown, claiming) = curious.read(batch)
    assert known["values"] == {"name": "人*", "marital_status": "married", "residence_division": "990101"}
    assert (known["found"], known["masked"]) == (True, ["name"])
    assert (unknown["found"], unknown["values"]) == (False, {})
    assert claiming["error"] == "row-malformed"
    assert (statement["mode"], statement["fields"]) == ("query", sorted(fields))
    assert statement["sources"] == ["population"]
    assert "population" in statement["freshness"]
    assert records(service, batch)[0]["fields"] == sorted(fields)
    refused = curious.send(lines({"subject": PEOPLE[1]}), key="q2", mode="query", fields=["name", "address"])
    assert refused.json()["type"] == "urn:zhengtong:problem:field-not-granted"


def test_auditors_find_a_batch_that_tries_identifiers_out(
    service: Service, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(service.settings), "batch_misses", 4)
    fishing = client("fishing")
    unknown = {"subject": STRANGER, "claims": {"name": "某人"}}
    another = claim(2, name="某人")
    for key, rows in (
        ("few", [unknown, claim(1), claim(2)]),
        ("many", [unknown, unknown, claim(1)]),
        ("again", [another, unknown, claim(1)]),
    ):
        fishing.wait(fishing.send(lines(*rows), key=key).json()["id"])
    ((count, facts),) = service.sql(
        "SELECT count, facts FROM exchange.audit_finding WHERE client = 'fishing' AND kind = 'batch-mostly-unknown'"
    )
    # What one misses few of does not count; many small ones add up, and other names count as unknown subjects do.
    assert (count, facts["missed"], facts["asked"], facts["missed_today"]) == (1, 2, 3, 4)
