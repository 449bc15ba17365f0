"""`zhengtong catalogue`: out and in again, bad rows by their places, search and report."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest

from exchange.catalog.resources import read_seeds
from tests.zhengtong.conftest import Run, one_line

DEPARTMENT = "11990100MC0000020U"


@pytest.mark.parametrize("name", ["catalogue.jsonld", "catalogue.xlsx"])
def test_what_is_given_out_is_unchanged_when_taken_in_again(run: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert run("catalogue", "export", str(path)).exit_code == 0
    done = run("catalogue", "import", str(path), "--json")
    assert done.exit_code == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["unchanged"] == sorted(each["id"] for each in read_seeds())
    assert (report["drafted"], report["bad"]) == ({}, [])
    assert "licence.business-licence" in report["skipped"]


def test_a_changed_row_becomes_a_draft_and_a_bad_one_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.xlsx"
    run("catalogue", "export", str(path))
    workbook = openpyxl.load_workbook(path)
    sheet = workbook["数据资源"]
    names = {sheet.cell(row, 1).value: row for row in range(2, sheet.max_row + 1)}
    sheet.cell(names["persons-basic"], 2).value = "人口信息"
    sheet.cell(names["credentials-basic"], 7).value = "看情况"
    workbook.save(path)
    done = run("catalogue", "import", str(path))
    assert done.exit_code == 1
    assert f"✗ 数据资源 {names['credentials-basic']} 共享类型: unknown-word" in done.stdout
    again = json.loads(run("catalogue", "import", str(path), "--json").stdout)
    assert "persons-basic" in again["unchanged"]  # as its draft has it
    assert again["drafted"] == {}


def test_a_file_without_departments_needs_one(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "one.jsonld"
    run("catalogue", "export", str(path))
    node = json.loads(path.read_bytes())
    (persons,) = [each for each in node["dcat:dataset"] if each["dct:identifier"] == "persons-basic"]
    persons["dct:identifier"] = "persons-too"
    del persons["dct:publisher"]["dct:identifier"]
    path.write_text(json.dumps({"dcat:dataset": [persons]}))
    refused = json.loads(run("catalogue", "import", str(path), "--json").stdout)
    assert [(each["row"], each["field"]) for each in refused["bad"]] == [(1, "/dcat:dataset/0/department")]
    done = json.loads(run("catalogue", "import", str(path), "--department", DEPARTMENT, "--json").stdout)
    assert done["drafted"] == {"persons-too": 1}
    assert run("catalogue", "import", str(path), "--department", "1").exit_code == 2


def test_what_is_no_workbook_is_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.xlsx"
    path.write_bytes(b"hello")
    assert "xlsx" in one_line(run("catalogue", "import", str(path)))


def test_search_and_report(run: Run) -> None:
    assert "legal-entities-basic" in run("catalogue", "search", "fr").stdout.splitlines()[0]
    found = json.loads(run("catalogue", "search", "出生", "医学", "--json").stdout)
    assert found[0]["id"] == "licence.birth-certificate"
    late = json.loads(run("catalogue", "report", "--json").stdout)["late"]
    assert {each["resource"] for each in late} >= {"persons-basic", "legal-entities-basic"}
    assert "更新逾期" in run("catalogue", "report").stdout
