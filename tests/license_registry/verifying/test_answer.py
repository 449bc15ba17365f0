"""Signed answers of the exchange, verified offline: those of every version so far, and none of a version to come."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from foundation.signing import canonical_json, sign_compact
from license_registry.presenting.check import Result
from license_registry.verifying.answer import ANSWER_TYPE, verify_answer
from license_registry.verifying.verdict import Verdict
from tests.license_registry.verifying.conftest import NOW, Registry

FIRST: dict[str, Any] = {
    "iss": "https://registry.example",
    "iat": int(NOW.timestamp()),
    "client": "housing-fund",
    "department": "11990100MB2A00001X",
    "resource": "persons-basic",
    "resource_version": 1,
    "grant": "8b0f6a5e-5a3c-4f3d-9a59-0d3b1f1f8a11",
    "purpose": "公积金提取",
    "matter": "withdrawal",
    "case": "2025-1",
    "subject": {"kind": "citizen-id", "salt": "00", "digest": "00"},
    "claims": {"name": "张三"},
    "results": {"name": "match"},
    "source": "population",
    "as_of": "2025-01-01T00:00:00+00:00",
    "receipt": {"log": "l", "record": "r", "entry": "e", "recorded_at": "x", "included_by": "y"},
}
SECOND = {
    **FIRST,
    "version": 2,
    "mode": "query",
    "fields": ["name"],
    "found": True,
    "values": {"name": "张*"},
    "masked": ["name"],
    "freshness": {"population": "2025-06-01T00:00:00+00:00"},
}


def verified(made: Registry, statement: dict[str, Any]) -> Verdict:
    text = sign_compact(made.keys.signer("answer"), canonical_json(statement), ANSWER_TYPE)
    return verify_answer(text, made.trust(), NOW)


@pytest.mark.parametrize("statement", [FIRST, SECOND], ids=["1", "2"])
def test_an_answer_of_any_version_so_far_is_verified_and_shown(
    made: Registry, statement: dict[str, Any]
) -> None:
    found = verified(made, statement)
    assert (found.result, found.reasons) == (Result.VALID, {})
    for name in ("mode", "values", "masked", "freshness", "results", "source", "as_of"):
        assert found.fields.get(name) == statement.get(name)
    assert found.told["case"] == "2025-1"
    assert orjson.dumps(found.as_json())


def test_an_answer_of_a_version_to_come_is_not_called_good(made: Registry) -> None:
    found = verified(made, {**SECOND, "version": 3})
    assert found.result is Result.VOID
    assert found.checks["type"] is False
    assert found.fields == {}
