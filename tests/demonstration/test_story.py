"""The main job as a user runs it: told to its end, left running, run again, and silent about citizen IDs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import disclosure
from benchmarks.verification import free_port
from tests.conftest import temporary_home

PEOPLE = 1500


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


def tell(home: Path, *options: str) -> tuple[int, Any]:
    command = [sys.executable, "-m", "zhengtong", "--home", str(home), "demo", "--once", "--json"]
    done = subprocess.run(
        [*command, "--people", str(PEOPLE), "--port", str(free_port()), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_after_the_main_job_no_citizen_id_stands_in_clear(home: Path) -> None:
    counts = disclosure.count(home, PEOPLE)
    assert {place: found for place, (_size, found) in counts.items()} == dict.fromkeys(counts, 0)
    assert all(size > 1000 for size, _found in counts.values())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"x 99010119800229123X y", 1),
        (b"x99010119800229123xy", 1),
        (rb"\\x" + b"99010119800229123X".hex().encode(), 1),
        (b"990101800229123", 1),
        (b"1990101800229123", 0),
        (b"990101198002291230", 0),
    ],
)
def test_the_search_for_citizen_ids_finds_them(text: bytes, found: int) -> None:
    assert disclosure.in_clear(text, {b"99010119800229123X", b"990101800229123"}) == found


def test_told_again_it_changes_nothing_and_comes_out_as_told(home: Path) -> None:
    code, story = tell(home)
    assert (code, story["failures"]) == (0, [])
    for report in story["ingest"]:
        assert (report["inserted"], report["changed"]) == (0, 0), report
        assert report["unchanged"] > 0
    expectations = [name for chapter in story["chapters"] for name in chapter["expectations"]]
    assert len(expectations) > 20


def test_a_real_register_file_can_be_given(shared: Callable[[str], Path]) -> None:
    path = shared("enterprises/guangdong-2002.csv")
    with temporary_home() as home:
        code, story = tell(home, "--data", str(path))
    assert (code, story["failures"]) == (0, [])
    assert story["ingest"][1]["read"] == 4698


@pytest.mark.thorough
def test_what_does_not_come_out_as_told_shows_in_the_exit_code(tmp_path: Path) -> None:
    # A register without a single usable entity: there is nobody to issue a licence to.
    header = "企业名称,统一社会信用代码,注册日期,企业类型,法人代表,注册资金,经营范围,所在省份,地区,注册地址"
    path = tmp_path / "empty.csv"
    path.write_text(f"{header}\n某公司,123,2001-01-01,,,,,,,\n", encoding="utf-8")
    with temporary_home() as home:
        command = [
            sys.executable,
            "-m",
            "zhengtong",
            "--home",
            str(home),
            "demo",
            "--once",
            "--people",
            "1000",
        ]
        done = subprocess.run(
            [*command, "--port", str(free_port()), "--data", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "✗" in done.stdout
    assert done.stderr.startswith("zhengtong: ") and done.stderr.count("\n") == 1
