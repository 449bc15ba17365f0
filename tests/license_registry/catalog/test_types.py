"""Licence types are data: what ships is sound, and the fields of a request are checked against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from foundation.identifiers import ElicenceIdentifier
from foundation.sensitive import sensitive_fields
from license_registry.catalog.types import LicenceFieldsInvalid, load_types
from license_registry.credentials import sd_jwt
from tests.conftest import MARKET, Service

TYPES = load_types()


@pytest.mark.parametrize("name", TYPES)
def test_a_type_that_ships_is_sound(name: str) -> None:
    found = TYPES[name]
    assert found.id == name
    assert str(ElicenceIdentifier.compute(found.type_code, MARKET, "1", 1)).startswith("1.2.156.3005.2.")
    properties = found.schema["properties"]
    assert set(found.schema["required"]) <= set(properties)
    assert "holder_code" in found.schema["required"]
    assert set(found.always_disclosed) <= set(properties)
    assert found.schema["additionalProperties"] is False
    assert sensitive_fields(found.schema).isdisjoint(found.always_disclosed)
    # Fields share one room with the claims of ours; none may have a name that is taken.
    hidden = set(properties) - set(found.always_disclosed)
    signer_claims = {"licence_identifier", "licence_number", "issuer_code", "valid_from", "valid_until"}
    assert hidden.isdisjoint(sd_jwt._RESERVED | signer_claims | {"licence_name"})


def test_no_two_types_share_what_tells_them_apart() -> None:
    for told in ("type_code", "vct"):
        assert len({getattr(found, told) for found in TYPES.values()}) == len(TYPES)


def test_anyone_may_see_the_types(service: Service) -> None:
    shown = service.http.get("/registry/v1/licence-types").json()["licence_types"]
    assert [one["id"] for one in shown] == list(TYPES)
    assert shown[0]["schema"] == TYPES[shown[0]["id"]].schema


@pytest.mark.parametrize(
    ("fields", "pointer", "rule"),
    [
        ({"day": "2025-02-30"}, "/fields/day", "format"),
        ({"day": "20250228"}, "/fields/day", "format"),
        ({}, "/fields/day", "required"),
        ({"day": "2025-02-28", "b": 1, "a": 1}, "/fields/a", "additionalProperties"),
        ({"day": "2025-02-28", "rows": [{"name": "x"}, {"name": ""}]}, "/fields/rows/1/name", "minLength"),
        ({"day": "2025-02-28", "rows": [{}]}, "/fields/rows/0/name", "required"),
    ],
)
def test_the_place_of_a_wrong_field_is_named(fields: dict[str, Any], pointer: str, rule: str) -> None:
    row = {"type": "object", "required": ["name"], "properties": {"name": {"minLength": 1}}}
    schema = {
        "type": "object",
        "required": ["day"],
        "additionalProperties": False,
        "properties": {
            "day": {"type": "string", "format": "date"},
            "rows": {"type": "array", "items": row},
        },
    }
    with pytest.raises(LicenceFieldsInvalid) as refused:
        replace(TYPES["business-licence"], schema=schema).require_valid(fields)
    assert (refused.value.pointer, refused.value.values) == (pointer, {"rule": rule})
