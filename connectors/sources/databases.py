"""A table or view of a department's database, read by key ranges in order, whole or only what is new."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from connectors.mapping import SourceMapping
from connectors.mapping.origins import Connections, SequenceCursor, SqlOrigin, TimestampCursor
from connectors.sources import postgresql_kin
from connectors.sources.key_pages import KeyPages, LastOf, named
from connectors.sources.raw import RawBatch, SourceError, Wanted, Window
from connectors.sources.records import Record, batched, record
from exchange.registers.schemas import load_registers
from foundation.civil import CHINA
from foundation.language import _

Key = int | str
"""What a range of keys may begin and end with: it travels between machines as JSON."""

CONNECT_SECONDS = 15

_DRIVERS = {
    "postgres": postgresql_kin.NAME,
    "postgresql": postgresql_kin.NAME,
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


@dataclass(frozen=True, slots=True)
class _Bound:
    """How far this source reads, fixed when it is first read: what comes later belongs to the next run.

    Args:
        highest: of the cursor's column, or of the key where there is no cursor; None: there was no row.
    """

    highest: Any


class DatabaseSource:
    """A table or view.

    Pages by `WHERE key > last ORDER BY key`, never by OFFSET: each costs the same, and rows that come or go meanwhile
    shift no others. A page is the most that is held in memory.
    """

    def __init__(
        self,
        mapping: SourceMapping,
        origin: SqlOrigin,
        connections: Connections,
        now: datetime,
        key_range: tuple[Key, Key | None] | None = None,
        range_name: str = "",
        window: Window | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            now: no cursor moves beyond this moment, whatever a clock over there says.
            key_range: the first key and the first that is no longer read; None there: to the end.
            range_name: what tells this range from the others in `name`; no key, which may say who somebody is.
            window: only rows that changed within it are read, of several of one subject the table's last, and no
                cursor moves. So it matters not which window comes first. Needs a cursor of timestamps.
        """
        self._mapping = mapping
        self._origin = origin
        self._connections = connections
        self._now = now
        self._key_range = key_range
        self._range_name = range_name
        self._window = window
        self._bound: _Bound | None = None
        self._pages = KeyPages(origin)

    @property
    def name(self) -> str:
        """Return the names of connection and table, and which range it is."""
        return f"{self._origin.connection}:{self._origin.table}{self._range_name and ' '}{self._range_name}"

    def digest(self) -> str:
        """Return the empty string: a table is not the same twice."""
        return ""

    def batches(self, batch_rows: int, after: str | None = None) -> Iterator[RawBatch]:
        """Yield the rows, in the order of the key, or of the cursor's column and the key.

        With a cursor, reading begins behind `after` (a timestamp: `overlap_seconds` before it). The cursor never goes
        back, and never beyond `now`.

        Raises:
            HeaderDiffers: the table has not the columns of the mapping.
            SourceError: no connection, no table, it broke off, the key is not one. Running again is safe.
        """
        if self._origin.cursor is None:
            after = None
        rows = self._rows(batch_rows, after)
        columns = [column.column for column in self._mapping.columns]
        return batched(rows, batch_rows, columns, self._origin.table)

    def key_ranges(self, count: int) -> list[tuple[Key, Key | None]]:
        """Cut the table into at most `count` ranges of about as many rows, to be read apart from each other.

        Raises:
            SourceError: as `batches`; also if keys are neither numbers nor text, or the source has a cursor: parts
                read apart have no common place to go on from.
        """
        if self._origin.cursor is not None:
            raise SourceError(_("{source} has a cursor and is read in one piece"), source=self.name)
        with self._reading() as connection:
            lowest = connection.execute(self._pages.lowest_of_each(count)).scalars()
            found = [self._portable(low) for low in lowest]
        return [(low, high) for low, high in zip_longest(found, found[1:])]

    def _portable(self, key: Any) -> Key:
        if isinstance(key, Decimal) and key == key.to_integral_value():
            return int(key)
        if isinstance(key, int | str):
            return key
        raise SourceError(
            _("{column} of {source} is no key: neither whole numbers nor text"),
            column=self._origin.key,
            source=self.name,
        )

    def _reading(self) -> _Reading:
        return _Reading(self.name, self._connections(self._origin.connection))

    def _rows(self, batch_rows: int, after: str | None) -> Iterator[Record]:
        with self._reading() as connection:
            names = self._names(connection)
            if self._bound is None:
                self._bound = self._fix(connection)
            if self._bound.highest is None:
                return
            pages, cursor = self._pages, self._origin.cursor
            leading, key = pages.order[0], named(self._origin.key)
            last: LastOf | None = None
            if self._window is not None:
                last = LastOf(self._subject(names), _as_stored(self._window.end, self._bound.highest))
            statement = pages.rows(names, self._bound.highest, last)
            if self._key_range is not None:
                low, high = self._key_range
                statement = statement.where(key >= low)
                statement = statement if high is None else statement.where(key < high)
            if self._window is not None:
                statement = statement.where(
                    leading >= _as_stored(self._window.begin, self._bound.highest),
                    leading < _as_stored(self._window.end, self._bound.highest),
                )
            marks = _marks(cursor if self._window is None else None, after, self._now, self.name)
            if marks.begin is not None:
                statement = statement.where(
                    leading > marks.begin
                    if isinstance(cursor, SequenceCursor)
                    else leading >= _as_stored(marks.begin, self._bound.highest)
                )
            seen: Sequence[tuple[Any, ...]] = ()
            while True:
                # One row more than is taken tells whether the key has two alike where the page ends.
                page = pages.page(statement, seen[-1] if seen else None, batch_rows + 1)
                rows = [tuple(row) for row in connection.execute(page)]
                # Nothing of theirs is held, no lock and no old version of a row, while we work on the page.
                connection.commit()
                places = [row[len(names) :] for row in rows]
                # A stamp that is finer over there than it comes here: rows of the page before come once more.
                again = set(seen).intersection(places)
                if len(again) >= batch_rows:
                    raise SourceError(
                        _("{column} of {source} is finer than can be read, and too many rows have the same"),
                        column=leading.name,
                        source=self.name,
                    )
                for row, here, following in zip_longest(rows[:batch_rows], places[:batch_rows], places[1:]):
                    if row is None or here in again:
                        continue
                    if following == here:
                        raise SourceError(
                            _("{column} of {source} is no key: a value stands there twice"),
                            column=self._origin.key,
                            source=self.name,
                        )
                    yield record(names, row[: len(names)], marks.behind(here[0], following))
                if len(rows) <= batch_rows:
                    return
                seen = places[:batch_rows]

    def _names(self, connection: Connection) -> list[str]:
        """Return the names that the mapping's columns have here."""
        try:
            found = list(connection.execute(self._pages.header()).keys())
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            raise SourceError(
                _("there is no table {source} that could be read: {reason}"),
                source=self.name,
                reason=_kind(error),
            ) from error
        wanted = self._mapping.wanted
        steering = self._origin.steering
        missing = sorted(steering - set(found))
        if missing:
            # Said by the same error as any other missing column.
            wanted = Wanted((*wanted.names, *((name,) for name in missing)), wanted.ignored)
        order = Wanted(wanted.names, wanted.ignored | steering).order(found, self.name)
        return [found[place] for place in order]

    def _subject(self, names: Sequence[str]) -> list[str]:
        """Return which of the names of the mapping's columns say whom a row is about."""
        fields = [column.field for column in self._mapping.columns]
        keys = (key for _kind, key in load_registers()[self._mapping.register_name].keys)
        key = next((key for key in keys if set(key) <= set(fields)), ())
        return [names[fields.index(field)] for field in key]

    def _fix(self, connection: Connection) -> _Bound:
        for name in sorted(self._origin.steering):
            if connection.execute(self._pages.lacking(name)).first() is not None:
                raise SourceError(
                    _("{column} of {source} is empty in some rows, and none may be left out"),
                    column=name,
                    source=self.name,
                )
        highest = connection.execute(self._pages.highest()).scalar()
        if isinstance(highest, float):
            raise SourceError(
                _("{column} of {source} is a floating-point number, of which no two are surely the same"),
                column=self._pages.order[0].name,
                source=self.name,
            )
        return _Bound(highest)


