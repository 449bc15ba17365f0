"""The statements by which a table is read, in whatever database: nothing in them that only some of them understand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Select,
    TableClause,
    and_,
    column,
    exists,
    func,
    literal_column,
    or_,
    select,
    table,
)

from connectors.mapping.origins import SqlOrigin

COARSE = timedelta(milliseconds=4)
"""By so much a stamp may come back earlier than it is stored.

Python knows microseconds; SQL Server's `datetime2` and Oracle's `TIMESTAMP(9)` are finer, and SQL Server's `datetime`
counts by 3 1/3 ms.
"""


@dataclass(frozen=True, slots=True)
class LastOf:
    """Leaves out a row whose subject has another at or behind `end`: of an earlier day it would be the older.

    Args:
        subject: names of the columns that name the subject; empty: nothing is left out.
    """

    subject: Sequence[str]
    end: Any


@dataclass(frozen=True, slots=True)
class KeyPages:
    """Reads the table of an origin in the order of its key, or of the cursor's column and the key."""

    origin: SqlOrigin

    @property
    def order(self) -> list[ColumnClause[Any]]:
        """The columns that the rows are in the order of; together they tell one row from all others."""
        key, cursor = named(self.origin.key), self.origin.cursor
        return [key] if cursor is None else [named(cursor.column), key]

    def header(self) -> Select[Any]:
        """Return what gives no row, but the names of all columns.

        Not by the catalogue: what is a copy of PostgreSQL or Oracle outside may have another inside.
        """
        # Spelled out: what SQLAlchemy says for `false` is no condition to older Oracles.
        nowhere = literal_column("1") == literal_column("0")
        return select(literal_column("*")).select_from(self._table()).where(nowhere)

    def lacking(self, name: str) -> Select[Any]:
        """Return what gives a row if a column is empty in any."""
        return select(named(name)).select_from(self._table()).where(named(name).is_(None)).limit(1)

    def highest(self) -> Select[Any]:
        """Return what gives the highest value of the leading column."""
        return select(func.max(self.order[0])).select_from(self._table())

    def lowest_of_each(self, ranges: int) -> Select[Any]:
        """Return what gives the lowest key of each of so many ranges, in order."""
        key = named(self.origin.key)
        place = func.ntile(literal_column(str(ranges))).over(order_by=key)
        tiles = select(key, place.label("tile")).select_from(self._table()).subquery()
        return select(func.min(tiles.c[self.origin.key])).group_by(tiles.c.tile).order_by(tiles.c.tile)

    def rows(self, names: Sequence[str], highest: Any, last: LastOf | None = None) -> Select[Any]:
        """Return what gives the columns of these names up to a value of the leading column, and behind them `order`."""
        order, here = self.order, self._table(*names)
        places = [each.label(f"steering_{number}") for number, each in enumerate(order)]
        reach = highest + COARSE if isinstance(highest, datetime) else highest
        chosen = select(*(named(name) for name in names), *places).select_from(here).where(order[0] <= reach)
        if last is not None and last.subject:
            leading = order[0].name
            later = self._table(leading, *last.subject).alias("later")
            same = (here.c[name] == later.c[name] for name in last.subject)
            of_later: Select[Any] = select(literal_column("1")).where(*same, later.c[leading] >= last.end)
            chosen = chosen.where(~exists(of_later.correlate(here)))
        return chosen.order_by(*order)

    def page(self, rows: Select[Any], behind: Sequence[Any] | None, count: int) -> Select[Any]:
        """Return what gives the first of these rows behind a place; None: from the beginning. Never by OFFSET."""
        return (rows if behind is None else rows.where(self._behind(behind))).limit(count)

    def _behind(self, place: Sequence[Any]) -> ColumnElement[bool]:
        """Return what holds for the rows behind a place. Spelled out: not every database compares tuples."""
        order = self.order
        first: ColumnElement[bool] = order[0] > place[0]
        if len(order) == 1:
            return first
        return or_(first, and_(order[0] == place[0], order[1] > place[1]))

    def _table(self, *names: str) -> TableClause:
        schema, _dot, name = self.origin.table.rpartition(".")
        return table(name, *map(column, dict.fromkeys(names)), schema=schema or None)


def named(name: str) -> ColumnClause[Any]:
    """Return a column without a type: values are taken as the driver gives them."""
    return column(name)
