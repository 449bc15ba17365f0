"""Requests as lines of JSON: what a department sends to have many licences issued."""

from __future__ import annotations

import orjson
from pydantic import ValidationError

from foundation.errors import DomainError
from foundation.identifiers import mask_citizen_ids
from foundation.language import _
from license_registry.issuing.bulk.batch import Row
from license_registry.issuing.form import LicenceRequest
from license_registry.issuing.request import Origin


class LineInvalid(DomainError):
    """A line is no request; the other lines are not concerned."""

    code = "line-invalid"


ORIGINS: dict[str, Origin] = {"issue": "issued", "take-over": "digitised", "credentials": "credential"}
"""Kind of job → origin of its licences."""


def count_lines(body: bytes) -> int:
    """Return how many lines there are, empty ones at the end not counted."""
    text = body.rstrip()
    return text.count(b"\n") + 1 if text else 0


def read_line(number: int, line: bytes, kind: str) -> Row:
    """Return a line as a row of a job of this kind."""
    try:
        request = LicenceRequest.model_validate(orjson.loads(line))
    except orjson.JSONDecodeError:
        return Row(number, LineInvalid(_("the line is not JSON")))
    except ValidationError as error:
        told = error.errors()[0]
        # Members' names come from outside too: one may be a citizen ID.
        place = mask_citizen_ids("".join(f"/{part}" for part in told["loc"]))
        reason = str(told["msg"])[:200]
        return Row(number, LineInvalid(_("it does not fit: {reason}"), pointer=place or None, reason=reason))
    return Row(number, request.of_origin(ORIGINS[kind]))
