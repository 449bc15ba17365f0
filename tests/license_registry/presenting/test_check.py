"""The verdict on a credential whose signature holds: what weighs most is what is told."""

from __future__ import annotations

from datetime import date

import pytest

from license_registry.credentials.sd_jwt import Credential
from license_registry.lifecycle.states import State
from license_registry.presenting.check import Result, check

CREDENTIAL = Credential(
    {"iss": "x", "exp": 1, "valid_from": "2025-01-01", "valid_until": "2025-12-31", "holder_name": "某公司"},
    {"address": "东湖路1号"},
    hidden=2,
)
BEFORE, WITHIN, AFTER = date(2024, 12, 31), date(2025, 6, 30), date(2026, 1, 1)


@pytest.mark.parametrize(
    ("state", "issuer_right", "day", "result"),
    [
        (State.VALID, True, WITHIN, Result.VALID),
        (State.VALID, True, BEFORE, Result.NOT_ACTIVE),
        (State.VALID, True, AFTER, Result.VOID),
        (State.VALID, False, WITHIN, Result.VOID),
        (State.VALID, False, BEFORE, Result.VOID),
        (State.SUSPENDED, True, WITHIN, Result.SUSPENDED),
        *((state, True, WITHIN, Result.VOID) for state in State if state not in {"01", "02"}),
        *((state, True, BEFORE, Result.VOID) for state in State if state not in {"01", "02"}),
    ],
)
def test_one_result_for_all_checks(state: State, issuer_right: bool, day: date, result: Result) -> None:
    found = check(CREDENTIAL, state, issuer_right, day)
    assert found.result is result
    assert found.checks == {
        "signature": True,
        "issuer": issuer_right,
        "status": state is State.VALID,
        "begun": day >= date(2025, 1, 1),
        "not_over": day <= date(2025, 12, 31),
    }
    assert all(found.checks.values()) is (result is Result.VALID)


def test_a_wrong_issuer_s_fields_are_not_shown() -> None:
    assert check(CREDENTIAL, State.VALID, False, WITHIN).fields == {}
    assert set(check(CREDENTIAL, State.REVOKED, True, WITHIN).fields) == {
        "valid_from",
        "valid_until",
        "holder_name",
        "address",
    }
