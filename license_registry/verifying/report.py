"""Telling a verdict on a terminal, Chinese first."""

from __future__ import annotations

from collections.abc import Iterator

from foundation.language import _, both
from license_registry.presenting.check import Result
from license_registry.verifying.verdict import CHECK_NAMES, Verdict

RESULT_NAMES = {
    Result.VALID: _("valid"),
    Result.NOT_ACTIVE: _("not active yet"),
    Result.SUSPENDED: _("suspended"),
    Result.VOID: _("void"),
    Result.INSUFFICIENT_DATA: _("insufficient data"),
    Result.NONE: _("no such licence"),
    Result.PARAMETERS_DIFFER: _("the parameters differ"),
}
_MARKS = {True: "✓", False: "✗", None: "?"}


def lines(verdict: Verdict, indent: str = "") -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"{indent}{int(verdict.result)} {both(RESULT_NAMES[verdict.result])}"
    for name, passed in verdict.checks.items():
        reason = verdict.reasons.get(name)
        why = "" if reason is None else f": {both(reason[0], **reason[1])}"
        yield f"{indent}{_MARKS[passed]} {both(CHECK_NAMES[name])}{why}"
    for source in (verdict.fields, verdict.told):
        for field, value in source.items():
            yield f"{indent}  {field}: {value}"
    for part, found in verdict.parts.items():
        yield f"{indent}{part}"
        yield from lines(found, indent + "  ")
