"""Batches at a live source: asked row by row, each once, however it goes wrong on the way."""

from __future__ import annotations

import base64
import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

import orjson
import pytest

from exchange.batches import accept, work
from exchange.batches.live import AT_ONCE
from exchange.queries.answer import subject_matches
from exchange.relaying.breaker import FAILURES
from foundation.identity.principals import Role
from foundation.signing import Algorithm, new_signer
from tests.conftest import Service
from tests.exchange.batches.conftest import PEOPLE, STRANGER, Asking, lines
from tests.exchange.batches.test_batches import records
from tests.exchange.batches.test_killed import run
from tests.exchange.relaying.test_relaying import LIVE, POLICE, department, described
from zhengtong.client import verify_answer
from zhengtong.client.live import ANSWER_TYPE, Question, Reply, from_records, sign_answer

KEY, OTHER = new_signer(Algorithm.ES256), new_signer(Algorithm.ES256)
KEYS = {KEY.kid: KEY.public}
ANSWER = from_records(
    {
        person: {
            "as_of": "2024-05-01",
            "fields": {"name": f"人{number}", "marital_status": "married" if number % 2 else "single"},
        }
        for number, person in enumerate(PEOPLE)
    }
)
PART = 10
Client = Callable[..., Asking]


class Police:
    """A department that answers from its records; `fails` says for whom and when it does not."""

    def __init__(self) -> None:
        self.answered: Counter[str] = Counter()
        self.fails: Callable[[Question], int | None] = lambda _question: None
        self.at_once = self.most_at_once = 0
        self._lock = Lock()

    def __call__(self, jws: str) -> tuple[int, bytes]:
        said = orjson.loads(base64.urlsafe_b64decode(jws.split(".")[1] + "=="))
        question = Question(
            jws, said["iss"], said["resource"], "", said["subject"]["identifier"], said.get("claims", {}),
            said["matter"], said["case"], said["purpose"], said["client"], said["department"],
            tuple(said.get("fields", ())),
        )  # fmt: skip
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            time.sleep(0.02)
            failing = self.fails(question)
            if failing is not None and failing != 200:
                return failing, b""
            reply: Reply = ANSWER(question)
            signer = KEY if failing is None else OTHER
            with self._lock:
                self.answered[question.subject] += failing is None
            return 200, sign_answer(question, reply, POLICE, signer, time.time()).encode()
        finally:
            with self._lock:
                self.at_once -= 1


@pytest.fixture(scope="module", autouse=True)
def few_rows() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setattr(accept, "LIVE_PART_ROWS", PART)
    yield
    patch.undo()


Register = Callable[..., None]


@pytest.fixture
def police(service: Service) -> Iterator[tuple[Police, Register]]:
    """A department that is asked live, and what registers it anew, which closes its circuit."""
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    answering = Police()
    with department(answering) as (address, _asked):

        def register(timeout_ms: int = 2000) -> None:
            body = described(address, KEY, timeout_ms=timeout_ms)
            assert bureau.call(service.http, "PUT", LIVE, body).status_code == 200

        register()
        yield answering, register
        bureau.call(service.http, "DELETE", LIVE)


def claims(person: str, number: int, **more: str) -> dict[str, Any]:
    return {"subject": person, "claims": {"name": f"人{number}", **more}}


def test_each_row_is_asked_there_and_its_answer_holds_alone(
    service: Service, asking: Asking, police: tuple[Police, Register]
) -> None:
    answering, _register = police
    wrong = {PEOPLE[10]: 200, PEOPLE[11]: 403}
    answering.fails = lambda question: wrong.get(question.subject)
    rows = [claims(person, number, marital_status="married") for number, person in enumerate(PEOPLE[:12])]
    rows += [
        claims(STRANGER, 1),
        claims(PEOPLE[13], 14),
        claims(PEOPLE[0][:17], 0),
        claims(PEOPLE[15], 15, address="东湖路1号"),
    ]
    sent = asking.send(lines(*rows), key="live").json()
    shown = asking.wait(sent["id"])
    counts = {name: shown[name] for name in ("answered", "unknown", "malformed", "refused", "unanswered")}
    assert counts == {"answered": 11, "unknown": 1, "malformed": 1, "refused": 1, "unanswered": 2}
    statement, said = asking.read(sent["id"])
    assert (statement["unanswered"], statement["results"]["part_rows"]) == (2, 10)
    assert [row.get("error") for row in said] == [
        *[None] * 10, "source-answer-invalid", "source-refused", None, None, "subject-malformed",
        "field-not-granted",
    ]  # fmt: skip
    for number, row in enumerate(said[:10]):
        assert row["results"] == {"name": "match", "marital_status": "match" if number % 2 else "mismatch"}
        assert row["source"] == {"live": True, "kind": "department", "department": POLICE}
        assert row["as_of"] == "2024-05-01"
        assert subject_matches(row, PEOPLE[number])
        assert verify_answer(row["source_answer"], KEYS, kind=ANSWER_TYPE).results == row["results"]
    assert said[12]["results"] == {"name": "unknown"}
    assert said[13]["results"] == {"name": "mismatch"}
    # What may not be asked is not passed on, and the source is not overrun.
    assert answering.answered == Counter([*PEOPLE[:10], STRANGER, PEOPLE[13]])
    assert 1 < answering.most_at_once <= AT_ONCE
    written = records(service, sent["id"])
    assert [record["outcome"] for record in written].count("answered") == 12
    assert written[0]["live_department"] == POLICE
    assert written[10]["reason"] == "source-answer-invalid"
    assert service.sql("SELECT missed FROM exchange.batch WHERE id = %s", sent["id"]) == [(2,)]
    assert service.sql("SELECT count(*) FROM exchange.batch_live_answer") == [(0,)]


