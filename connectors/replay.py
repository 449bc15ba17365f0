"""Replay: rows that wait in quarantine are read again by today's mapping, or brought in as a steward corrected them.

The same checks and the same pipeline as for a file. A row leaves the quarantine in the very transaction that brings it
in, so dying in between loses nothing and doubles nothing.
"""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import psycopg

from connectors import quarantine
from connectors.cursors import REPLAY
from connectors.mapping import SourceMapping
from connectors.pipeline import BATCH_ROWS, Report, run
from connectors.quality import Checker
from connectors.quarantine import Quarantined
from connectors.sources.json_row import Values, in_order, json_rows
from connectors.sources.raw import BadRow, HeaderDiffers, Layout, RawBatch, SourceError
from exchange.registers.schemas import load_registers
from foundation.civil import civil_date
from foundation.language import _
from foundation.sensitive import Vault

NOT_BY_ITSELF = ("conflict-within-source",)
"""Reasons that say nothing against the row: read again alone, it would take the place of the one it contradicts."""


class CorrectionRefused(SourceError):
    """A corrected record fails the checks as well: nothing of it was brought in, and the row waits on."""

    code = "correction-refused"


def replay(
    mapping: SourceMapping,
    *,
    database: str,
    vault: Vault,
    reason: str | None = None,
    batch_rows: int = BATCH_ROWS,
    sources_folder: Path | None = None,
) -> Report:
    """Read the rows of a source that wait once more.

    Rows that fail again stay, with their new reason, where their file had them. Gates do not ask: they are about files.

    Args:
        reason: only rows that wait for this reason; None: all but conflicts within the source (`NOT_BY_ITSELF`).

    Raises:
        psycopg.Error: the database went away; what was committed stays.
    """
    origin = _Waiting(mapping, database, vault, reason)
    return run(
        _one_by_one(mapping),
        origin,
        database=database,
        vault=vault,
        batch_rows=batch_rows,
        sources_folder=sources_folder,
        settle=origin.settle,
    )


def correct(
    mapping: SourceMapping,
    row: Quarantined,
    record: Mapping[str, Any],
    *,
    editor: str,
    why: str,
    database: str,
    vault: Vault,
    sources_folder: Path | None = None,
) -> Report:
    """Bring in a row as a data steward corrected it; its original is kept, sealed, with who changed it and why.

    Args:
        record: column of the source → value.

    Raises:
        CorrectionRefused: the record fails the checks; says at which field and why, not with which value.
    """
    wanted = mapping.wanted
    raw = json.dumps(record, ensure_ascii=False).encode()
    values = in_order(record, wanted.members(), len(wanted.names))
    if isinstance(values, str):
        raise _refused(BadRow(1, None, values, raw))
    layout = Layout("records", "utf-8")
    batch = RawBatch([1], [[value] for value in values], [raw], [], 1, row.part, layout)
    checker = Checker(mapping, load_registers()[mapping.register_name], civil_date(datetime.now(UTC)))
    for bad in checker.check(batch).bad:
        raise _refused(bad)

    def settle(connection: psycopg.Connection, run_id: uuid.UUID, _end: int, left: list[BadRow]) -> None:
        for bad in left:
            raise _refused(bad)
        now = datetime.now(UTC)
        quarantine.note_correction(connection, vault, mapping.source, row, raw, run_id, editor, why, now)
        quarantine.release(connection, mapping.source, [row.digest])

    return run(
        _one_by_one(mapping),
        _Corrected(batch),
        database=database,
        vault=vault,
        sources_folder=sources_folder,
        settle=settle,
    )


def _one_by_one(mapping: SourceMapping) -> SourceMapping:
    """Return the mapping without what is asked of a delivery as a whole."""
    return mapping.model_copy(update={"gates": None, "snapshot": None})


def _refused(bad: BadRow) -> CorrectionRefused:
    return CorrectionRefused(
        _("the corrected record fails: {reason} {field}"), reason=bad.reason, field=bad.field or ""
    )


@dataclass(frozen=True, slots=True)
class _Corrected:
    """One corrected record as a source."""

    batch: RawBatch

    @property
    def name(self) -> str:
        return f"{REPLAY}correction"

    def batches(self, batch_rows: int, after: str | None) -> Iterator[RawBatch]:
        yield self.batch

    def digest(self) -> str:
        return ""


