"""Commands on sources and on rows that wait: what they show, and that they show nobody's data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connectors.mapping import mapping_names
from foundation.settings import Settings
from tests.zhengtong.conftest import PERSON, Run, one_line

OWN = """
source: census
title: 普查
contact: 统计局
register: persons
format: delimited
encoding: utf-8
columns:
  - {column: 身份证号码, field: citizen_id, kind: citizen-id}
  - {column: 姓名, field: name}
  - {column: 状态, field: status, kind: dictionary, dictionary: {在: resident}}
ignore: [备注]
"""


def test_sources_are_listed_with_those_of_the_city(run: Run, settings: Settings) -> None:
    settings.sources_folder.mkdir(parents=True)
    (settings.sources_folder / "census.yaml").write_text(OWN, encoding="utf-8")
    listed = json.loads(run("source", "list", "--json").stdout)
    assert [each["source"] for each in listed] == sorted([*mapping_names(), "census"])
    assert "统计局" in run("source", "list").stdout


def test_a_mapping_is_checked_before_it_is_used(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "census.yaml"
    path.write_text(OWN, encoding="utf-8")
    assert json.loads(run("source", "check", str(path), "--json").stdout)["valid"] is True
    assert "persons" in run("source", "check", str(path)).stdout
    path.write_text(OWN.replace("field: name", "field: nickname"), encoding="utf-8")
    assert "columns.1" in one_line(run("source", "check", str(path)))
    told = run("source", "check", str(path), "--json")
    assert (told.exit_code, json.loads(told.stdout)["valid"]) == (1, False)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1, 2", b"just text"])
def test_what_is_no_mapping_is_told_on_one_line(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    assert "broken" in one_line(run("source", "check", str(path)))


def test_a_source_of_the_city_is_brought_in_like_any_other(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    settings.sources_folder.mkdir(parents=True)
    (settings.sources_folder / "census.yaml").write_text(OWN, encoding="utf-8")
    path = tmp_path / "census.csv"
    path.write_text(f"备注,身份证号码,姓名,状态\n老人,{PERSON},张三丰,在\n", encoding="utf-8")
    report = json.loads(run("ingest", "census", "--file", str(path), "--json").stdout)
    assert (report["read"], report["inserted"]) == (1, 1)


def test_rows_that_wait_are_counted_and_shown_by_their_shape(run: Run, population: Path) -> None:
    run("ingest", "population", "--file", str(population))
    run("ingest", "population", "--file", str(population))
    (group,) = json.loads(run("quarantine", "list", "--json").stdout)
    assert (group["source"], group["reason"], group["rows"], group["seen"]) == (
        "population",
        "wrong-check-character",
        1,
        2,
    )
    assert json.loads(run("quarantine", "list", "--source", "credentials", "--json").stdout) == []
    done = run("quarantine", "show", "population", "--reason", "wrong-check-character", "--json")
    (row,) = json.loads(done.stdout)
    assert row["row"] == 3
    assert row["shape"].startswith("999999999999999999,字字字,字,9999-99-99,")
    for said in (
        done.stdout,
        run("quarantine", "show", "population").stdout,
        run("quarantine", "list").stdout,
    ):
        assert PERSON[:17] not in said
        assert "张三丰" not in said