def test_what_is_masked_stays_so_in_a_live_batch(client: Client, police: tuple[Police, Register]) -> None:
    asking = client("clearing", clear_fields=["marital_status"])
    subjects = lines({"subject": PEOPLE[1]}, {"subject": STRANGER})
    for masked, fields in ((["name"], ["name", "marital_status"]), ([], ["marital_status"])):
        sent = asking.send(subjects, key=f"query{len(fields)}", mode="query", fields=fields).json()
        asking.wait(sent["id"])
        _statement, (known, unknown) = asking.read(sent["id"])
        assert (unknown["found"], unknown["values"]) == (False, {})
        assert known["values"] == {"marital_status": "married"} | ({"name": "人*"} if masked else {})
        assert known["masked"] == masked
        if masked:
            assert "source_answer" not in known
            assert len(known["source_answer_sha256"]) == 64
        else:
            inside = verify_answer(known["source_answer"], KEYS, kind=ANSWER_TYPE)
            assert inside.claims["values"] == known["values"]


def test_a_batch_waits_for_a_source_that_fails_and_asks_nobody_twice(
    service: Service, asking: Asking, police: tuple[Police, Register]
) -> None:
    answering, register = police
    turns = itertools.count()
    answering.fails = lambda _question: None if next(turns) < PART else 503
    rows = [claims(person, number) for number, person in enumerate(PEOPLE)]
    batch = asking.send(lines(*rows), key="outage").json()["id"]
    shown = asking.wait(batch, "paused")
    assert (shown["problem"], shown["done"]) == ("source-unavailable", PART)
    assert shown["resume_at"] is not None
    kept = service.sql("SELECT sealed FROM exchange.batch_live_answer WHERE batch_id = %s", batch)
    assert FAILURES <= len(kept) < PART
    assert not any("人".encode() in sealed for (sealed,) in kept)
    answering.fails = lambda _question: None
    register(timeout_ms=2001)
    assert asking.post(f"{batch}/resume").status_code == 200
    shown = asking.wait(batch)
    assert shown["unanswered"] == len(kept)
    assert shown["answered"] == 40 - shown["unanswered"]
    assert set(answering.answered.values()) == {1}
    _statement, said = asking.read(batch)
    assert {row["error"] for row in said if "error" in row} == {"source-unavailable"}


def test_pausing_and_resuming_asks_nobody_twice(asking: Asking, police: tuple[Police, Register]) -> None:
    answering, _register = police
    batch = asking.send(
        lines(*[claims(person, number) for number, person in enumerate(PEOPLE)]), key="paused"
    ).json()["id"]
    for turn in range(1, 4):
        while answering.answered.total() < 7 * turn:
            time.sleep(0.005)
        assert asking.post(f"{batch}/pause").status_code == 200
        asking.wait(batch, "paused")
        assert asking.post(f"{batch}/resume").status_code == 200
    assert asking.wait(batch)["answered"] == 40
    assert answering.answered == Counter(PEOPLE)


def test_killed_while_it_asks_a_batch_goes_on_where_it_was(
    service: Service, asking: Asking, police: tuple[Police, Register], monkeypatch: pytest.MonkeyPatch
) -> None:
    answering, _register = police
    # The service of the test rests; the process that dies works, and dies with its seventh answer kept.
    monkeypatch.setattr(work, "MOST_WAITING_FOR_THE_LOG", -1)
    rows = [claims(person, number) for number, person in enumerate(PEOPLE[:20])]
    batch = asking.send(lines(*rows), key="killed").json()["id"]
    assert run(service, batch, "keep", "after", 7) == -signal.SIGKILL
    ((kept,),) = service.sql("SELECT count(*) FROM exchange.batch_live_answer WHERE batch_id = %s", batch)
    assert 7 - AT_ONCE < kept <= 10
    assert asking.get(batch).json()["records"] == 0
    monkeypatch.undo()
    assert asking.wait(batch)["answered"] == 20
    assert len(records(service, batch)) == 20
    # Whom it asked about when it died is asked about again, as nobody knew the answer; nobody else is.
    assert set(answering.answered) == set(PEOPLE[:20])
    assert answering.answered.total() <= 20 + AT_ONCE
