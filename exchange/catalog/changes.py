"""What a new version of a resource changes for those who use it: what they lose, and what they gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_STRICTNESS = {"unconditional": 0, "conditional": 1, "not-shared": 2}
_DISCLOSES = {"hidden": 0, "address": 1, "name": 1, "identifier": 1, "date": 1, "none": 2}
_CHANGED_GROUND = ("subject_kind", "register", "live")


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences of two versions, each as `{"what": …, "field": …}`.

    Args:
        narrowed: what who uses it can no longer do; it needs notice.
        widened: all else that is new.
    """

    narrowed: tuple[Mapping[str, str], ...]
    widened: tuple[Mapping[str, str], ...]


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    """Compare two complete documents of one resource.

    Narrower is: a field less, a field of another type, a value shown less of, a stricter sharing class, other
    subjects, another register or service to read from, values that come later than was promised.
    """
    narrowed: list[Mapping[str, str]] = []
    widened: list[Mapping[str, str]] = []
    before = {each["name"]: each for each in old["fields"]}
    after = {each["name"]: each for each in new["fields"]}
    narrowed += [{"what": "field-removed", "field": name} for name in before if name not in after]
    widened += [{"what": "field-added", "field": name} for name in after if name not in before]
    for name, was in before.items():
        now = after.get(name)
        if now is None:
            continue
        if now["type"] != was["type"]:
            narrowed.append({"what": "type-changed", "field": name})
        if now["masking"] != was["masking"]:
            shown_more = _DISCLOSES[now["masking"]] > _DISCLOSES[was["masking"]]
            (widened if shown_more else narrowed).append({"what": "masking-changed", "field": name})
        widened += [
            {"what": f"{told}-changed", "field": name}
            for told in ("title", "lead_source", "owner", "sensitivity")
            if now[told] != was[told]
        ]
    if new["sharing_class"] != old["sharing_class"]:
        stricter = _STRICTNESS[new["sharing_class"]] > _STRICTNESS[old["sharing_class"]]
        (narrowed if stricter else widened).append({"what": "sharing-class-changed"})
    narrowed += [{"what": f"{told}-changed"} for told in _CHANGED_GROUND if new[told] != old[told]]
    if new["freshness"] != old["freshness"]:
        slower = old["freshness"] is not None and (
            new["freshness"] is None or duration(new["freshness"]) > duration(old["freshness"])
        )
        (narrowed if slower else widened).append({"what": "freshness-changed"})
    widened += [
        {"what": f"{told}-changed"}
        for told in ("title", "owner", "lead_source", "conditions", "legal_basis")
        if new[told] != old[told]
    ]
    return Changes(tuple(narrowed), tuple(widened))


def same(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """True if two complete documents say the same of the resource, whatever version and notice they carry."""
    apart = {"version": None, "notice": None}
    return {**old, **apart} == {**new, **apart}


def applies_from(changes: Changes, now: datetime, notice: timedelta, wanted: datetime | None) -> datetime:
    """Return from when a version applies: at once, or after the notice where it narrows; later where that is wanted."""
    earliest = now + notice if changes.narrowed else now
    return earliest if wanted is None else max(earliest, wanted)


def duration(text: str) -> timedelta:
    """Return the length of an ISO 8601 duration, a month taken as 31 days and a year as 366.

    Args:
        text: in the form that the schema of the catalogue lets through, such as `P1D` or `PT12H`.
    """
    days, hours, minutes, number = 0, 0, 0, ""
    in_time = False
    for character in text[1:]:
        if character == "T":
            in_time = True
        elif character.isdigit():
            number += character
        else:
            count, number = int(number), ""
            if in_time:
                hours, minutes = (count, minutes) if character == "H" else (hours, count)
            else:
                days += count * {"D": 1, "W": 7, "M": 31, "Y": 366}[character]
    return timedelta(days=days, hours=hours, minutes=minutes)
