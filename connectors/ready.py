"""Making rows ready: from the bytes of a source to what the database takes, without asking it anything.

All that costs time on the way in is here, in one value that several processes can hold (`workers.py`).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Any

import orjson

from connectors.gates import Measured, measured
from connectors.mapping import SourceMapping
from connectors.measures import Measures
from connectors.normalise import TRANSFORMS
from connectors.quality import Checker, Finding
from connectors.sources.raw import BadRow, Layout, Slice
from exchange.registers.schemas import RegisterSchema, place_in
from exchange.registers.tables import Spelled, speller
from foundation.sensitive import Vault

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """A batch ready for the database: nothing in it is still to be computed.

    Args:
        now: when it was made ready; its rows are valid from then.
        duplicates: rows that say again what another row of the batch says.
        spared: subjects of bad rows that say whom they are about.
        unnamed: bad rows that do not even say that.
        compared: row and record, where the mapping has something to compare them with.
    """

    now: datetime
    part: str
    layout: Layout | None
    end: int
    cursor: str | None
    rows: Spelled
    bad: list[BadRow]
    findings: list[Finding]
    duplicates: int
    spared: list[bytes]
    unnamed: int
    measured: Measured
    measures: Measures
    compared: list[tuple[int, Record]]


class Preparer:
    """Makes slices of one run ready: decodes, normalises, checks, blinds, fingerprints and seals."""

    def __init__(
        self,
        mapping: SourceMapping,
        register: RegisterSchema,
        vault: Vault,
        run_id: uuid.UUID,
        today: date,
    ) -> None:
        self._mapping = mapping
        self._register = register
        self._vault = vault
        self._run_id = run_id
        self._checker = Checker(mapping, register, today)

    def make_ready(self, piece: Slice) -> Ready:
        """Make a slice ready; rows of one subject within it become one, a duplicate or a conflict."""
        batch = piece.taken_apart()
        checked = self._checker.check(batch)
        now = datetime.now(UTC)
        spell = speller(self._mapping.source, self._run_id, batch.part, now)
        dumps, fingerprint, seal = orjson.dumps, self._vault.fingerprint, self._vault.sealer(len(checked.records))
        subject_of = _subjects(self._register, self._vault)
        prefix = place_in(self._register.table)
        transforms = _transforms(checked.findings)
        known: dict[bytes, bytes] = {}
        subjects: list[bytes] = []
        staged: list[tuple[bytes, bytes, bytes]] = []
        compared: list[tuple[int, Record]] = []
        duplicates = 0
        for origin, (shown, hidden), raw in zip(checked.origins, checked.records, checked.raw, strict=True):
            subject = subject_of(shown, hidden)
            subjects.append(subject)
            content, secret = dumps(shown), dumps(hidden)
            mark = fingerprint(content + b"\0" + secret)
            earlier = known.get(subject)
            if earlier is None:
                known[subject] = mark
                sealed = seal(secret, prefix + subject) if hidden else None
                done = transforms.get(origin) if transforms else None
                spelled = spell(subject, content, sealed, mark, origin, None if done is None else dumps(done))
                staged.append((subject, mark, spelled))
                if self._mapping.compare:
                    compared.append((origin, shown | hidden))
            elif earlier == mark:
                duplicates += 1
            else:
                checked.bad.append(BadRow(origin, None, "conflict-within-source", raw))
        staged.sort(key=_by_subject)
        measures = Measures()
        measures.add(checked)
        return Ready(
            now,
            batch.part,
            batch.layout,
            batch.end,
            batch.cursor,
            Spelled(*zip(*staged, strict=True)) if staged else Spelled((), (), ()),
            checked.bad,
            checked.findings,
            duplicates,
            [self._vault.blind_index(kind, "\0".join(values)) for kind, values in checked.spared],
            checked.unnamed,
            measured(self._mapping.gates, checked, subjects),
            measures,
            compared,
        )


_by_subject = itemgetter(0)


def _transforms(findings: Iterable[Finding]) -> dict[int, dict[str, list[str]]]:
    """Return what normalising changed: row → field → codes."""
    found: dict[int, dict[str, list[str]]] = {}
    for finding in findings:
        if finding.code in TRANSFORMS:
            found.setdefault(finding.origin_row, {}).setdefault(finding.field, []).append(finding.code)
    return found


def _subjects(register: RegisterSchema, vault: Vault) -> Callable[[Record, Record], bytes]:
    """Return what names the subject of a record, given its clear and its sensitive fields."""
    blind_index = vault.blind_index

    def value(kind: str, fields: Sequence[str], shown: Record, hidden: Record) -> bytes | None:
        values = [hidden.get(name, shown.get(name)) for name in fields]
        return None if None in values else blind_index(kind, "\0".join(map(str, values)))

    def subject(shown: Record, hidden: Record) -> bytes:
        for kind, fields in register.keys:
            if len(fields) == 1:
                single = shown.get(fields[0]) or hidden.get(fields[0])
                found = None if single is None else blind_index(kind, str(single))
            else:
                found = value(kind, fields, shown, hidden)
            if found is not None:
                return found
        raise AssertionError("the schema lets no record without a key through")

    return subject
