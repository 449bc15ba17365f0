"""Descriptions of matters: what is read, and what is refused with the place."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.matters.matter import (
    AnyOf,
    Claims,
    Commitment,
    LicenceHeld,
    MatterMalformed,
    leaves,
    read_matter,
)


def document(**changes: Any) -> dict[str, Any]:
    return {
        "code": "food-permit",
        "version": 1,
        "title": "食品经营许可",
        "department": "11990100MB2A00001X",
        "department_name": "示范市市场监督管理局",
        "purpose": "食品经营许可审批",
        "subjects": {"applicant": {"kind": "uscc"}, "manager": {"kind": "citizen-id", "required": False}},
        "inputs": {"name": {"title": "姓名", "type": "text"}},
        "materials": [
            {
                "id": "licence",
                "name": "营业执照",
                "evidence": {
                    "any_of": [
                        {"licence": {"type": "business-licence", "subject": "applicant"}},
                        {
                            "claims": {
                                "resource": "persons-basic",
                                "subject": "manager",
                                "claims": {
                                    "name": {"input": "name"},
                                    "adult": {"field": "birth_date", "is": "age-at-least", "value": 18},
                                },
                            }
                        },
                        {"commitment": "truthful-statement"},
                    ]
                },
            },
            {"id": "plan", "name": "平面图", "may_follow_days": 10},
        ],
        **changes,
    }


def material(evidence: Any, name: str = "a") -> dict[str, Any]:
    return {"id": name, "name": "材料", "evidence": evidence}


def test_a_matter_is_read() -> None:
    matter = read_matter(document())
    licence, plan = matter.materials
    assert isinstance(licence.evidence, AnyOf)
    assert [type(leaf) for leaf in leaves(licence.evidence)] == [LicenceHeld, Claims, Commitment]
    assert plan.evidence is None and plan.may_follow_days == 10 and plan.required
    assert matter.required_subjects == {"applicant"}


def nested(depth: int) -> dict[str, Any]:
    evidence: dict[str, Any] = {"commitment": "truthful"}
    for _turn in range(depth):
        evidence = {"any_of": [evidence]}
    return evidence


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"code": "a b"}, "/code"),
        ({"subjects": {"child": {"kind": "citizen-id"}}}, "/subjects"),
        ({"needs_outcome_of": ["food-permit"]}, "/needs_outcome_of"),
        ({"materials": [material(None), material(None)]}, "/materials"),
        ({"materials": [material({"material": "b"})]}, "/materials/0/evidence"),
        ({"materials": [material({"material": "a"})]}, "/materials/0/evidence"),
        (
            {"materials": [material({"material": "b"}), material({"any_of": [{"material": "a"}]}, "b")]},
            "/materials/0/evidence",
        ),
        (
            {"materials": [material({"licence": {"type": "x-y", "subject": "nobody"}})]},
            "/materials/0/evidence",
        ),
        (
            {
                "materials": [
                    material(
                        {
                            "claims": {
                                "resource": "r",
                                "subject": "applicant",
                                "claims": {"n": {"input": "absent"}},
                            }
                        }
                    )
                ]
            },
            "/materials/0/evidence",
        ),
        ({"materials": [material(nested(40))]}, "/materials"),
        (
            {"materials": [material(None) | {"matching": {"names": ["a", "b"], "joined": "one"}}]},
            "/materials/0/matching",
        ),
        (
            {"materials": [material({"all_of": [{"commitment": "of-it"}] * 20}, f"m{n}") for n in range(26)]},
            "/materials",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(changes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(MatterMalformed) as refused:
        read_matter(document(**changes))
    assert refused.value.pointer == pointer
