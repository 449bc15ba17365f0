"""Masks: by rule of the catalogue, whole where the rule says no more."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.catalog.resource import Masking, Sensitivity
from exchange.catalog.resources import load_catalogue
from exchange.queries.masking import masked


@pytest.mark.parametrize(
    ("rule", "value", "shown"),
    [
        (Masking.NAME, "张三丰", "张*"),
        (Masking.NAME, "张三", "张*"),
        (Masking.NAME, "𠮷野", "𠮷*"),
        (Masking.IDENTIFIER, "230102199001011234", "2301**********1234"),
        (Masking.IDENTIFIER, "12345678", "******"),
        (Masking.DATE, "1980-02-29", "1980-**-**"),
        (Masking.ADDRESS, "示范市东湖路1号", "示范市******"),
        (Masking.ADDRESS, "东湖路1号", "******"),
        (Masking.HIDDEN, "married", "******"),
        (Masking.DATE, None, None),
        (Masking.NONE, "991", "991"),
    ],
)
def test_a_value_is_masked_by_its_field_s_rule(rule: Masking, value: Any, shown: Any) -> None:
    assert masked(value, rule) == shown


def test_every_sensitive_field_is_masked_unless_a_grant_says_otherwise() -> None:
    counted = 0
    for resource in load_catalogue().values():
        for name in resource.fields:
            field = resource.details[name]
            if field.sensitivity is Sensitivity.SENSITIVE:
                counted += 1
                assert masked("2301021990010112345", field.masking) != "2301021990010112345"
    assert counted > 5
