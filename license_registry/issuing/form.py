"""The form in which a request to issue comes: one JSON object, over HTTP or as a line of a file."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

from foundation.identifiers import contains_citizen_id
from foundation.text import Code, FreeText
from license_registry.issuing.request import IssueRequest, Origin

_FIELD_TEXT = re.compile(r"[^\x00-\x08\x0b-\x1f\ud800-\udfff]{1,10000}")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
MOST_ROWS = 100


def _field_value(value: Any) -> Any:
    """Return the value of a field: text, null, or rows of such, as of several holders; or raise ValueError."""
    if isinstance(value, list):
        if not 1 <= len(value) <= MOST_ROWS or not all(isinstance(row, dict) for row in value):
            raise ValueError(f"1 to {MOST_ROWS} objects, or a text, are allowed")
        for row in value:
            for name, inner in row.items():
                if not _FIELD_NAME.fullmatch(name):
                    raise ValueError("a member has a name that no field has")
                _require_text(inner)
    else:
        _require_text(value)
    return value


def _require_text(value: Any) -> None:
    if value is not None and not (isinstance(value, str) and _FIELD_TEXT.fullmatch(value)):
        raise ValueError("1 to 10000 characters without control characters are allowed")


FieldValue = Annotated[
    Any, PlainValidator(_field_value, json_schema_input_type=str | list[dict[str, str | None]] | None)
]


def without_citizen_id(code: str) -> str:
    """Return a number or code that is stored in clear, or raise ValueError if it holds a citizen ID of 18 characters.

    Old registration numbers of 15 digits look like citizen IDs of 15 digits too often to refuse those.
    """
    if len(code) >= 18 and contains_citizen_id(code):
        raise ValueError("a citizen ID does not belong into this field")
    return code


class LicenceRequest(BaseModel):
    """What to issue. Sent again unchanged it gives the same licence, so a retry is safe.

    `number` is left out where the type makes numbers. `origin` is `digitised` for a paper licence that is taken over;
    then `issued_on` and `first_issued_on` are those of the paper.
    """

    model_config = ConfigDict(extra="forbid")

    licence_type: Code
    number: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[0-9A-Z\u4e00-\u9fff()（）〔〕-]{1,60}$"),
            AfterValidator(without_citizen_id),
        ]
        | None
    ) = None
    fields: Annotated[dict[Code, FieldValue], Field(min_length=1, max_length=100)]
    valid_from: date
    valid_until: date | None = None
    presenter: Annotated[str, StringConstraints(min_length=1, max_length=18)] | None = None
    division: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")] | None = None
    issuer_name: FreeText | None = None
    issued_on: date | None = None
    first_issued_on: date | None = None
    origin: Literal["issued", "digitised"] = "issued"

    def wanted(self) -> IssueRequest:
        """Return the request as the rules take it."""
        return IssueRequest(**dict(self))

    def of_origin(self, origin: Origin) -> IssueRequest:
        """Return the request with another origin."""
        return IssueRequest(**{**dict(self), "origin": origin})
