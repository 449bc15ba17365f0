"""What stewards confirmed, in the descriptions of matters."""

from __future__ import annotations

from typing import Any

from exchange.matters.applying import Confirmed, settle
from exchange.matters.importing.describe import describe
from exchange.matters.importing.layout import layouts
from exchange.matters.matter import read_matter


def matter(*materials: str, applicants: str = "自然人；企业法人") -> dict[str, Any]:
    values = {
        "事项编码": "m-1",
        "事项名称": "事项",
        "实施机构代码": "11990100MB2A00001X",
        "实施机构": "示范局",
        "服务对象": applicants,
        "申请材料": "\n".join(materials),
    }
    document, _remarks = describe(values, layouts()["plain"])
    read_matter(document)
    return document


IDENTITY, LICENCE = Confirmed("person-identity"), Confirmed("business-licence")


def test_a_confirmed_name_gives_evidence_roles_and_inputs_and_taking_it_back_takes_them_all() -> None:
    before = matter("代办人身份证")
    after = settle(before, {"代办人身份证": IDENTITY})
    read_matter(after)
    (paper,) = after["materials"]
    assert paper["evidence"]["claims"]["subject"] == "agent"
    assert after["subjects"]["agent"] == {"kind": "citizen-id", "title": "代办人", "required": False}
    assert after["inputs"]["agent_name"]["title"] == "代办人姓名"
    assert settle(after, {"代办人身份证": IDENTITY}) == after
    assert settle(after, {}) == before


def test_one_of_several_papers_suffices_but_not_where_all_are_asked() -> None:
    after = settle(
        matter("身份证或护照", "本人委托书、受托人身份证"), {"身份证": IDENTITY, "受托人身份证": IDENTITY}
    )
    either, both = after["materials"]
    assert either["evidence"]["claims"]["subject"] == "applicant"
    assert "evidence" not in both


def test_a_paper_of_a_legal_entity_is_about_the_entity() -> None:
    evidence = settle(matter("营业执照"), {"营业执照": LICENCE})["materials"][0]["evidence"]
    assert evidence["any_of"][0] == {"licence": {"type": "business-licence", "subject": "entity"}}
    alone = settle(matter("营业执照", applicants="企业法人"), {"营业执照": LICENCE})
    assert alone["materials"][0]["evidence"]["any_of"][0]["licence"]["subject"] == "applicant"
    read_matter(alone)


def test_a_representative_represents_the_entity() -> None:
    after = settle(
        matter("法定代表人身份证明", applicants="自然人"), {"法定代表人身份证明": Confirmed("representative")}
    )
    read_matter(after)
    assert after["subjects"]["entity"]["kind"] == "uscc"
    claim = after["materials"][0]["evidence"]["claims"]["claims"]["represents"]
    assert claim["value"] == {"subject": "entity"}


def test_what_somebody_wrote_stays() -> None:
    written = matter("身份证")
    written["materials"][0]["evidence"] = {"commitment": "truthful-statement"}
    assert settle(written, {"身份证": IDENTITY}) == written


def test_a_role_that_a_steward_names_counts() -> None:
    after = settle(matter("身份证"), {"身份证": Confirmed("person-identity", "guardian")})
    assert after["materials"][0]["evidence"]["claims"]["subject"] == "guardian"


def test_what_is_personal_needs_consent() -> None:
    assert settle(matter("结婚证"), {"结婚证": Confirmed("marriage")})["materials"][0]["consent"] is True
