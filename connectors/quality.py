"""Checks and normalising, column by column: what a batch of raw rows becomes, and which rows stay behind.

Working on columns, not rows, keeps the cost of one value near that of one call into C.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import repeat
from typing import Any

import jsonschema_rs

from connectors.mapping import Column, SourceMapping
from connectors.sources.raw import BadRow, RawBatch
from exchange.registers.schemas import RegisterSchema
from foundation.identifiers import CitizenId, UsccVerdict, Verdict, check_citizen_ids, check_usccs, findings


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a data steward should know about a row that was nevertheless brought in."""

    origin_row: int
    field: str
    code: str


@dataclass(slots=True)
class Checked:
    """A batch after all checks: records that fit the register's schema, in step with `origins` and `raw`.

    Args:
        records: each as its fields that may stand in clear and its sensitive ones, both sorted by name.
    """

    origins: list[int] = field(default_factory=list)
    records: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class _Notes:
    """What the normalisers find: the first fault of a row by its place in the batch, and findings."""

    faults: dict[int, tuple[str, str]] = field(default_factory=dict)
    findings: list[tuple[int, str, str]] = field(default_factory=list)

    def fault(self, place: int, field_name: str, reason: str) -> None:
        self.faults.setdefault(place, (field_name, reason))


class Checker:
    """Checks batches of one source against its mapping and its register's schema."""

    def __init__(self, mapping: SourceMapping, register: RegisterSchema, year: int) -> None:
        self._mapping = mapping
        self._year = year
        self._validator = jsonschema_rs.validator_for(dict(register.schema))
        self._empty = frozenset(mapping.empty)
        self._required = frozenset(register.schema["required"])
        self._sensitive = register.sensitive

    def check(self, batch: RawBatch) -> Checked:
        """Normalise and check one batch; every row ends up either in `records` or in `bad`."""
        notes = _Notes()
        names: list[str] = []
        columns: list[Sequence[Any]] = []
        for column, values in zip(self._mapping.columns, batch.columns, strict=True):
            cleaned = self._text(values, column.field, notes)
            match column.kind:
                case "text":
                    pass
                case "date":
                    cleaned = _dates(cleaned, column.field, notes)
                case "citizen-id":
                    cleaned = _citizen_ids(cleaned, column.field, notes)
                case "division":
                    self._divisions(cleaned, column.field, notes)
                case "dictionary":
                    cleaned = _translated(cleaned, column, notes)
                case "uscc":
                    cleaned, old = _codes(cleaned, column, notes)
                    if column.old_number_field is not None:
                        names.append(column.old_number_field)
                        columns.append(old)
            names.append(column.field)
            columns.append(cleaned)
        if self._mapping.birth_date_of is not None:
            _birth_dates(dict(zip(names, columns, strict=True)), self._mapping.birth_date_of, notes)
        return self._assemble(batch, names, columns, notes)

    def _assemble(
        self, batch: RawBatch, names: list[str], columns: list[Sequence[Any]], notes: _Notes
    ) -> Checked:
        checked = Checked(bad=list(batch.bad))
        is_valid = self._validator.is_valid
        faults = notes.faults
        by_name = dict(sorted(zip(names, columns, strict=True)))
        clear = [name for name in by_name if name not in self._sensitive]
        secret = [name for name in by_name if name in self._sensitive]
        rows = zip(
            batch.origins,
            batch.raw,
            *(_rows(by_name, part, len(batch.raw)) for part in (clear, secret)),
            strict=True,
        )
        for place, (origin, raw, clear_values, secret_values) in enumerate(rows):
            fault = faults.get(place) if faults else None
            if fault is None:
                shown = {n: v for n, v in zip(clear, clear_values, strict=True) if v is not None}
                sealed = {n: v for n, v in zip(secret, secret_values, strict=True) if v is not None}
                record = shown | sealed
                if is_valid(record):
                    checked.origins.append(origin)
                    checked.records.append((shown, sealed))
                    checked.raw.append(raw)
                    continue
                fault = self._why(record)
            checked.bad.append(BadRow(origin, fault[0] or None, fault[1], raw))
        for place, field_name, code in notes.findings:
            if place not in faults:
                checked.findings.append(Finding(batch.origins[place], field_name, code))
        return checked

    def _why(self, record: Mapping[str, Any]) -> tuple[str, str]:
        missing = sorted(self._required.difference(record))
        if missing:
            return missing[0], "missing-field"
        error = next(iter(self._validator.iter_errors(dict(record))))
        path = list(error.instance_path)
        return (str(path[0]) if path else ""), f"schema-{error.kind.name}"

    def _text(self, values: Sequence[Any], field_name: str, notes: _Notes) -> list[Any]:
        empty = self._empty
        if _is_plain(values):
            return [None if value in empty else value for value in values]
        cleaned: list[Any] = []
        append = cleaned.append
        for place, value in enumerate(values):
            if value is None:
                append(None)
            elif type(value) is not str:
                notes.fault(place, field_name, "not-text")
                append(None)
            elif (text := value.strip()) in empty:
                append(None)
            elif text.isprintable() and _LOST not in text:
                append(text)
            else:
                append(self._tidied(place, text, field_name, notes))
        return cleaned

    def _tidied(self, place: int, text: str, field_name: str, notes: _Notes) -> str | None:
        """Take the closer look: space-like characters become spaces, what cannot be kept is a fault."""
        tidy = _SPACE_LIKE.sub(" ", _INVISIBLE.sub("", text)).strip()
        if tidy != text:
            notes.findings.append((place, field_name, "whitespace-normalised"))
        flaw = _flaw(tidy)
        if flaw is not None:
            notes.fault(place, field_name, flaw)
        return None if tidy in self._empty else tidy

    def _divisions(self, values: Sequence[str | None], field_name: str, notes: _Notes) -> None:
        known: dict[str | None, tuple[str, ...]] = {None: ()}
        for place, code in enumerate(values):
            found = known.get(code)
            if found is None:
                assert code is not None
                found = known[code] = findings(code, self._year) if len(code) == 6 else ()
            for finding in found:
                notes.findings.append((place, field_name, finding))


