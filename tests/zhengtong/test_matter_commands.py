"""Commands on matters: from an empty workbook to what should no longer be asked."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import psycopg
from openpyxl import load_workbook

from exchange.matters.examples import load_examples
from tests.exchange.matters.importing.test_bring_in import row
from tests.zhengtong.conftest import Run, one_line


def test_from_a_list_to_what_should_no_longer_be_asked(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(
        orjson.dumps(
            [row("a-1", "身份证", "教材"), row("a-2", "身份证或护照", "申请表"), row("a-3", 事项名称="")]
        )
    )
    told = run("matters", "import", str(path), "--by", "test")
    assert told.exit_code == 1  # a bad record is no clean import, and the others are in
    assert "2 new" in told.stdout and "title" in told.stdout and "missing" in told.stdout
    assert "2 unchanged" in run("matters", "import", str(path), "--by", "test").stdout
    listed = json.loads(run("matters", "candidates", "--json").stdout)
    assert [(each["name"], each["used"]) for each in listed] == [("身份证", 2)]
    assert "身份证" in run("matters", "candidates").stdout
    assert "2" in run("matters", "confirm", "--all-exact", "--by", "s").stdout
    assert json.loads(run("matters", "candidates", "--json").stdout) == []
    report = json.loads(run("matters", "report", "--json").stdout)
    assert report["papers"]["standing"]["confirmed"] == {"count": 2, "percent": 50.0}
    assert "confirmed" in run("matters", "report").stdout
    assert run("matters", "publish", "--all-drafts", "--by", "s").exit_code == 0
    settled = json.loads(run("matters", "settled-already", "--json").stdout)
    assert [(each["matter"], each["material"]) for each in settled] == [("a-1", "m1"), ("a-2", "m1")]
    assert "persons-basic" in run("matters", "settled-already").stdout
    undone = json.loads(run("matters", "reject", "身份证", "--by", "s", "--json").stdout)
    assert (undone[0]["changed_drafts"], undone[0]["new_drafts"]) == (2, 2)


def test_the_examples_come_in_and_are_published_once(run: Run) -> None:
    count = len(load_examples())
    first = json.loads(run("matters", "import", "--examples", "--publish", "--by", "test", "--json").stdout)
    assert first["drafts"] == count
    again = json.loads(run("matters", "import", "--examples", "--publish", "--by", "test", "--json").stdout)
    assert again["drafts"] == 0
    report = json.loads(run("matters", "report", "--published", "--json").stdout)
    assert report["matters"] == count
    assert report["papers"]["standing"]["confirmed"]["percent"] > 50


def test_an_empty_workbook_is_written_and_nothing_is_written_over(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "empty.xlsx"
    assert run("matters", "template", str(path)).exit_code == 0
    sheet, notes = load_workbook(path).worksheets
    assert sheet.max_row == 1 and notes.max_row == sheet.max_column + 1
    assert "empty.xlsx" in one_line(run("matters", "template", str(path)))


def test_what_cannot_be_done_is_told_on_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'[{"a": 1}]')
    assert "TASK_CODE" in one_line(run("matters", "import", str(path), "--by", "t"))
    assert "--examples" in one_line(run("matters", "import", "--by", "t"))
    assert "--all-exact" in one_line(run("matters", "confirm", "--by", "t"))
    assert "--all-drafts" in one_line(run("matters", "publish", "--by", "t"))
    assert "护照" in one_line(run("matters", "confirm", "护照", "--by", "t"))
    assert "guangdong-42" in run("matters", "layouts").stdout


def test_a_draft_that_is_refused_does_not_keep_the_others_back(
    run: Run, tmp_path: Path, database_url: str
) -> None:
    path = tmp_path / "list.json"
    path.write_bytes(orjson.dumps([row("b-1", "教材"), row("b-2", "教材"), row("b-3", "教材")]))
    run("matters", "import", str(path), "--by", "t")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE exchange.matter SET document = jsonb_set(document, '{materials,0,evidence}',"
            ' \'{"query": {"resource": "none", "subject": "applicant", "fields": ["a"]}}\')'
            " WHERE code = 'b-2'"
        )
    told = run("matters", "publish", "b-1", "b-2", "--by", "t")
    assert told.exit_code == 1
    assert "b-2  /materials/0/evidence" in told.stderr
    assert json.loads(run("matters", "report", "--published", "--json").stdout)["matters"] == 1
