"""What a document says: all fields under their titles, co-holders one by one, nothing that the licence does not say."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from license_registry.catalog.types import load_types
from license_registry.documents.written import Written, write_out
from license_registry.lifecycle.states import State
from license_registry.tables import Licence

TYPES = load_types()
NOW = datetime(2025, 7, 1, tzinfo=UTC)
MARKED = {
    "JZJZZ": "加注件",
    "JZJZZZ": "11990100MB2A00001X",
    "JZJZZSJ": "2025-06-30T17:00:00+00:00",
    "JZJZZSY": "税务登记核验",
    "JZJYXQJZSJ": "2025-12-31T16:00:00+00:00",
    "matter": "tax",
    "case": "7",
}


def words(
    type_id: str, fields: dict[str, Any], marked: dict[str, str] | None = None, **changes: Any
) -> Written:
    type_ = TYPES[type_id]
    told: dict[str, Any] = {
        **dict.fromkeys(("holder", "object_sha256", "request_digest", "sealed"), b""),
        **dict.fromkeys(("presenter", "state_reason", "division", "related_identifier", "object_sm3"), None),
        "identifier": "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
        "type_code": type_.type_code,
        "number": "N1",
        "issuer": "11430000006122244L",
        "state": State.VALID,
        "state_since": NOW,
        "issued_at": NOW,
        "status_index": 0,
        "object_key": "licences/x",
        "type_version": 1,
        "issuer_name": None,
        "valid_from": date(2025, 7, 1),
        "valid_until": None,
        "issued_on": date(2025, 7, 1),
        "first_issued_on": date(2020, 1, 2),
        "origin": "issued",
        **changes,
    }
    assert type_.layout is not None
    return write_out(Licence(**told), type_, type_.layout, fields, (), made_at=NOW, marked=marked)


def test_holders_stand_one_by_one_and_what_is_not_said_is_left_out() -> None:
    fields = {
        "holder_name": "甲",
        "holder_code": "1",
        "co_holders": [
            {"holder_name": "乙", "holder_code": "2", "share": "一半"},
            {"holder_name": "丙", "holder_code": "3", "share": None},
        ],
        "address": "某处",
        "use": None,
    }
    made = words("property-certificate", fields)
    assert [(row.label, row.value) for row in made.rows] == [
        ("权利人", "甲"),
        ("公民身份号码", "1"),
        ("共有人1姓名", "乙"),
        ("共有人1公民身份号码", "2"),
        ("共有人1共有份额", "一半"),
        ("共有人2姓名", "丙"),
        ("共有人2公民身份号码", "3"),
        ("坐落", "某处"),
    ]
    assert made.metadata["CZZT"] == "甲；乙；丙"
    assert made.metadata["ZZYXQJZRQ"] == "长期"
    assert "KZ_use" not in made.metadata
    assert [row.value for row in made.terms] == ["自 2025年7月1日 长期", "2020年1月2日"]
    assert made.issuer == "11430000006122244L"


def test_a_spouse_needs_no_number() -> None:
    fields = {"holder_name": "甲", "co_holders": [{"holder_name": "乙", "holder_code": "2"}]}
    assert [row.label for row in words("marriage-certificate", fields).rows] == [
        "姓名",
        "配偶姓名",
        "配偶公民身份号码",
    ]


def test_origin_version_and_mark_are_told() -> None:
    made = words("food-permit", {"holder_name": "甲"}, MARKED, origin="digitised", related_identifier="1.2.x")
    assert made.metadata["GLZZBS"] == "1.2.x"
    assert any("存量纸质证照" in note for note in made.notes)
    # Days are those of the clock on the wall in China.
    assert "加注时间：2025年7月1日　有效期至：2026年1月1日" in made.mark[1]
    assert words("food-permit", {"holder_name": "甲"}).mark == ()
