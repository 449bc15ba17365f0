"""Rows of a part, read line by line; subjects blinded by the column; records spelled together."""

from __future__ import annotations

import asyncio
import csv
import io
import uuid
from datetime import UTC, date, datetime

import orjson
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit import many
from exchange.audit.record import prepare
from exchange.batches.accept import Sent, _Cutting
from exchange.batches.batch import BatchColumnsWrong, Form
from exchange.batches.rows import Row, Unreadable, read_columns, read_rows
from exchange.batches.subjects import blind_subjects
from exchange.queries.authorise import SubjectMalformed, canonical_subject
from foundation import database
from foundation.identifiers import CitizenId, Uscc
from foundation.identity.principals import Principal
from foundation.ledger import commit
from foundation.sensitive import Vault
from foundation.text import is_clean

TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp")), min_size=1, max_size=40
).filter(is_clean)
FIRST = "abcdefghijklmnopqrstuvwxyz"
NAME = st.builds(str.__add__, st.sampled_from(FIRST), st.text(FIRST + "_", max_size=10)).filter(
    lambda name: name != "subject"
)


@given(
    st.lists(st.tuples(TEXT, st.dictionaries(NAME, TEXT | st.booleans() | st.integers(-9, 9), min_size=1)))
)
def test_lines_of_json_are_read_as_they_were_written(rows: list[tuple[str, dict[str, object]]]) -> None:
    text = b"".join(orjson.dumps({"subject": s, "claims": c}) + b"\n" for s, c in rows) or b"\n"
    found = read_rows(text, 1, Form.LINES, (), with_claims=True)
    if rows:
        assert found == [Row(number, subject, claims) for number, (subject, claims) in enumerate(rows, 1)]


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_lines_of_csv_are_read_as_they_were_written(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    found = read_rows(file.getvalue().encode(), 7, Form.CSV, ("name", "subject"), with_claims=True)
    assert found == [Row(number, subject, {"name": name}) for number, (name, subject) in enumerate(rows, 7)]


@given(st.binary(max_size=200))
def test_no_line_holds_up_the_others(line: bytes) -> None:
    try:
        line.replace(b"\n", b"").decode()
    except UnicodeDecodeError:
        return
    good = b'{"subject": "x", "claims": {"a": 1}}\n'
    text = good + line.replace(b"\n", b"") + b"\n" + good
    for form, columns in ((Form.LINES, ()), (Form.CSV, ("subject", "a"))):
        found = read_rows(text, 1, form, columns, with_claims=True)
        assert [each.number for each in found] == [1, 2, 3]
        if form is Form.LINES:
            assert isinstance(found[0], Row)
            assert isinstance(found[2], Row)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        '{"subject": "x"}',
        '{"subject": "x", "claims": {}}',
        '{"subject": 1, "claims": {"a": 1}}',
        '{"subject": "x", "claims": {"a": 1.5}}',
        '{"subject": "x", "claims": {"a": null}}',
        '{"subject": "x", "claims": {"a": 9007199254740993}}',
        '{"subject": "x", "claims": {"a b": 1}}',
        '{"subject": "x", "claims": {"990101198002291233": 1}}',
        '{"subject": "x", "claims": {"a": {"is": "equal"}}}',
        '{"subject": "x", "claims": {"a": {"is": "equal", "value": [1]}}}',
        '{"subject": "x", "claims": {"a": {"is": "equal", "value": 1, "more": 1}}}',
        '{"subject": "x\\u0000", "claims": {"a": 1}}',
        '{"subject": "x", "claims": {"a": 1}, "more": 1}',
        '{"subject": "' + "x" * 25_000 + '", "claims": {"a": 1}}',
    ],
)
def test_what_is_no_row_says_why(line: str) -> None:
    (found,) = read_rows(line.encode() + b"\n", 1, Form.LINES, (), with_claims=True)
    assert isinstance(found, Unreadable)
    assert found.error.code == "row-malformed"
    assert "990101198002291233" not in str(found.error)