def _rows(
    by_name: Mapping[str, Sequence[Any]], names: Sequence[str], count: int
) -> Iterable[tuple[Any, ...]]:
    columns = [by_name[name] for name in names]
    return zip(*columns, strict=True) if columns else repeat((), count)


def _is_plain(values: Sequence[Any]) -> bool:
    """True for a column of texts without anything to tidy, seen by one look at all of them together."""
    try:
        together = "".join(values)
    except TypeError:
        return False
    return " " not in together and together.isprintable() and _LOST not in together


_LOST = "\ufffd"
"""Stands where an earlier program could not decode the bytes: what was there is lost."""
# Tabs, line breaks and spaces other than the plain one; and marks that nobody sees.
_FOREIGN_SPACE = r"\t-\r\x85\xa0\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACE_LIKE = re.compile(rf" *[{_FOREIGN_SPACE}][{_FOREIGN_SPACE} ]*")
_INVISIBLE = re.compile(r"[\xad\u200b\u2060\ufeff]+")


def _flaw(text: str) -> str | None:
    """Return why a text cannot be kept as it is, None if it can.

    Unassigned code points of the ideographic planes pass: they are rare characters of names, newer than our tables.
    """
    if _LOST in text:
        return "garbled-text"
    for character in text:
        match unicodedata.category(character):
            case "Cc" | "Cs":
                return "control-character"
            case "Cn" if not "\U00020000" <= character <= "\U0003fffd":
                return "unassigned-character"
    return None


@lru_cache(maxsize=200_000)
def _iso_date(text: str) -> str | None:
    """Return the date as YYYY-MM-DD, or None if there is no such day. Dates of a city are few: remembered."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-" or not text.isascii():
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _dates(values: Sequence[str | None], field_name: str, notes: _Notes) -> list[str | None]:
    cleaned = [None if value is None else _iso_date(value) for value in values]
    if None in cleaned:
        for place, (before, after) in enumerate(zip(values, cleaned, strict=True)):
            if after is None and before is not None:
                notes.fault(place, field_name, "impossible-date")
    return cleaned


_CITIZEN_ID_REASONS = {
    Verdict.WRONG_LENGTH: "wrong-length",
    Verdict.ILL_FORMED: "ill-formed",
    Verdict.IMPOSSIBLE_BIRTH_DATE: "impossible-birth-date",
    Verdict.WRONG_CHECK_CHARACTER: "wrong-check-character",
}


def _citizen_ids(values: Sequence[str | None], field_name: str, notes: _Notes) -> list[str | None]:
    cleaned = [None if value is None else value.upper() for value in values]
    given = [place for place, value in enumerate(cleaned) if value is not None]
    verdicts = check_citizen_ids([cleaned[place] or "" for place in given]).tolist()
    for place, verdict in zip(given, verdicts, strict=True):
        if verdict == Verdict.OK:
            continue
        if verdict == Verdict.OK_FIFTEEN:
            value = cleaned[place]
            assert value is not None
            cleaned[place] = CitizenId.from_fifteen(value).reveal()
            notes.findings.append((place, field_name, "converted-from-15-digits"))
        else:
            notes.fault(place, field_name, _CITIZEN_ID_REASONS[Verdict(verdict)])
    return cleaned


_USCC_REASONS = {
    UsccVerdict.WRONG_LENGTH: "wrong-length",
    UsccVerdict.ILL_FORMED: "ill-formed",
    UsccVerdict.WRONG_CHECK_CHARACTER: "wrong-check-character",
}


def _codes(
    values: Sequence[str | None], column: Column, notes: _Notes
) -> tuple[list[str | None], list[str | None]]:
    cleaned = [None if value is None else value.upper() for value in values]
    old: list[str | None] = [None] * len(cleaned)
    given = [place for place, value in enumerate(cleaned) if value is not None]
    verdicts = check_usccs([cleaned[place] or "" for place in given]).tolist()
    for place, verdict in zip(given, verdicts, strict=True):
        if verdict == UsccVerdict.OK:
            continue
        if verdict == UsccVerdict.OLD_REGISTRATION_NUMBER and column.old_number_field is not None:
            old[place], cleaned[place] = cleaned[place], None
            notes.findings.append((place, column.field, "old-registration-number"))
        else:
            notes.fault(place, column.field, _USCC_REASONS.get(UsccVerdict(verdict), "wrong-length"))
    return cleaned, old


def _translated(values: Sequence[str | None], column: Column, notes: _Notes) -> list[str | None]:
    dictionary: dict[str | None, str] = dict(column.dictionary.items())
    cleaned = [dictionary.get(value) for value in values]
    if None in cleaned:
        for place, (before, after) in enumerate(zip(values, cleaned, strict=True)):
            if after is None and before is not None:
                notes.fault(place, column.field, "unknown-value")
    return cleaned


def _birth_dates(columns: Mapping[str, Sequence[Any]], pair: tuple[str, str], notes: _Notes) -> None:
    ids, dates = columns[pair[0]], columns[pair[1]]
    for place, (citizen_id, day) in enumerate(zip(ids, dates, strict=True)):
        if day is not None and citizen_id is not None and citizen_id[6:14] != day.replace("-", ""):
            notes.fault(place, pair[1], "birth-date-contradicts-id")


def count_reasons(bad: Sequence[BadRow]) -> Counter[str]:
    """Count bad rows by their reason."""
    return Counter(row.reason for row in bad)
