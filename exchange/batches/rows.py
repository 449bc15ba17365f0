"""The rows of a part: lines of JSON or of CSV, each by itself, so that a bad one does not hold up the others."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from exchange.batches.batch import BatchColumnsWrong, Form
from foundation.errors import DomainError
from foundation.identifiers import contains_citizen_id
from foundation.language import _
from foundation.signing.canonical import LARGEST_INTEGER
from foundation.text import is_clean

SUBJECT = "subject"
LONGEST_LINE = 20_000
"""Bytes of a line in UTF-8."""
LONGEST_TEXT = 300
MOST_CLAIMS = 50

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", re.ASCII)
_MEMBERS = frozenset({SUBJECT, "claims"})
_COMPARED = frozenset({"field", "is", "value"})


class RowMalformed(DomainError):
    """A line is no row; the other lines are not concerned."""

    code = "row-malformed"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as asked, counted from 1; `claims` as they stand in it, names and kinds of values checked."""

    number: int
    subject: str
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is no row, and why."""

    number: int
    error: RowMalformed


def read_rows(
    text: bytes, first: int, form: Form, columns: Sequence[str], *, with_claims: bool
) -> list[Row | Unreadable]:
    """Return the rows of a part.

    Args:
        text: lines in UTF-8, each ended by a line break.
        first: number of the first line, counted from 1.
        columns: of a CSV.
        with_claims: each row must claim something; else none may.
    """
    found: list[Row | Unreadable] = []
    names: set[str] = set()
    read = _csv_reader(columns) if form is Form.CSV else _read_json
    for number, line in enumerate(text[:-1].split(b"\n"), first):
        try:
            subject, claims = read(line)
            _check(subject, claims, names, with_claims)
        except RowMalformed as error:
            found.append(Unreadable(number, error))
        else:
            found.append(Row(number, subject, claims))
    return found


def read_columns(line: str) -> tuple[str, ...]:
    """Return the names in the first line of a CSV.

    Raises:
        BatchColumnsWrong: no subject among them, one that is no name, or one twice.
    """
    try:
        columns = tuple(name.strip() for name in next(csv.reader([line], strict=True), []))
    except csv.Error as error:
        raise BatchColumnsWrong(_("the first line of the CSV cannot be read")) from error
    if SUBJECT not in columns:
        raise BatchColumnsWrong(_("one column must be called subject"))
    if len(set(columns)) != len(columns) or not all(_is_name(name) for name in columns):
        raise BatchColumnsWrong(_("each column needs a name of its own: subject, or what is claimed"))
    if len(columns) > MOST_CLAIMS + 1:
        raise BatchColumnsWrong(_("at most {most} claims"), most=MOST_CLAIMS)
    return columns


def _read_json(line: bytes) -> tuple[Any, Any]:
    if len(line) > LONGEST_LINE:
        raise RowMalformed(_("the line is longer than {most} bytes"), most=LONGEST_LINE)
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RowMalformed(_("the line is not JSON")) from error
    if type(row) is not dict or not _MEMBERS.issuperset(row):
        raise RowMalformed(_("the line is not an object with subject and claims"))
    return row.get(SUBJECT), row.get("claims", {})


def _csv_reader(columns: Sequence[str]) -> Callable[[bytes], tuple[Any, Any]]:
    place = columns.index(SUBJECT)
    others = [(name, at) for at, name in enumerate(columns) if at != place]
    width = len(columns)

    def read(line: bytes) -> tuple[Any, Any]:
        if len(line) > LONGEST_LINE:
            raise RowMalformed(_("the line is longer than {most} bytes"), most=LONGEST_LINE)
        text = line.decode()
        try:
            cells = next(csv.reader([text], strict=True), []) if '"' in text else text.split(",")
        except csv.Error as error:
            raise RowMalformed(_("the line is not CSV")) from error
        if len(cells) != width:
            raise RowMalformed(
                _("the line has {count} cells instead of {width}"), count=len(cells), width=width
            )
        return cells[place], {name: cells[at] for name, at in others if cells[at] != ""}

    return read


def _check(subject: Any, claims: Any, names: set[str], with_claims: bool) -> None:
    if type(subject) is not str or not _is_text(subject):
        raise RowMalformed(_("the subject is not a text of 1 to {most} characters"), most=LONGEST_TEXT)
    if type(claims) is not dict:
        raise RowMalformed(_("the claims are not an object"))
    if bool(claims) != with_claims:
        if with_claims:
            raise RowMalformed(_("the row claims nothing"))
        raise RowMalformed(_("a row of a query claims nothing"))
    if len(claims) > MOST_CLAIMS:
        raise RowMalformed(_("at most {most} claims"), most=MOST_CLAIMS)
    for name, value in claims.items():
        # The same names come again and again: each is looked at once.
        if name not in names:
            if not _is_name(name):
                raise RowMalformed(_("the name of a claim is not one"))
            names.add(name)
        if type(value) is str:
            # The usual kind, and no call for it: this is done for each of a million.
            if not (0 < len(value) <= LONGEST_TEXT and (value.isprintable() or is_clean(value))):
                raise _no_text(name)
        elif type(value) is dict:
            _check_comparison(name, value)
        else:
            _check_value(name, value)


def _check_comparison(name: str, asked: dict[str, Any]) -> None:
    if not _COMPARED.issuperset(asked) or "value" not in asked:
        raise RowMalformed(_("claim {name} is not an object with field, is and value"), name=name)
    comparison, field = asked.get("is"), asked.get("field")
    if not (isinstance(comparison, str) and _is_name(comparison)):
        raise RowMalformed(_("claim {name} is not an object with field, is and value"), name=name)
    if field is not None and not (isinstance(field, str) and _is_name(field)):
        raise RowMalformed(_("claim {name} is not an object with field, is and value"), name=name)
    _check_value(name, asked["value"])


def _check_value(name: str, value: Any) -> None:
    kind = type(value)
    if kind is str:
        if not _is_text(value):
            raise _no_text(name)
    elif kind is int:
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            raise RowMalformed(_("claim {name} is out of range"), name=name)
    elif kind is not bool:
        raise RowMalformed(_("claim {name} is neither text, whole number, true nor false"), name=name)


def _no_text(name: str) -> RowMalformed:
    return RowMalformed(
        _("claim {name} is not a text of 1 to {most} characters"), name=name, most=LONGEST_TEXT
    )


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not contains_citizen_id(name)


def _is_text(text: str) -> bool:
    return 1 <= len(text) <= LONGEST_TEXT and is_clean(text)