@dataclass(slots=True)
class _Waiting:
    """The rows of a source that wait, as a source: each is numbered anew, for rows of many files come together."""

    mapping: SourceMapping
    database: str
    vault: Vault
    reason: str | None
    standing: dict[int, dict[int, Quarantined]] = field(default_factory=dict)
    """For each batch under way, by its end: its rows by their new number, as they waited."""

    @property
    def name(self) -> str:
        return f"{REPLAY}replay"

    def digest(self) -> str:
        return ""

    def batches(self, batch_rows: int, after: str | None) -> Iterator[RawBatch]:
        number = 0
        with psycopg.connect(self.database) as connection:
            rows = quarantine.by_layout(
                connection, self.mapping.source, self.reason, NOT_BY_ITSELF, tuple(_READERS), batch_rows
            )
            for (layout, part), together in groupby(rows, lambda row: (row.layout, row.part)):
                assert layout is not None
                while batch := list(islice(together, batch_rows)):
                    yield self._batch(batch, number, layout, part)
                    number += len(batch)

    def _batch(self, rows: list[Quarantined], before: int, layout: Layout, part: str) -> RawBatch:
        read = _READERS[layout.format](layout, self.mapping)
        good: list[list[Any]] = []
        origins: list[int] = []
        raw: list[bytes] = []
        bad: list[BadRow] = []
        for number, row in enumerate(rows, before + 1):
            original = quarantine.original(self.vault, row.digest, row.sealed)
            values = read(original)
            if isinstance(values, str):
                bad.append(BadRow(number, None, values, original))
            else:
                good.append(values)
                origins.append(number)
                raw.append(original)
        end = before + len(rows)
        self.standing[end] = dict(enumerate(rows, before + 1))
        columns: list[Sequence[Any]] = (
            [*zip(*good, strict=True)] if good else [()] * len(self.mapping.columns)
        )
        return RawBatch(origins, columns, raw, bad, end, part, layout)

    def settle(
        self, connection: psycopg.Connection, _run_id: uuid.UUID, end: int, left: list[BadRow]
    ) -> None:
        """Let go what came in, or what waits now for another reason; give the others back their place."""
        standing = self.standing.pop(end)
        staying = {quarantine.digest_of(self.vault, bad): standing[bad.origin_row] for bad in left}
        released = [row.digest for row in standing.values() if row.digest not in staying]
        quarantine.release(connection, self.mapping.source, released)
        quarantine.keep_place(connection, self.mapping.source, staying.items())


def _delimited(layout: Layout, mapping: SourceMapping) -> Callable[[bytes], Values]:
    width = len(layout.columns)
    # What could not be decoded as was said then may be as the mapping says now.
    encodings = [name for name in (layout.encoding, mapping.encoding) if name and name != "detect"]
    try:
        order = mapping.wanted.order(layout.columns, mapping.source)
    except HeaderDiffers as error:
        differs = error.code
        return lambda _raw: differs

    def read(raw: bytes) -> Values:
        text = _decoded(raw, encodings)
        if text is None:
            return "undecodable-bytes"
        try:
            cells = next(csv.reader([text], delimiter=layout.delimiter or ",", strict=True), None)
        except csv.Error:
            cells = None
        if cells is None:
            return "malformed-row"
        return [cells[i] for i in order] if len(cells) == width else "wrong-column-count"

    return read


def _decoded(raw: bytes, encodings: Sequence[str]) -> str | None:
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _json(_layout: Layout, mapping: SourceMapping) -> Callable[[bytes], Values]:
    return json_rows(mapping.wanted)


def _xml(_layout: Layout, mapping: SourceMapping) -> Callable[[bytes], Values]:
    read_object = json_rows(mapping.wanted)

    def read(raw: bytes) -> Values:
        # An element that had a member twice was kept as pairs: an object could not hold it.
        return "duplicate-member" if raw.startswith(b"[") else read_object(raw)

    return read


_READERS: Mapping[str, Callable[[Layout, SourceMapping], Callable[[bytes], Values]]] = {
    "delimited": _delimited,
    "json-array": _json,
    "json-lines": _json,
    "records": _json,
    "workbook": _json,
    "dbf": _json,
    "xml": _xml,
}
"""Formats whose rows can be read again by themselves; of others a row waits for its file, or to be corrected."""
