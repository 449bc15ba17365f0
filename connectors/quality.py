"""Checks: what a batch of raw rows becomes, and which rows stay behind.

Column by column, not row by row, keeps the cost of one value near that of one call into C (`normalise.py`); only what
is left is put together as records and held against the register's schema.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from connectors.fitting import Fitting, record_of
from connectors.mapping import Column, SourceMapping
from connectors.normalise import (
    Notes,
    Texts,
    addresses,
    amounts,
    citizen_ids,
    codes,
    dates,
    dates_later,
    divisions_of,
    ids_born_later,
    names,
    note_formulas,
    tidied,
    usccs,
)
from connectors.sources.raw import BadRow, RawBatch
from exchange.registers.schemas import RegisterSchema
from foundation.identifiers import findings


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a data steward should know about a row that was nevertheless brought in."""

    origin_row: int
    field: str
    code: str


@dataclass(slots=True)
class Checked:
    """A batch after all checks: rows that fit the register's schema, in step with `origins` and `raw`.

    Args:
        columns: field → texts, None where a row has no value; sorted by name.
        missing: field → rows that have no value.
        spared: of bad rows that nevertheless say whom they are about: kind of the key and its values.
        unnamed: bad rows that do not even say that.
    """

    origins: Sequence[int] = ()
    columns: Mapping[str, Texts] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    raw: Sequence[bytes] = ()
    bad: list[BadRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    spared: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    unnamed: int = 0

    def having(self, name: str) -> int:
        """Return how many rows have a value for a field."""
        return len(self.origins) - self.missing.get(name, len(self.origins))

    def records(self) -> list[dict[str, str]]:
        """Return the rows as records; for a look at some of them."""
        names = list(self.columns)
        return [record_of(self.columns, names, row) for row in range(len(self.origins))]


class Checker:
    """Checks batches of one source against its mapping and its register's schema, as of `today`."""

    def __init__(self, mapping: SourceMapping, register: RegisterSchema, today: date) -> None:
        self._mapping = mapping
        self.register = register
        self.today = today
        self._fitting = Fitting(register.schema)
        self._empty = frozenset(mapping.empty)
        ranged = mapping.ranged_column
        self._ranged_field = None if ranged is None else ranged.field

    def check(self, batch: RawBatch) -> Checked:
        """Normalise and check one batch; every row ends up either in `columns` or in `bad`."""
        notes = Notes()
        columns: dict[str, Texts] = {}
        for column, values in zip(self._mapping.columns, batch.columns, strict=True):
            texts, together = tidied(values, column.field, self._empty, notes)
            match column.kind:
                case "text":
                    note_formulas(texts, together, column.field, notes)
                case "name":
                    texts = names(texts, together, column.field, notes)
                case "address":
                    texts = addresses(texts, together, column.field, notes)
                    if column.division_field is not None:
                        columns[column.division_field] = divisions_of(
                            texts, self._mapping.area, self.today, column.division_field, notes
                        )
                case "code":
                    texts = codes(texts, together, column.field, notes)
                case "date":
                    texts = dates(texts, column.field, notes, excel_serial=column.excel_serial)
                case "citizen-id":
                    texts = citizen_ids(codes(texts, together, column.field, notes), column.field, notes)
                    ids_born_later(texts, self.today, column.field, notes)
                case "division":
                    texts = codes(texts, together, column.field, notes)
                    self._divisions(texts, column.field, notes)
                case "dictionary":
                    texts = _translated(texts, column, notes)
                case "uscc":
                    texts, old = usccs(
                        codes(texts, together, column.field, notes),
                        column.field,
                        notes,
                        keep_old=column.old_number_field is not None,
                    )
                    if column.old_number_field is not None:
                        columns[column.old_number_field] = old
                case "amount":
                    found, currencies = amounts(texts, column.field, notes)
                    if column.amount_field is not None:
                        columns[column.amount_field] = found
                    if column.currency_field is not None:
                        columns[column.currency_field] = currencies
            columns[column.field] = texts
            if column.field == self._ranged_field:
                _steady(values, texts, columns.get(column.old_number_field or ""), column.field, notes)
        for name, value in self._mapping.constants.items():
            columns[name] = [value] * len(batch.raw)
        if self._mapping.birth_date_of is not None:
            citizen_id, birth_date = self._mapping.birth_date_of
            _birth_dates(columns, (citizen_id, birth_date), notes)
            dates_later(columns[birth_date], self.today, birth_date, notes)
        return self._assemble(batch, columns, notes)

    def _assemble(self, batch: RawBatch, columns: Mapping[str, Texts], notes: Notes) -> Checked:
        checked = Checked(bad=list(batch.bad), unnamed=len(batch.bad))
        by_name = dict(sorted(columns.items()))
        missing = _missing(by_name)
        if not notes.faults and self._fitting.all_fit(by_name, missing, len(batch.raw)):
            checked.origins, checked.columns, checked.raw = batch.origins, by_name, batch.raw
            checked.missing = missing
        else:
            good = list(self._good(batch, by_name, notes, checked))
            checked.origins = [batch.origins[row] for row in good]
            checked.columns = {name: [texts[row] for row in good] for name, texts in by_name.items()}
            checked.missing = _missing(checked.columns)
            checked.raw = [batch.raw[row] for row in good]
        for place, field_name, code in notes.findings:
            if place not in notes.faults:
                checked.findings.append(Finding(batch.origins[place], field_name, code))
        return checked

    def _good(
        self, batch: RawBatch, columns: Mapping[str, Texts], notes: Notes, checked: Checked
    ) -> Iterator[int]:
        """Yield the places of the good rows, and set the bad ones aside."""
        names = list(columns)
        for place, (origin, raw) in enumerate(zip(batch.origins, batch.raw, strict=True)):
            fault = notes.faults.get(place)
            if fault is None:
                record = record_of(columns, names, place)
                if self._fitting.fits(record):
                    yield place
                    continue
                fault = notes.faults[place] = self._fitting.why(record)
            checked.bad.append(BadRow(origin, fault[0] or None, fault[1], raw))
            key = self._key(place, columns, notes)
            if key is None:
                checked.unnamed += 1
            else:
                checked.spared.append(key)

    def _key(
        self, place: int, columns: Mapping[str, Texts], notes: Notes
    ) -> tuple[str, tuple[str, ...]] | None:
        for kind, fields in self.register.keys:
            values = [columns[name][place] if name in columns else None for name in fields]
            present = [value for value in values if value is not None]
            if len(present) == len(fields) and not any((place, name) in notes.faulty for name in fields):
                return kind, tuple(present)
        return None

    def _divisions(self, texts: Texts, field_name: str, notes: Notes) -> None:
        known: dict[str | None, tuple[str, ...]] = {None: ()}
        for place, code in enumerate(texts):
            found = known.get(code)
            if found is None:
                assert code is not None
                found = known[code] = findings(code, self.today.year) if len(code) == 6 else ()
            for finding in found:
                notes.finding(place, field_name, finding)


def _translated(texts: Texts, column: Column, notes: Notes) -> Texts:
    dictionary: dict[str | None, str] = dict(column.dictionary.items())
    cleaned: Texts = [dictionary.get(text) for text in texts]
    if None in cleaned:
        for place, (before, after) in enumerate(zip(texts, cleaned, strict=True)):
            if after is None and before is not None:
                notes.fault(place, column.field, "unknown-value")
    return cleaned


def _steady(values: Sequence[Any], texts: Texts, old: Texts | None, field_name: str, notes: Notes) -> None:
    """Fault keys that are not as they came (`key-not-normal`).

    Two that become one by normalising could stand in two ranges, and which of them wins would be chance.
    """
    for place, (value, text) in enumerate(zip(values, texts, strict=True)):
        if value != (text if text is not None or old is None else old[place]):
            notes.fault(place, field_name, "key-not-normal")


def _birth_dates(columns: Mapping[str, Texts], pair: tuple[str, str], notes: Notes) -> None:
    ids, dates = columns[pair[0]], columns[pair[1]]
    for place, (citizen_id, day) in enumerate(zip(ids, dates, strict=True)):
        if day is not None and citizen_id is not None and citizen_id[6:14] != day.replace("-", ""):
            notes.fault(place, pair[1], "birth-date-contradicts-id")


def count_reasons(bad: Sequence[BadRow]) -> Counter[str]:
    """Count bad rows by their reason."""
    return Counter(row.reason for row in bad)


def _missing(columns: Mapping[str, Texts]) -> dict[str, int]:
    return {name: texts.count(None) for name, texts in columns.items()}
