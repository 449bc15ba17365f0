"""Masks: by rule of the field, whole where there is none."""

from __future__ import annotations

from typing import Any

import pytest

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
        (None, "married", "******"),
        ("date", None, None),
    ],
)
def test_a_value_is_masked_by_its_field_s_rule(rule: str | None, value: Any, shown: Any) -> None:
    assert masked(value, {} if rule is None else {"x-mask": rule}) == shown


def test_every_rule_of_a_register_is_known_and_stands_at_a_sensitive_field() -> None:
    for register in load_registers().values():
        for name, described in register.schema["properties"].items():
            if "x-mask" in described:
                assert name in register.sensitive
                assert masked("2301021990010112345", described) != "******"