@dataclass(slots=True)
class _Marks:
    """Says for each row where a run that ends there goes on."""

    begin: Any
    reached: str | None
    cursor: TimestampCursor | SequenceCursor | None
    now: datetime

    def behind(self, value: Any, following: Sequence[Any] | None) -> str | None:
        """Return the cursor behind a row: it moves once no further row has the same value."""
        if self.cursor is None:
            return None
        if following is not None and following[0] == value:
            return self.reached
        if isinstance(self.cursor, SequenceCursor):
            self.reached = str(int(value))
        else:
            reached = min(_moment(value), self.now.astimezone(UTC))
            before = None if self.reached is None else datetime.fromisoformat(self.reached)
            self.reached = (reached if before is None else max(reached, before)).isoformat(
                timespec="microseconds"
            )
        return self.reached


def _marks(
    cursor: TimestampCursor | SequenceCursor | None, after: str | None, now: datetime, source: str
) -> _Marks:
    if cursor is None or after is None:
        return _Marks(None, None, cursor, now)
    try:
        if isinstance(cursor, SequenceCursor):
            return _Marks(int(after), after, cursor, now)
        begin = datetime.fromisoformat(after).astimezone(UTC) - timedelta(seconds=cursor.overlap_seconds)
    except ValueError as error:
        raise SourceError(
            _("{source} cannot go on from its cursor: it is of another kind"), source=source
        ) from error
    return _Marks(begin, after, cursor, now)


