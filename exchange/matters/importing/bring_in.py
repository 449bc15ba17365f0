"""One import of a list of matters, told in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from exchange.matters import decisions, tables
from exchange.matters.applying import Confirmed, settle
from exchange.matters.importing.describe import Unfit, describe, digest
from exchange.matters.importing.layout import Layout
from exchange.matters.importing.records import Record
from exchange.matters.matter import MatterMalformed, read_matter

BATCH = 200

_KEPT = ("evidence", "consent", "consent_by_code", "may_follow_days", "legal_basis", "required", "name_en")
"""What people add to a material, and no list of matters holds."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that was not brought in: where it stands, which field, why. Never what it says."""

    row: int
    field: str | None
    reason: str


@dataclass(slots=True)
class Report:
    """What an import did; `drafts` names the versions that it made."""

    layout: str
    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    bad: list[Bad] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)
    drafts: list[tuple[str, int]] = field(default_factory=list)


async def bring_in(
    pool: Any, records: Iterable[Record], layout: Layout, file: str, changed_by: str, now: datetime
) -> Report:
    """Bring in the records of a list of matters as drafts.

    1. Read a record by the layout, or tell why it makes no matter.
    2. Compare it by its digest with the newest version of its code that came from a list; what says the same is left.
    3. Put in the evidence that stewards confirmed for its materials' names, and keep what people added to materials
       of the same name.
    4. Store it as a new draft version: first version 1, later one more than the newest.

    Each `BATCH` is one transaction. If we die in between, the next import leaves what is there and does the rest.
    """
    report = Report(layout.id)
    seen: set[str] = set()
    waiting = iter(records)
    while batch := list(islice(waiting, BATCH)):
        described: list[tuple[Record, dict[str, Any]]] = []
        for record in batch:
            report.read += 1
            document = _described(record, layout, seen, report)
            if document is not None:
                described.append((record, document))
        async with pool.acquire() as connection, connection.transaction():
            # A decision that is made meanwhile waits, and then finds these drafts.
            await decisions.lock(connection)
            confirmed = await decisions.confirmed(connection)
            newest = await tables.newest(connection, [document["code"] for _record, document in described])
            for record, document in described:
                source = {"layout": layout.id, "file": file, "row": record.row, "digest": digest(document)}
                known = newest.get(document["code"])
                if known is not None and _digest(known.document) == source["digest"]:
                    report.unchanged += 1
                    continue
                made = _version(document | {"source": source}, known, confirmed)
                try:
                    made = _valid(made, report)
                except MatterMalformed as error:
                    report.bad.append(Bad(record.row, error.pointer, error.code))
                    continue
                await tables.put_draft(connection, made, changed_by, now)
                report.drafts.append((made["code"], made["version"]))
                if known is None:
                    report.new += 1
                else:
                    report.changed += 1
    report.bad.sort(key=lambda each: each.row)
    return report


def _valid(made: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the version, without the evidence that stewards confirmed if it is too much of it."""
    try:
        read_matter(made)
    except MatterMalformed:
        bare = settle(made, {})
        read_matter(bare)
        report.remarks["confirmed-evidence-left-out"] = (
            report.remarks.get("confirmed-evidence-left-out", 0) + 1
        )
        return bare
    return made


def _described(record: Record, layout: Layout, seen: set[str], report: Report) -> dict[str, Any] | None:
    if record.values is None:
        report.bad.append(Bad(record.row, None, record.reason or "malformed"))
        return None
    try:
        document, remarks = describe(record.values, layout)
    except Unfit as unfit:
        report.bad.append(Bad(record.row, unfit.field, unfit.reason))
        return None
    if document["code"] in seen:
        report.bad.append(Bad(record.row, "code", "same-code-twice"))
        return None
    seen.add(document["code"])
    for remark in remarks:
        report.remarks[remark] = report.remarks.get(remark, 0) + 1
    return document


def _digest(document: Mapping[str, Any]) -> str | None:
    source = document.get("source") or {}
    found = source.get("digest")
    return found if isinstance(found, str) else None


def _version(
    document: dict[str, Any], known: tables.Version | None, confirmed: Mapping[str, Confirmed]
) -> dict[str, Any]:
    if known is None:
        return settle(document, confirmed)
    before = settle(known.document, {})
    by_name = {each["name"]: each for each in before["materials"]}
    materials = [
        each | {name: by_name[each["name"]][name] for name in _KEPT if name in by_name.get(each["name"], {})}
        for each in document["materials"]
    ]
    kept = {
        name: before[name]
        for name in ("title_en", "field", "needs_outcome_of", "supervised_by", "inputs")
        if name in before
    }
    return settle(
        document
        | kept
        | {
            "version": known.version + 1,
            "subjects": {**before["subjects"], **document["subjects"]},
            "materials": materials,
        },
        confirmed,
    )
