"""Comparing data with a licence: what differs comes before the state, what is lacking after it."""

from __future__ import annotations

from typing import Any

import pytest

from license_registry.presenting.check import Result
from license_registry.sharing.compare import compare
from license_registry.sharing.names import granted, of_fields

KNOWN: dict[str, Any] = {
    "ZZBH": "TEST（2025）1",
    "ZZYXQJZRQ": None,
    "CZZT": ["张三", "李四"],
    "KZ_capital": "壹佰万元整",
}


@pytest.mark.parametrize(
    ("given", "found", "result"),
    [
        ({"ZZBH": "test(2025) 1"}, Result.VALID, Result.VALID),
        ({"CZZT": "李四"}, Result.VALID, Result.VALID),
        ({"CZZT": ["李四", "张三"]}, Result.VALID, Result.VALID),
        ({"CZZT": ["李四", "王五"]}, Result.VALID, Result.PARAMETERS_DIFFER),
        ({"ZZYXQJZRQ": None}, Result.VALID, Result.VALID),
        ({"ZZYXQJZRQ": "None"}, Result.VALID, Result.PARAMETERS_DIFFER),
        ({"ZZYXQJZRQ": "2030-01-01"}, Result.VALID, Result.PARAMETERS_DIFFER),
        ({"ZZBH": None}, Result.VALID, Result.PARAMETERS_DIFFER),
        ({"KZ_address": "东湖路"}, Result.VALID, Result.INSUFFICIENT_DATA),
        ({"KZ_address": "东湖路"}, Result.VOID, Result.VOID),
        ({"KZ_address": "东湖路", "ZZBH": "2"}, Result.VALID, Result.PARAMETERS_DIFFER),
        ({"ZZBH": "2"}, Result.SUSPENDED, Result.PARAMETERS_DIFFER),
        ({"ZZBH": "TEST(2025)1"}, Result.SUSPENDED, Result.SUSPENDED),
    ],
)
def test_the_result(given: dict[str, Any], found: Result, result: Result) -> None:
    assert compare(given, KNOWN, found).result is result


def test_what_differs_and_what_is_lacking_are_named() -> None:
    compared = compare({"ZZBH": "2", "KZ_address": "x", "KZ_capital": "壹佰万元整"}, KNOWN, Result.VALID)
    assert (compared.differing, compared.lacking) == (("ZZBH",), ("KZ_address",))


def test_several_holders_stand_in_one_list_and_what_is_of_one_type_has_its_prefix() -> None:
    told = of_fields(
        {
            "holder_name": "张三",
            "holder_code": "1",
            "co_holders": [{"holder_name": "李四"}],
            "origin": "digitised",
            "business_scope": "茶叶种植",
        },
        {},
    )
    assert told == {"CZZT": ["张三", "李四"], "CZZTDM": ["1"], "KZ_business_scope": "茶叶种植"}


def test_a_grant_lets_its_fields_be_compared_and_what_is_of_every_licence() -> None:
    names = granted(frozenset({"holder_name", "business_scope"}))
    assert {"ZZBS", "ZZBFJG", "CZZT", "KZ_business_scope"} <= names
    assert not {"CZZTDM", "KZ_representative_name", "KZ_holder_name"} & names