def _moment(value: Any) -> datetime:
    """Return the moment that a database's value means; without a zone it is China's time."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif not isinstance(value, datetime) and isinstance(value, date):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError("the column holds no timestamps")
    return (value if value.tzinfo is not None else value.replace(tzinfo=CHINA)).astimezone(UTC)


def _as_stored(begin: datetime, like: Any) -> Any:
    """Return where to begin, in the type and zone, or spelling, that the column has."""
    if isinstance(like, datetime):
        return begin if like.tzinfo is not None else begin.astimezone(CHINA).replace(tzinfo=None)
    local = begin.astimezone(CHINA).replace(tzinfo=None)
    if isinstance(like, str):
        # Whole seconds: as text they stand before all their fractions.
        return local.isoformat("T" if "T" in like else " ", "seconds")
    return local.date()


class _Reading:
    """A connection that tells of everything that goes wrong as SourceError, without a word of the rows or the URI."""

    def __init__(self, source: str, uri: str) -> None:
        self._source = source
        self._uri = uri
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    def __enter__(self) -> Connection:
        try:
            self._engine = create_engine(_url(self._uri, self._source), poolclass=NullPool)
            self._connection = self._engine.connect()
        except (SQLAlchemyError, ImportError, ValueError, TypeError) as error:
            raise SourceError(
                _("{source} cannot be reached: {reason}"), source=self._source, reason=_kind(error)
            ) from error
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self._connection is not None and self._engine is not None
        try:
            self._connection.close()
        except SQLAlchemyError as closing:
            if error is None:
                raise self._broken(closing) from closing
        finally:
            self._engine.dispose()
        if isinstance(error, SQLAlchemyError | ValueError):
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> SourceError:
        return SourceError(
            _("{source} cannot be read further: {reason}; running again is safe"),
            source=self._source,
            reason=_kind(error),
        )


def _kind(error: Exception) -> str:
    """Return the kind of an error; its text may hold values or the password."""
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if state is None and cause.args:
        # Its number, as MySQL's and Oracle's drivers give it, or the state, as ODBC's does. Nothing else is a code.
        first = cause.args[0]
        code = str(getattr(first, "full_code", first))
        state = code if _CODE.fullmatch(code) else None
    return type(cause).__name__ + (f" {state}" if state else "")


_CODE = re.compile(r"[0-9]{1,5}|[A-Z]{2,4}-[0-9]{1,5}|[0-9A-Z]{5}")


def _url(uri: str, source: str) -> URL:
    url = make_url(uri)
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() == "sqlite":
        # SQLite would make a file that is not there, and call it an empty database.
        if url.database is None or not Path(url.database).is_file():
            raise SourceError(_("{source} cannot be reached: {reason}"), source=source, reason="no such file")
        return url.set(database=f"file:{url.database}", query={"mode": "ro", "uri": "true"})
    if url.get_driver_name() in {"kin", "pymysql"} and "connect_timeout" not in url.query:
        return url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
    return url
