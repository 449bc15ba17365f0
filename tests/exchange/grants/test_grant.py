"""Whether a grant covers a request: by mode, matter, fields, time of day and division; from wide to narrow."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, time
from typing import Any

import pytest

from exchange.catalog.resources import load_catalogue
from exchange.grants.grant import (
    Grant,
    GrantMalformed,
    Hours,
    Mode,
    SubjectNotCovered,
    covering_grant,
    covering_grants,
    for_subject,
    require_sense,
)
from exchange.grants.scope import division_of
from foundation.errors import DomainError

NOON = datetime(2025, 11, 25, 4, 0, tzinfo=UTC)  # 12:00 in China


def grant(**changes: Any) -> Grant:
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "client_id": "a",
        "resource": "persons-basic",
        "fields": frozenset({"name", "birth_date"}),
        "matters": frozenset({"m"}),
        "purpose": "p",
        "legal_basis": "l",
        "valid_from": datetime(2025, 1, 1, tzinfo=UTC),
        "valid_until": datetime(2026, 1, 1, tzinfo=UTC),
        "granted_by": "bureau",
        "granted_at": datetime(2025, 1, 1, tzinfo=UTC),
        **changes,
    }
    return Grant(**values)


def refusal(*grants: Grant, mode: Mode = Mode.VERIFY, fields: str = "name", matter: str = "m") -> str | None:
    try:
        covering_grant(grants, mode, frozenset(fields.split()), matter, NOON)
    except DomainError as error:
        return error.code
    return None


MORNING = Hours(time(8), time(12))
NIGHT = Hours(time(22), time(6))
ENDED = {"ended_at": datetime(2025, 2, 1, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("grants", "asked", "code"),
    [
        ([{}], {}, None),
        ([], {}, "not-granted"),
        ([ENDED], {}, "not-granted"),
        ([{"valid_until": NOON}], {}, "grant-not-in-force"),
        ([{"valid_from": NOON}], {}, None),
        ([{}], {"mode": Mode.QUERY}, "mode-not-granted"),
        ([{"modes": frozenset({Mode.QUERY})}], {}, "mode-not-granted"),
        ([{}], {"matter": "n"}, "matter-not-granted"),
        ([{}], {"fields": "name sex"}, "field-not-granted"),
        ([{"hours": MORNING}], {}, "outside-hours"),
        ([{"hours": NIGHT}], {}, "outside-hours"),
        ([{"hours": Hours(time(12), time(13))}], {}, None),
        ([{"hours": MORNING}, {}], {}, None),
        # What no single grant allows, several do not allow together.
        ([{"modes": frozenset({Mode.QUERY})}, {"matters": frozenset({"n"})}], {}, "matter-not-granted"),
        ([{"fields": frozenset({"sex"})}, {}], {"fields": "name sex"}, "field-not-granted"),
    ],
)
def test_a_refusal_names_the_first_thing_that_no_grant_has(
    grants: list[dict[str, Any]], asked: dict[str, Any], code: str | None
) -> None:
    assert refusal(*(grant(**each) for each in grants), **asked) == code


@pytest.mark.parametrize(
    ("at", "held"),
    [(time(21, 59), False), (time(22), True), (time(23, 59), True), (time(0), True), (time(6), False)],
)
def test_hours_may_go_over_midnight(at: time, held: bool) -> None:
    assert NIGHT.holds(at) is held


def test_a_grant_for_divisions_holds_for_whom_lives_there() -> None:
    county, anywhere = grant(divisions=frozenset({"9901", "990203"})), grant()
    assert for_subject([county], "990107") == (county,)
    assert for_subject([county], "990203") == (county,)
    assert for_subject([county, anywhere], "990204") == (anywhere,)
    said = []
    for division in ("990204", None):
        with pytest.raises(SubjectNotCovered) as refused:
            for_subject([county], division)
        said.append((str(refused.value), refused.value.pointer, refused.value.values))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("register", "content", "division"),
    [
        ("persons", {"residence_division": "990102", "registration_division": "990101"}, "990102"),
        ("persons", {"residence_division": None, "registration_division": "990101"}, "990101"),
        ("persons", {}, None),
        ("legal_entities", {"code": "91990101MA00000000"}, "990101"),
        ("legal_entities", {"registration_number": "440301102739085"}, "440301"),
        ("credentials", {"division": "990103"}, "990103"),
        ("credentials", {}, None),
    ],
)
def test_where_a_subject_is(register: str, content: dict[str, Any], division: str | None) -> None:
    assert division_of(register, content) == division


def test_what_could_never_hold_is_not_given() -> None:
    catalogue = load_catalogue()
    require_sense(grant(clear_fields=frozenset({"name"})), catalogue)
    with pytest.raises(GrantMalformed):
        require_sense(grant(clear_fields=frozenset({"sex"})), catalogue)


def test_several_grants_may_cover_a_request() -> None:
    both = (grant(), grant(fields=frozenset({"name", "sex", "birth_date"})))
    assert covering_grants(both, Mode.VERIFY, frozenset({"name"}), "m", NOON) == both
