"""The life of a licence over HTTP: every state × operation × target, and the events that tell how it came there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import orjson
import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from demonstration.parties import System
from foundation.identifiers import Uscc
from foundation.identity.principals import Role
from license_registry.lifecycle.states import (
    VERSIONING,
    Actor,
    ActorNotEntitled,
    Operation,
    OperationNotAllowed,
    State,
    next_state,
)
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import PERSON, STRANGER, body, issued, operate, problem

STATES = [state.value for state in State]
OPERATIONS = [operation.value for operation in Operation if operation not in VERSIONING | {Operation.ISSUE}]
TARGETS = [None, *STATES]

# Written out by hand, for the authority that issued: (state, operation, target) → state after. The rest is refused.
ALLOWED = {
    # suspend
    ("01", "03", None): "02",
    ("01", "03", "02"): "02",
    # expire
    ("01", "04", None): "05",
    ("01", "04", "05"): "05",
    ("02", "04", None): "05",
    ("02", "04", "05"): "05",
    # cancel: which end it is must be said
    ("01", "05", "03"): "03",
    ("01", "05", "04"): "04",
    ("01", "05", "06"): "06",
    ("01", "05", "07"): "07",
    ("02", "05", "03"): "03",
    ("02", "05", "04"): "04",
    ("02", "05", "06"): "06",
    ("02", "05", "07"): "07",
    ("99", "05", "03"): "03",
    ("99", "05", "04"): "04",
    ("99", "05", "07"): "07",
    # what has ended is struck from the books
    ("05", "05", "03"): "03",
    ("05", "05", "04"): "04",
    ("03", "05", None): "04",
    ("03", "05", "04"): "04",
    ("07", "05", None): "04",
    ("07", "05", "04"): "04",
    # return after suspension
    ("02", "06", None): "01",
    ("02", "06", "01"): "01",
    # other, with its description
    ("01", "07", None): "99",
    ("01", "07", "99"): "99",
    ("02", "07", None): "99",
    ("02", "07", "99"): "99",
    ("99", "07", None): "01",
    ("99", "07", "01"): "01",
    # undo transfer out
    ("06", "10", None): "01",
    ("06", "10", "01"): "01",
}
assert len(STATES) * len(OPERATIONS) * len(TARGETS) == 432


@pytest.fixture(scope="module")
def licence(service: Service, authority: System) -> str:
    return str(issued(service, authority)["identifier"])


@pytest.fixture(scope="module")
def database(service: Service) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(service.address, autocommit=True) as connection:
        yield connection


def row(database: psycopg.Connection[tuple[object, ...]], identifier: str) -> list[tuple[object, ...]]:
    """The licence and the number of its events."""
    return database.execute(
        "SELECT l.*, (SELECT count(*) FROM license_registry.event v WHERE v.identifier = l.identifier)"
        " FROM license_registry.licence l WHERE identifier = %s",
        (identifier,),
    ).fetchall()


@pytest.mark.parametrize(("state", "operation"), list(itertools.product(STATES, OPERATIONS)))
def test_each_operation_from_each_state_to_each_target(
    service: Service,
    authority: System,
    database: psycopg.Connection[tuple[object, ...]],
    licence: str,
    state: str,
    operation: str,
) -> None:
    for target in TARGETS:
        # Some states no operation leads to.
        database.execute("UPDATE license_registry.licence SET state = %s", (state,))
        before = row(database, licence)
        reply = operate(service, authority, licence, operation, target)
        after = ALLOWED.get((state, operation, target))
        if after is None:
            assert problem(reply) == (409, "operation-not-allowed"), (state, operation, target)
            assert row(database, licence) == before
        else:
            assert reply.status_code == 200, (state, operation, target)
            why = "司法冻结" if operation == "07" else "监督检查"
            assert (reply.json()["state"], reply.json()["state_reason"]) == (after, why)
            ((found, content, in_log),) = database.execute(
                "SELECT l.state, v.content, EXISTS (SELECT FROM ledger.pending WHERE entry = v.entry)"
                " OR EXISTS (SELECT FROM ledger.entry WHERE entry = v.entry)"
                " FROM license_registry.licence l JOIN license_registry.event v USING (identifier)"
                " WHERE identifier = %s ORDER BY v.recorded_at DESC LIMIT 1",
                (licence,),
            ).fetchall()
            told = orjson.loads(bytes(content))
            assert found == after
            assert (told["event"], told["operation"]) == ("state-changed", operation)
            assert (told["state_before"], told["state_after"]) == (state, after)
            assert told["client"] == authority.client_id
            assert told["actor"] == "issuing-authority"
            assert in_log
            assert row(database, licence)[0][-1] == before[0][-1] + 1


@pytest.mark.parametrize("operation", ["01", "02", "08", "09", "11", "", "suspend"])
def test_operations_that_are_none_of_ours_do_not_fit(
    service: Service, authority: System, licence: str, operation: str
) -> None:
    reply = operate(service, authority, licence, operation)
    assert problem(reply) == (422, "invalid-request")
    assert reply.json()["errors"][0]["pointer"] == "/operation"


def test_only_the_authority_that_issued_changes(
    service: Service, authority: System, database: psycopg.Connection[tuple[object, ...]]
) -> None:
    made = issued(service, authority)["identifier"]
    before = row(database, made)
    department = str(Uscc.compute("11990100MB2A00002"))
    other = service.system("other-authority", Role.ISSUING_AUTHORITY, department=department)
    assert problem(operate(service, other, made, "03")) == (403, "issuer-mismatch")
    counter = service.system("counter", Role.COUNTER)
    assert problem(operate(service, counter, made, "03")) == (403, "role-missing")
    assert row(database, made) == before


@pytest.mark.parametrize("identifier", ["none", "a%00b"])
def test_a_licence_that_is_not_there_is_not_found(
    service: Service, authority: System, identifier: str
) -> None:
    assert problem(operate(service, authority, identifier, "03")) == (404, "not-found")


def test_a_reason_holds_no_citizen_id(service: Service, authority: System, licence: str) -> None:
    wanted = {"operation": "03", "reason": f"持证人 {PERSON}"}
    path = f"/registry/v1/licences/{licence}/operations"
    assert problem(authority.call(service.http, "POST", path, wanted)) == (422, "invalid-request")


def test_of_equal_operations_at_once_one_takes_place(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _n: operate(service, authority, made, "03"), range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 7


def test_a_licence_does_not_come_back_beside_its_successor(service: Service, authority: System) -> None:
    wanted = body()
    path = "/registry/v1/licences"
    first = authority.call(service.http, "POST", path, wanted).json()["identifier"]
    assert operate(service, authority, first, "05", "06").status_code == 200
    second = authority.call(service.http, "POST", path, wanted).json()["identifier"]
    assert problem(operate(service, authority, first, "10")) == (409, "licence-in-force")
    assert authority.call(service.http, "GET", f"{path}/{first}").json()["state"] == "06"
    assert operate(service, authority, second, "05", "04").status_code == 200
    assert operate(service, authority, first, "10").json()["state"] == "01"


steps = st.lists(
    st.one_of(
        st.sampled_from([("03", None), ("06", None), ("05", "06"), ("10", None)]),
        st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(TARGETS)),
    ),
    max_size=10,
)


@bounds(max_examples=25, deadline=None, derandomize=True)
@given(steps)
def test_the_events_replayed_give_the_stored_state(
    service: Service, authority: System, wanted: list[tuple[str, str | None]]
) -> None:
    made = issued(service, authority)["identifier"]
    taken = [operate(service, authority, made, *step).status_code for step in wanted]
    assert set(taken) <= {200, 409}
    events = [
        orjson.loads(content)
        for (content,) in service.sql(
            "SELECT content FROM license_registry.event WHERE identifier = %s ORDER BY recorded_at", made
        )
    ]
    assert [event["event"] for event in events] == ["issued"] + ["state-changed"] * taken.count(200)
    state = State.VALID
    for event in events[1:]:
        assert event["state_before"] == state
        state = State(event["state_after"])
    assert service.sql("SELECT state FROM license_registry.licence WHERE identifier = %s", made) == [
        (state.value,)
    ]


def test_the_state_machine_alone_is_the_same_table() -> None:
    for state, operation, target in itertools.product(STATES, OPERATIONS, TARGETS):
        wanted = State(target) if target else None
        try:
            after = next_state(State(state), Operation(operation), wanted).value
        except OperationNotAllowed:
            after = None
        assert after == ALLOWED.get((state, operation, target))


# As which others than the issuer something is done: (actor, state, operation) → states it may end in.
OTHERS = {
    (Actor.HOLDER, "01", "05"): {"04"},
    (Actor.SCHEDULER, "01", "04"): {"05"},
    (Actor.SCHEDULER, "02", "04"): {"05"},
    (Actor.SCHEDULER, "02", "06"): {"01"},
    (Actor.OPERATOR, "01", "07"): {"99"},
    (Actor.OPERATOR, "02", "07"): {"99"},
    (Actor.OPERATOR, "99", "07"): {"01"},
    (Actor.RECEIVER, "06", "08"): {"06"},
}


def test_nobody_else_does_more_than_is_written_here() -> None:
    found = {}
    for actor in set(Actor) - {Actor.ISSUER}:
        for state, operation in itertools.product(State, Operation):
            ends = set()
            for target in State:
                try:
                    ends.add(next_state(state, operation, target, actor).value)
                except (OperationNotAllowed, ActorNotEntitled):
                    continue
            if ends:
                found[actor, state.value, operation.value] = ends
    assert found == OTHERS


def test_versions_are_made_by_the_issuer_of_what_is_valid_and_of_what_has_lapsed() -> None:
    found = set()
    for state, operation in itertools.product([None, *State], sorted({Operation.ISSUE, *VERSIONING})):
        try:
            after = next_state(state, operation, None)
        except (OperationNotAllowed, ActorNotEntitled):
            continue
        found.add((state, operation.value, after.value))
    assert found == {(None, "01", "01"), ("01", "02", "05"), ("05", "02", "05"), ("01", "09", "05")}


def test_the_type_narrows_operations_and_states() -> None:
    with pytest.raises(OperationNotAllowed):
        next_state(State.VALID, Operation.SUSPEND, None, operations={Operation.CANCEL})
    with pytest.raises(OperationNotAllowed):
        next_state(State.VALID, Operation.CANCEL, State.REVOKED, states={State.VALID, State.CANCELLED})
    after = next_state(State.VALID, Operation.CANCEL, None, states={State.VALID, State.CANCELLED})
    assert after is State.CANCELLED


def wanted(operation: str, **further: object) -> dict[str, object]:
    return {"operation": operation, "reason": "监督检查", **further}


def test_state_99_needs_its_description(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{made}/operations"
    assert problem(authority.call(service.http, "POST", path, wanted("07"))) == (
        422,
        "state-description-missing",
    )
    reply = authority.call(service.http, "POST", path, wanted("07", description="司法冻结"))
    assert (reply.json()["state"], reply.json()["state_description"]) == ("99", "司法冻结")
    reply = authority.call(service.http, "POST", path, wanted("07"))
    assert (reply.json()["state"], reply.json()["state_description"]) == ("01", None)


def test_only_a_suspension_has_its_last_day_and_one_to_come(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{made}/operations"
    for body_ in (wanted("03", until="2020-01-01"), wanted("05", target="04", until="2099-01-01")):
        assert problem(authority.call(service.http, "POST", path, body_)) == (422, "suspension-until-invalid")
    reply = authority.call(service.http, "POST", path, wanted("03", until="2099-01-01"))
    assert reply.json()["suspended_until"] == "2099-01-01"
    assert operate(service, authority, made, "06").json()["suspended_until"] is None


@pytest.mark.parametrize("to", [MARKET, "11990100MB2A000020"])
def test_a_transfer_goes_to_another_authority_that_there_is(
    service: Service, authority: System, to: str
) -> None:
    made = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{made}/operations"
    reply = authority.call(service.http, "POST", path, wanted("05", target="06", transfer_to=to))
    assert problem(reply) == (422, "transfer-invalid")
    other = str(Uscc.compute("11990100MB2A00002"))
    reply = authority.call(service.http, "POST", path, wanted("03", transfer_to=other))
    assert problem(reply) == (422, "transfer-invalid")


def test_a_person_gives_up_only_what_is_theirs_and_an_operator_only_freezes(
    service: Service, authority: System
) -> None:
    made = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{made}/operations"
    presenting = service.person(PERSON)
    # The representative presents it; the licence is the entity's.
    for headers in (presenting, service.person(STRANGER)):
        reply = service.http.post(path, json=wanted("05", target="04"), headers=headers)
        assert problem(reply) == (404, "not-found")
    operator = service.system("operator", Role.OPERATOR)
    assert problem(operate(service, operator, made, "03")) == (403, "actor-not-entitled")
    reply = operator.call(service.http, "POST", path, wanted("07", description="密钥泄露"))
    assert reply.json()["state"] == "99"
    # Held by the person: blind indexes of the same citizen ID, whatever the code of the holder was.
    service.sql(
        "UPDATE license_registry.licence SET holder = presenter, state = '01' WHERE identifier = %s", made
    )
    reply = service.http.post(path, json=wanted("03"), headers=presenting)
    assert problem(reply) == (403, "actor-not-entitled")
    reply = service.http.post(path, json=wanted("05"), headers=presenting)
    assert (reply.status_code, reply.json()["state"]) == (200, "04")
