"""Imports against a real database: made-up lists, and the real one where it is beside the project."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from openpyxl import Workbook, load_workbook

from exchange.catalog.resources import load_catalogue
from exchange.matters import tables
from exchange.matters.deciding import decide, waiting
from exchange.matters.decisions import all_of
from exchange.matters.importing.bring_in import Bad, Report, bring_in
from exchange.matters.importing.layout import layout_of, layouts
from exchange.matters.importing.records import MattersUnreadable, read_records
from exchange.matters.importing.template import write_template
from exchange.matters.matter import read_matter
from exchange.matters.publishing import publish
from exchange.matters.report import report
from foundation import database
from tests.conftest import fresh_database
from tests.connectors.sources.conformance import ods, xls

NOW = datetime(2025, 9, 1, tzinfo=UTC)
HEAD = ["事项编码", "事项名称", "实施机构代码", "实施机构", "服务对象", "申请材料"]
OFFICE = "11990100MB2B000017"


@pytest.fixture(scope="module")
def address(server_address: str, template: str) -> Iterator[str]:
    with fresh_database(server_address, template) as found:
        yield found


def with_pool(address: str, work: Callable[[Any], Any]) -> Any:
    async def run() -> Any:
        async with database.pool(address, 2) as pool:
            return await work(pool)

    return asyncio.run(run())


def bring(address: str, path: Path) -> Report:
    records = list(read_records(path))
    columns = next(each.values for each in records if each.values is not None)
    found: Report = with_pool(
        address, lambda pool: bring_in(pool, records, layout_of(columns), path.name, "test", NOW)
    )
    return found


def counts(found: Report) -> tuple[int, int, int, int]:
    return found.new, found.changed, found.unchanged, len(found.bad)


def lines(path: Path, *rows: Any) -> Path:
    path.write_bytes(b"\n".join(row if isinstance(row, bytes) else orjson.dumps(row) for row in rows))
    return path


def row(code: str, *materials: str, title: str = "事项", **changes: Any) -> dict[str, Any]:
    return dict(zip(HEAD, (code, title, OFFICE, "示范局", "自然人", list(materials)), strict=True)) | changes


def newest(address: str, code: str) -> tables.Version:
    async def work(pool: Any) -> Any:
        async with pool.acquire() as connection:
            return (await tables.newest(connection, [code]))[code]

    found: tables.Version = with_pool(address, work)
    return found


def test_every_bad_record_is_told_and_the_good_ones_come_in(address: str, tmp_path: Path) -> None:
    path = lines(
        tmp_path / "a.jsonl",
        row("a-1"),
        b"",
        b"[1",
        b"7",
        row("a-2", 事项名称=""),
        row("a-1"),
        row("a b"),
        b'{"x": "\xff"}',
        row("a-3"),
    )
    found = bring(address, path)
    assert counts(found) == (2, 0, 0, 6)
    assert found.bad == [
        Bad(3, None, "no-json-object"),
        Bad(4, None, "no-json-object"),
        Bad(5, "title", "missing"),
        Bad(6, "code", "same-code-twice"),
        Bad(7, "/code", "matter-malformed"),
        Bad(8, None, "no-json-object"),
    ]


def test_the_same_again_changes_nothing_and_a_change_makes_a_new_draft(address: str, tmp_path: Path) -> None:
    path = lines(tmp_path / "b.jsonl", row("b-1", "身份证"), row("b-2", "教材"))
    assert counts(bring(address, path)) == (2, 0, 0, 0)
    assert counts(bring(address, path)) == (0, 0, 2, 0)
    with_pool(address, lambda pool: publish(pool, load_catalogue(), "b-1", 1, "test", NOW))
    changed = lines(tmp_path / "c.jsonl", row("b-1", "身份证", "教材"), row("b-2", "教材"))
    assert counts(bring(address, changed)) == (0, 1, 1, 0)
    now = newest(address, "b-1")
    assert (now.version, now.state, len(now.document["materials"])) == (2, "draft", 2)
    assert now.document["source"] | {"digest": ""} == {
        "layout": "plain",
        "file": "c.jsonl",
        "row": 1,
        "digest": "",
    }


def test_what_people_added_stays_when_the_source_changes(address: str, tmp_path: Path) -> None:
    bring(address, lines(tmp_path / "d.jsonl", row("d-1", "承诺", "教材")))
    document = newest(address, "d-1").document
    document["materials"][1] |= {"evidence": {"commitment": "truthful-statement"}, "may_follow_days": 5}
    document["inputs"] = {"a": {"title": "甲", "type": "text"}}

    async def write(pool: Any) -> None:
        async with pool.acquire() as connection:
            await tables.put_draft(connection, document, "hand", NOW)

    with_pool(address, write)
    bring(address, lines(tmp_path / "e.jsonl", row("d-1", "教材", "承诺", title="新名")))
    after = newest(address, "d-1").document
    assert after["title"] == "新名" and after["inputs"] == document["inputs"]
    book = next(each for each in after["materials"] if each["name"] == "教材")
    assert (book["id"], book["evidence"], book["may_follow_days"]) == (
        "m1",
        {"commitment": "truthful-statement"},
        5,
    )


def test_what_was_confirmed_is_remembered_by_the_next_import(address: str, tmp_path: Path) -> None:
    bring(address, lines(tmp_path / "f.jsonl", row("f-1", "护林员工作证")))
    done = with_pool(
        address,
        lambda pool: decide(
            pool, "护林员工作证（原件）", "person-identity", confirm=True, decided_by="s", now=NOW
        ),
    )
    assert (done.decision.name, done.changed_drafts, done.new_drafts) == ("护林员工作证", 1, 0)
    assert newest(address, "f-1").document["materials"][0]["evidence"]["claims"]["subject"] == "applicant"
    later = lines(tmp_path / "g.jsonl", row("f-1", "护林员工作证"), row("f-2", "护林员工作证"))
    assert counts(bring(address, later)) == (1, 0, 1, 0)
    assert newest(address, "f-2").document["materials"][0]["matching"]["confirmed"] == ["person-identity"]


def test_a_matter_that_would_grow_too_large_keeps_nobody_back(address: str, tmp_path: Path) -> None:
    bring(address, lines(tmp_path / "i.jsonl", row("i-1", "守林证"), row("i-2", "守林证")))
    document = newest(address, "i-1").document
    document["subjects"] |= {f"r{number}": {"kind": "uscc"} for number in range(9)}

    async def write(pool: Any) -> None:
        async with pool.acquire() as connection:
            await tables.put_draft(connection, document, "hand", NOW)

    with_pool(address, write)
    word = {"confirm": True, "role": "guardian", "decided_by": "s", "now": NOW}
    done = with_pool(address, lambda pool: decide(pool, "守林证", "person-identity", **word))
    assert (done.changed_drafts, done.left_out) == (1, ("i-1",))
    later = bring(address, lines(tmp_path / "j.jsonl", row("i-1", "守林证", title="新名")))
    assert (counts(later), later.remarks) == ((0, 1, 0, 0), {"confirmed-evidence-left-out": 1})
    assert "evidence" not in newest(address, "i-1").document["materials"][0]


def test_an_empty_workbook_is_written_and_comes_back_filled_in(address: str, tmp_path: Path) -> None:
    path = tmp_path / "fill.xlsx"
    write_template(path)
    assert list(read_records(path)) == []
    workbook = load_workbook(path)
    sheet = workbook.worksheets[0]
    columns = [cell.value for cell in sheet[1]]
    assert columns == [field.column for field in layouts()["plain"].fields.values()]
    given = row("h-1") | {"申请材料": "身份证；教材\n营业执照", "服务对象": "自然人、企业", "承诺办结时限": 7}
    sheet.append([given.get(column) for column in columns])
    sheet.append([None, "无码"])
    workbook.save(path)
    found = bring(address, path)
    assert counts(found) == (1, 0, 0, 1)
    assert found.bad == [Bad(3, "code", "missing")]
    document = newest(address, "h-1").document
    assert document["promised_days"] == 7 and len(document["materials"]) == 3


@pytest.mark.parametrize("made", [xls, ods])
def test_old_and_open_workbooks_are_read_as_well(
    address: str, tmp_path: Path, made: Callable[[list[str], list[list[str]]], bytes]
) -> None:
    path = tmp_path / "book"
    code = f"k-{made.__name__}"
    path.write_bytes(
        made(HEAD, [[code, "事项", OFFICE, "示范局", "自然人", "身份证；教材"], ["", "无码", "", "", "", ""]])
    )
    found = bring(address, path)
    assert counts(found) == (1, 0, 0, 1)
    assert found.bad == [Bad(3, "code", "missing")]
    assert [each["name"] for each in newest(address, code).document["materials"]] == ["身份证", "教材"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[1, 2", "cannot be read as JSON"),
        (b"PK\x03\x04 no workbook", "cannot be read as a workbook"),
        (b"\xd0\xcf\x11\xe0", "cannot be read as a workbook"),
    ],
)
def test_what_is_no_list_at_all_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(MattersUnreadable, match=reason):
        list(read_records(path))


def test_all_real_matters_come_in_from_json_and_are_the_same_from_a_workbook(
    address: str, shared: Callable[[str], Path], tmp_path: Path
) -> None:
    path = shared("matters/guangdong_matters.jsonl")
    found = bring(address, path)
    assert counts(found) == (1816, 0, 0, 0)
    assert found.remarks == {"promised-in-calendar-days": 2, "department-without-uscc": 3}
    assert counts(bring(address, path)) == (0, 0, 1816, 0)
    real = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    columns = [name for name in real[0] if name != "_id"]
    sheet.append(columns)
    for each in real:
        cells = [each[name] for name in columns]
        sheet.append(["\n".join(cell) if isinstance(cell, list) else cell for cell in cells])
    book.save(tmp_path / "real.xlsx")
    assert counts(bring(address, tmp_path / "real.xlsx")) == (0, 0, 1816, 0)


def test_a_steward_s_word_settles_every_real_matter_that_asks_for_the_paper(
    address: str, shared: Callable[[str], Path]
) -> None:
    shared("matters/guangdong_matters.jsonl")

    async def current(pool: Any) -> Any:
        async with pool.acquire() as connection:
            return await tables.current(connection), await all_of(connection)

    found, decided = with_pool(address, current)
    first = waiting((each.document for each in found), decided)[0]
    assert (first.name, first.sureness) == ("居民身份证", "exact")
    done = with_pool(
        address, lambda pool: decide(pool, "居民身份证", None, confirm=True, decided_by="s", now=NOW)
    )
    assert done.changed_drafts == first.matters > 100
    again = with_pool(
        address, lambda pool: decide(pool, "居民身份证", None, confirm=True, decided_by="s", now=NOW)
    )
    assert again.changed_drafts == 0
    after, decided = with_pool(address, current)
    settled = [each for each in after if "居民身份证" in str(each.document["materials"])]
    for each in settled[:200]:
        read_matter(each.document)
    counted = report((each.document for each in after), decided)
    assert counted.count.occurrences["confirmed"] >= first.used
    assert counted.by_evidence["person-identity"]["confirmed"] >= first.used
    back = with_pool(
        address, lambda pool: decide(pool, "居民身份证", None, confirm=False, decided_by="s", now=NOW)
    )
    assert back.changed_drafts == done.changed_drafts
    assert "居民身份证" not in {
        each.name
        for each in waiting(
            (each.document for each in with_pool(address, current)[0]), with_pool(address, current)[1]
        )
    }
