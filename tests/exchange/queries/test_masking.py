"""Masks: by rule of the field, whole where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.catalog.resources import Masking, load_catalogue
from exchange.queries.masking import masked
from exchange.registers.schemas import load_registers


@pytest.mark.parametrize(
    ("rule", "value", "shown"),
    [
        ("name", "张三丰", "张*"),
        ("name", "张三", "张*"),
        ("name", "𠮷野", "𠮷*"),
        ("identifier", "230102199001011234", "2301**********1234"),
        ("identifier", "12345678", "******"),
        ("date", "1980-02-29", "1980-**-**"),
        ("address", "示范市东湖路1号", "示范市******"),
        ("address", "东湖路1号", "******"),
        ("hidden", "married", "******"),
        ("none", "resident", "resident"),
        ("date", None, None),
    ],
)
def test_a_value_is_masked_by_its_field_s_rule(rule: str, value: Any, shown: Any) -> None:
    assert masked(value, Masking(rule)) == shown


@pytest.mark.parametrize("rule", Masking)
def test_every_rule_can_be_followed(rule: Masking) -> None:
    assert (masked("2301021990010112345", rule) == "2301021990010112345") is (rule == Masking.NONE)


def test_a_mask_of_a_register_s_schema_stands_at_a_sensitive_field_and_is_the_catalogue_s() -> None:
    catalogue = load_catalogue()
    for register in load_registers().values():
        for name, described in register.schema["properties"].items():
            if "x-mask" in described:
                assert name in register.sensitive
                assert Masking(described["x-mask"]) not in {Masking.NONE, Masking.HIDDEN}
    for resource in catalogue.values():
        for name, field in resource.details.items():
            if name in resource.register.sensitive:
                assert field.masking != Masking.NONE
