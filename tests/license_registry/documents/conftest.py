"""A document's words, without a licence behind them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from license_registry.catalog.types import load_types
from license_registry.documents.template import Template
from license_registry.documents.written import Attached, Row, Written

NO_FONTS = Path("/nonexistent/fonts")
IDENTIFIER = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
MARK = (
    "加注件　仅供 11990100MB2A00001X 使用，用于：税务登记核验",
    "事项：tax　办件：2025-77　有效期至：2025年12月1日",
)
_LAYOUT = load_types()["food-permit"].layout
assert _LAYOUT is not None
LAYOUT: Template = _LAYOUT


def written(name: str = "示范市东湖茶业有限公司", **changes: Any) -> Written:
    made = Written(
        title="食品经营许可证",
        subtitle="Food business permit",
        number="JY19901010000012",
        rows=(Row("名称", name, "holder_name"), Row("经营场所", "示范市东湖区茶叶市场一号", "premises")),
        terms=(Row("有效期限", "自 2025年7月1日 至 2030年6月30日", "valid_until"),),
        statement=None,
        issuer="示范市市场监督管理局",
        issued_on="2025年7月1日",
        identifier=IDENTIFIER,
        notes=("内附签发的电子凭证。",),
        mark=(),
        metadata={"ZZMC": "食品经营许可证", "ZZBS": IDENTIFIER, "CZZT": name, "KZ_x": "<&>"},
        attached=(Attached("credential.sdjwt", "application/dc+sd-jwt", "电子凭证", "eyJ.e30.x~"),),
        made_at=datetime(2025, 7, 1, 1, 2, 3, tzinfo=UTC),
    )
    return replace(made, **changes)
