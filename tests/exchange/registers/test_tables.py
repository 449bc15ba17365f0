"""The bulk merge against a model of it: what is current, what is history, what is a conflict."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.registers.spelling import Speller, StagedRow, spelled
from exchange.registers.tables import (
    Merged,
    bring_in,
    current_rows,
    prepare_staging,
)
from tests.conftest import fresh_database

START = datetime(2025, 6, 30, tzinfo=UTC)
Batch = dict[int, str]
"""Subject → value; the rows of one batch are of different subjects."""


@pytest.fixture(scope="module")
def connection(server_address: str, template: str) -> Iterator[psycopg.Connection]:
    with (
        fresh_database(server_address, template) as address,
        psycopg.connect(address, autocommit=True) as opened,
    ):
        yield opened


def subject(number: int) -> bytes:
    return bytes([number]) * 16


def brought(
    connection: psycopg.Connection,
    rows: list[StagedRow],
    source: str,
    run_id: uuid.UUID,
    now: datetime,
    expect_new: bool = False,
) -> Merged:
    return bring_in(
        connection,
        "person",
        spelled(rows, Speller(source, run_id, "", now)),
        source=source,
        run_id=run_id,
        now=now,
        expect_new=expect_new,
    )


class Bringing:
    """Runs on an empty register, with a clock that goes on by a second for each batch."""

    def __init__(self, connection: psycopg.Connection, expect_new: bool = False) -> None:
        connection.execute("TRUNCATE exchange.person, exchange.person_history")
        self._connection = connection
        self._expect_new = expect_new
        self._now = START

    def run(self, *batches: Batch, source: str = "police") -> list[Merged]:
        self._connection.execute("DISCARD TEMP")
        prepare_staging(self._connection)
        run_id = uuid.uuid4()
        merged = []
        origin = 0
        for batch in batches:
            rows = []
            for number, value in batch.items():
                origin += 1
                rows.append(
                    StagedRow(
                        subject(number),
                        f'{{"v": "{value}"}}'.encode(),
                        value.encode(),
                        value.encode().ljust(16),
                        origin,
                    )
                )
            self._now += timedelta(seconds=1)
            with self._connection.transaction():
                merged.append(brought(self._connection, rows, source, run_id, self._now, self._expect_new))
        return merged

    def current(self) -> dict[int, tuple[int, str]]:
        found = self._connection.execute(
            "SELECT subject, version, content ->> 'v', sealed FROM exchange.person"
        )
        return {key[0]: (version, value) for key, version, value, sealed in found if sealed == value.encode()}

    def history(self) -> dict[tuple[int, int], str]:
        found = self._connection.execute(
            "SELECT subject, version, content ->> 'v' FROM exchange.person_history"
        )
        return {(key[0], version): value for key, version, value in found}


BATCH = st.dictionaries(st.integers(0, 4), st.sampled_from("ab"), max_size=5)


@given(st.lists(st.lists(BATCH, max_size=3), max_size=4), st.booleans())
@example([[{0: "a"}], [{0: "b"}], [{0: "a"}], [{0: "a"}, {0: "b"}], [{0: "a"}, {0: "b"}]], False)
@example([[{0: "a"}, {1: "a"}, {0: "b", 2: "a"}], [{0: "a", 3: "b"}]], True)
@settings(max_examples=40)
def test_any_runs_lead_where_the_model_leads(
    connection: psycopg.Connection, runs: list[list[Batch]], expect_new: bool
) -> None:
    """The model: of one run, the first row of a subject counts; one that differs from it is a conflict.

    What is expected to be new and is not ends in the same.
    """
    bringing = Bringing(connection, expect_new)
    current: dict[int, tuple[int, str]] = {}
    history: dict[tuple[int, int], str] = {}
    for batches in runs:
        met: dict[int, str] = {}
        expected = []
        origin = 0
        for batch in batches:
            inserted = changed = unchanged = 0
            conflicts = []
            for number, value in batch.items():
                origin += 1
                version, old = current.get(number, (0, ""))
                if met.setdefault(number, value) != value:
                    conflicts.append(origin)
                elif value == old:
                    unchanged += 1
                else:
                    current[number] = (version + 1, value)
                    inserted += version == 0
                    changed += version > 0
                    if version:
                        history[number, version] = old
            expected.append((inserted, changed, unchanged, conflicts))
        assert [
            (m.inserted, m.changed, m.unchanged, sorted(m.conflicts)) for m in bringing.run(*batches)
        ] == expected
    assert bringing.current() == current
    assert bringing.history() == history


def test_history_follows_without_gaps(connection: psycopg.Connection) -> None:
    bringing = Bringing(connection)
    for value in "abbca":
        bringing.run({1: value})
    found = connection.execute(
        "SELECT version, content ->> 'v', valid_from, valid_until FROM exchange.person_history"
        " UNION ALL SELECT version, content ->> 'v', valid_from, NULL FROM exchange.person ORDER BY 1"
    ).fetchall()
    assert [(version, value) for version, value, *_ in found] == [(1, "a"), (2, "b"), (3, "c"), (4, "a")]
    seconds = [1, 2, 4, 5]  # the third run changed nothing
    assert [began for _, _, began, _ in found] == [START + timedelta(seconds=s) for s in seconds]
    assert [ended for *_, ended in found] == [began for _, _, began, _ in found[1:]] + [None]


def test_a_change_names_its_source_run_and_row_and_history_keeps_those_of_before(
    connection: psycopg.Connection,
) -> None:
    bringing = Bringing(connection)
    bringing.run({1: "a"})
    bringing.run({2: "x", 1: "b"})
    query = "SELECT source, origin_row, run_id, content ->> 'v' FROM exchange.{} WHERE subject = %s"
    ((source, row, run, value),) = connection.execute(query.format("person"), [subject(1)]).fetchall()
    ((old_source, old_row, old_run, old),) = connection.execute(
        query.format("person_history"), [subject(1)]
    ).fetchall()
    assert (source, row, value) == ("police", 2, "b")
    assert (old_source, old_row, old) == ("police", 1, "a")
    assert run != old_run


def test_what_another_source_speaks_of_is_left_to_be_joined(connection: psycopg.Connection) -> None:
    bringing = Bringing(connection)
    bringing.run({1: "a"}, source="police")
    (merged,) = bringing.run({2: "x", 1: "a"}, source="civil-affairs")
    assert merged == Merged(1, 0, 0, (), (subject(1),))
    assert bringing.current() == {1: (1, "a"), 2: (1, "x")}
    assert bringing.history() == {}


def test_a_batch_that_is_rolled_back_leaves_no_trace_for_the_next(connection: psycopg.Connection) -> None:
    bringing = Bringing(connection)
    bringing.run({1: "a"})
    connection.execute("DISCARD TEMP")
    prepare_staging(connection)
    run_id = uuid.uuid4()

    def bring(value: str) -> Merged:
        mark = value.encode().ljust(16)
        row = StagedRow(subject(1), f'{{"v": "{value}"}}'.encode(), None, mark, 1)
        return brought(connection, [row], "police", run_id, START + timedelta(minutes=1))

    with connection.transaction(force_rollback=True):
        assert bring("a").unchanged == 1
    with connection.transaction(force_rollback=True):
        assert bring("b").changed == 1
    with connection.transaction():
        assert bring("c") == Merged(0, 1, 0, ()), "what was rolled back is not what this run has met"
    assert connection.execute("SELECT content ->> 'v' FROM exchange.person").fetchall() == [("c",)]


def test_a_staged_row_holds_any_content(connection: psycopg.Connection) -> None:
    Bringing(connection)
    connection.execute("DISCARD TEMP")
    prepare_staging(connection)
    content = '{"v": "阎䶮𠮷 \\"\\\\ \\n\\t, {}"}'
    with connection.transaction():
        row = StagedRow(subject(7), content.encode(), None, b"f" * 16, 2**40)
        brought(connection, [row], "police", uuid.uuid4(), START)
    assert current_rows(connection, "person", [subject(7), subject(8)]) == {
        subject(7): ({"v": '阎䶮𠮷 "\\ \n\t, {}'}, None)
    }
    assert connection.execute("SELECT origin_row, sealed FROM exchange.person").fetchall() == [(2**40, None)]
