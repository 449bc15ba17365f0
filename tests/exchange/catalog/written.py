"""What departments write, for the tests of the catalogue."""

from __future__ import annotations

from typing import Any

from exchange.catalog.document import Document, complete

POLICE = "11990100MC00000714"


def written(name: str = "housing-fund-accounts", **changes: Any) -> dict[str, Any]:
    """Return a resource as a department writes it, without what the exchange sets."""
    return {
        "title": "住房公积金缴存信息",
        "title_en": "Housing fund accounts",
        "subject_kind": "citizen-id",
        "owner": "示范市住房公积金管理中心",
        "sharing_class": "conditional",
        "conditions": "办理政务服务事项",
        "lead_source": "housing-fund",
        "freshness": "P1D",
        "synonyms": ["公积金"],
        "fields": [
            {
                "name": "account_state",
                "title": "账户状态",
                "title_en": "State of the account",
                "type": "code",
            },
            {"name": "balance", "title": "余额", "type": "number", "sensitivity": "sensitive"},
        ],
        **changes,
    }


def document(name: str = "housing-fund-accounts", version: int = 1, **changes: Any) -> Document:
    """Return the same, complete."""
    return complete({**written(**{"department": POLICE, **changes}), "id": name, "version": version})
