"""What a name of a paper is taken for, and what it must not be taken for."""

from __future__ import annotations

from string import Formatter
from typing import Any

import pytest

from exchange.catalog.resources import load_catalogue
from exchange.matters.matching import candidate, is_form, vocabulary
from exchange.matters.names import normalised
from license_registry.catalog.types import load_types


@pytest.mark.parametrize(
    ("name", "evidence_type", "role", "sureness"),
    [
        ("居民身份证", "person-identity", "applicant", "exact"),
        ("有效身份证件", "person-identity", "applicant", "exact"),
        ("代办人身份证", "person-identity", "agent", "contained"),
        ("申报死亡待遇遗属的有效身份证件", "person-identity", "dependant", "contained"),
        ("参保人本人身份证", "person-identity", "applicant", "contained"),
        ("中华人民共和国结婚证", "marriage", "applicant", "exact"),
        ("居民户口薄", "household-register", "applicant", "similar"),
        ("企业营业执照", "business-licence", "applicant", "exact"),
        ("法定登记注册文件(营业执照)", "business-licence", "applicant", "contained"),
        ("法定登记注册文件(民办非企业单位登记证)", "legal-person", "applicant", "contained"),
        ("法定代表人身份证明书", "representative", "representative", "exact"),
        ("无犯罪记录证明", "no-criminal-record", "applicant", "exact"),
        ("授权委托书(委托办理的)", "authorisation", "agent", "contained"),
    ],
)
def test_a_name_is_matched(name: str, evidence_type: str, role: str, sureness: str) -> None:
    found = candidate(name)
    assert found is not None
    assert (found.evidence_type, found.role, found.sureness) == (evidence_type, role, sureness)


@pytest.mark.parametrize(
    "name",
    [
        "香港或澳门特别行政区永久性居民身份证",
        "外国人永久居留身份证",
        "中华人民共和国残疾人证申请表",
        "手持身份证照片",
        "律师执业证",  # one character from 医师执业证
        "资格证书",
        "市场监管机关发出的吊销工商营业执照决定",
        "召集人的护照、在华常住证明",  # asks for more than its last words say
        "所有设立人的居民身份证",  # of more people than one
        "无犯罪记录承诺书",
        "年度总结",
    ],
)
def test_a_name_is_not_matched(name: str) -> None:
    assert candidate(name) is None


def test_whose_paper_the_first_part_is_holds_for_the_others() -> None:
    whole = normalised("供养亲属居民身份证或户口簿")
    found = candidate(whole.parts[1], whole.text)
    assert found is not None and found.role == "dependant"
    alone = candidate(whole.parts[1])
    assert alone is not None and alone.role == "applicant"


def test_a_long_name_is_no_recursion() -> None:
    found = candidate("本人" * 3000 + "代办人身份证")
    assert found is not None and found.role == "agent"


def test_an_application_is_a_form() -> None:
    assert is_form("残疾人证申请表(换领申请)")
    assert not is_form("残疾人证")


def resources(tree: Any) -> set[tuple[str, str]]:
    if isinstance(tree, list):
        return set().union(*map(resources, tree))
    ((kind, value),) = tree.items()
    match kind:
        case "any_of" | "all_of":
            return resources(value)
        case "licence":
            return {("licence", value["type"])}
        case "claims":
            return {
                (value["resource"], claim.get("field", "") if "is" in claim else name)
                if isinstance(claim, dict)
                else (value["resource"], name)
                for name, claim in value["claims"].items()
            }
    return set()


def test_every_evidence_type_names_what_is_there() -> None:
    catalogue, licence_types = load_catalogue(), load_types()
    for each in vocabulary().types.values():
        assert all(normalised(name).text == name for name in each.names), each.id
        for resource, name in resources(each.evidence):
            if resource == "licence":
                assert name in licence_types, each.id
            else:
                assert not name or name in catalogue[resource].fields, each.id
        places = {p for n in each.inputs for _, p, _, _ in Formatter().parse(n) if p}
        assert places <= {"role"}, each.id
