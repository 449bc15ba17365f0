"""Records that a department's interface gives in JSON, page by page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx

from connectors.mapping import SourceMapping
from connectors.mapping.origins import Connections, CursorPaging, LinkPaging, NumberPaging, RestOrigin
from connectors.sources.http_calls import Answer, Calls, Clock
from connectors.sources.raw import RawBatch, SourceError
from connectors.sources.records import Record, batched, record
from foundation.language import _


class RestSource:
    """An interface of a department."""

    def __init__(
        self, mapping: SourceMapping, origin: RestOrigin, connections: Connections, clock: Clock | None = None
    ) -> None:
        self._mapping = mapping
        self._origin = origin
        self._connections = connections
        self._clock = clock or Clock()

    @property
    def name(self) -> str:
        """Return the name of the connection and the path."""
        return f"{self._origin.connection}:{self._origin.path}"

    def digest(self) -> str:
        """Return the empty string: an interface is not the same twice."""
        return ""

    def batches(self, batch_rows: int, after: str | None = None) -> Iterator[RawBatch]:
        """Yield the records in the order of their pages.

        An interface that only appends has a cursor: the mark of a page and how many records of it are done.

        Raises:
            HeaderDiffers: records have members that the mapping does not know, or none has one that it takes.
            SourceError: the interface cannot be read (further).
        """
        if not self._origin.append_only:
            after = None
        columns = [column.column for column in self._mapping.columns]
        return batched(self._rows(after), batch_rows, columns, "")

    def _rows(self, after: str | None) -> Iterator[Record]:
        done, mark = self._parsed(after)
        calls = Calls(self._origin, self.name, self._connections(self._origin.connection), self._clock)
        try:
            for mark, found in self._pages(calls, mark):  # noqa: B020  the mark of each page in turn
                for number, each in enumerate(self._records(found), 1):
                    if number > done:
                        yield replace(each, cursor=f"{number} {mark}" if self._origin.append_only else None)
                done = 0
        finally:
            calls.close()

    def _parsed(self, after: str | None) -> tuple[int, str]:
        if after is None:
            return 0, ""
        done, _space, mark = after.partition(" ")
        if not (done.isascii() and done.isdigit()):
            raise SourceError(
                _("{source} cannot go on from its cursor: it is of another kind"), source=self.name
            )
        return int(done), mark

    def _pages(self, calls: Calls, mark: str) -> Iterator[tuple[str, list[Any]]]:
        """Yield each page by its mark: the empty string for the first, then whatever the paging calls it."""
        marks: set[str] = set()
        pages: set[bytes] = set()
        while True:
            address = self._address(calls, mark)
            answer = calls.get(address)
            found = _member(answer.body, self._origin.records)
            if not isinstance(found, list):
                raise SourceError(
                    _("{source} gives no array of records where one was stated"), source=self.name
                )
            content = hashlib.sha256(_dumped(found)).digest()
            if mark in marks or (found and content in pages):
                raise SourceError(_("{source} gives the same page again"), source=self.name)
            if len(pages) >= self._origin.most_pages:
                raise SourceError(
                    _("{source} has more than {count} pages"), source=self.name, count=self._origin.most_pages
                )
            marks.add(mark)
            pages.add(content)
            yield mark, found
            following = self._following(calls, address, mark, answer, len(found))
            if following is None:
                return
            mark = following

    def _address(self, calls: Calls, mark: str) -> httpx.URL:
        first, paging = calls.first(), self._origin.paging
        match paging:
            case CursorPaging(parameter=name) if mark:
                return first.copy_set_param(name, mark)
            case NumberPaging():
                size = {paging.size_parameter: paging.size} if paging.size_parameter else {}
                return first.copy_merge_params({**size, paging.parameter: mark or str(paging.first)})
            case LinkPaging() if mark:
                return calls.beside(mark, first)
        return first

    def _following(
        self, calls: Calls, address: httpx.URL, mark: str, answer: Answer, count: int
    ) -> str | None:
        match self._origin.paging:
            case CursorPaging(member=member):
                following = _member(answer.body, member)
                if following is None or following == "":
                    return None
                if isinstance(following, bool) or not isinstance(following, str | int):
                    raise SourceError(_("{source} names its next page by no text"), source=self.name)
                return str(following)
            case NumberPaging(first=first, size=size):
                return None if count < (size or 1) else str(int(mark or first) + 1)
            case LinkPaging() if answer.next_link is not None:
                # Without the host: what goes into the cursor should survive its moving.
                return calls.beside(answer.next_link, address).raw_path.decode("ascii")
        return None

    def _records(self, found: list[Any]) -> Iterator[Record]:
        wanted = self._mapping.wanted
        columns = [column.column for column in self._mapping.columns]
        members = list(dict.fromkeys(name for each in found if isinstance(each, dict) for name in each))
        # A member may be left out where it is empty, but not by all records of a page: that is a column that vanished.
        names = [members[place] for place in wanted.order(members, self.name)] if members else columns
        for each in found:
            if isinstance(each, dict):
                yield record(names, [each.get(name) for name in names])
            else:
                yield Record([None] * len(columns), _dumped(each), "not-an-object")


def _dumped(value: Any) -> bytes:
    return json.dumps(value, default=str, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _member(body: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        body = body.get(name) if isinstance(body, dict) else None
    return body