@pytest.mark.parametrize("line", ["", "name", "subject,subject", "subject,", "subject,a b", 'subject,"x'])
def test_columns_that_name_nothing(line: str) -> None:
    with pytest.raises(BatchColumnsWrong):
        read_columns(line)


@given(st.lists(st.sampled_from(["a", "", "  ", "名", "x" * 30_000]), max_size=40), st.integers(1, 5))
def test_cutting_keeps_every_line_but_empty_ones_at_the_end(lines: list[str], size: int) -> None:
    sent = Sent(io.BytesIO("\r\n".join(lines).encode("gb18030")), Form.LINES, "gb18030")
    cutting = _Cutting(sent, size)
    found = b"".join(cutting.parts()).decode().split("\n")[:-1]
    while lines and not lines[-1].strip():
        lines.pop()
    expected = ["" if not line.strip() else line for line in lines]
    assert [line if len(line) < 20_000 else "x" * 30_000 for line in found] == expected
    assert cutting.rows == len(expected)


CITIZEN = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
SUBJECTS = {
    "citizen-id": [CITIZEN, CITIZEN[:6] + CITIZEN[8:17], CITIZEN[:17] + "?", "", "人" * 18, CITIZEN.lower()],
    "uscc": [str(Uscc.compute("91990101MA0000001")), "110000000000001", "91990101ma0000001X", "x"],
    "licence": ["type:1", "type", ":1", "type:", "a:b:c"],
}


@pytest.mark.parametrize("kind", SUBJECTS)
def test_subjects_are_blinded_by_the_column_as_one_by_one(kind: str, vault: Vault) -> None:
    for text, found in zip(SUBJECTS[kind], blind_subjects(kind, SUBJECTS[kind], vault), strict=True):
        try:
            expected = vault.blind_index(*canonical_subject(kind, text))
        except SubjectMalformed as error:
            assert isinstance(found, SubjectMalformed)
            assert str(found) == str(error)
        else:
            assert found == expected


@given(TEXT, st.binary(min_size=16, max_size=16) | st.none())
def test_a_record_spelled_with_others_is_the_record_that_it_would_be_alone(
    purpose: str, subject: bytes | None
) -> None:
    now = datetime(2025, 11, 25, 8, 0, tzinfo=UTC)
    caller = Principal("client", "11990100MB2A00001X", frozenset())
    identities = many.draw(3, now)
    spell = many.speller(
        identities, "batch-verify", "answered", caller, now, varying=("row",), purpose=purpose
    )
    written = spell(1, subject, (b"7",))
    alone = prepare("batch-verify", "answered", caller, now, subject=subject, purpose=purpose, row=7)
    content = alone.content.replace(str(alone.id).encode(), identities.texts[1])
    assert written.row.endswith(content)
    assert written.entry == commit(identities.salts[1], content)


def test_records_are_written_as_single_ones_are(database_url: str) -> None:
    now = datetime.now(UTC)
    caller = Principal("client", "11990100MB2A00001X", frozenset())
    identities = many.draw(50, now)
    spell = many.speller(identities, "batch-verify", "answered", caller, now)
    subject = bytes(range(16))
    written = [spell(which, subject if which % 2 else None, ()) for which in range(50)]

    async def work() -> None:
        async with (
            database.pool(database_url, 1) as pool,
            pool.acquire() as connection,
            connection.transaction(),
        ):
            await many.write(connection, written)

    asyncio.run(work())
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT id, recorded_at, client_id, subject, outcome, entry, salt, content FROM exchange.access_record"
            " ORDER BY id"
        ).fetchall()
        pending = {bytes(entry) for (entry,) in connection.execute("SELECT entry FROM ledger.pending")}
    assert len(rows) == 50
    assert pending == {record.entry for record in written}
    which = {uuid.UUID(bytes=each): turn for turn, each in enumerate(identities.ids)}
    for record_id, at, client, about, outcome, entry, salt, content in rows:
        turn = which[record_id]
        assert (at, client, outcome) == (now, "client", "answered")
        assert about == (subject if turn % 2 else None)
        assert (salt, entry) == (identities.salts[turn], written[turn].entry)
        assert orjson.loads(content)["id"] == str(record_id)
        assert record_id.version == 7
