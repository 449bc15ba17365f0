"""Which files wait, in which order, and where they go; no Airflow is needed for that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dags.inbox import file_away, inbox, mark, waiting
from foundation.settings import Settings


def put(folder: Path, name: str, content: str = "x") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    return mark(folder / name)


def test_whole_files_wait_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("2026-02.csv", "2026-01.csv", ".hidden", "3.csv.part", "4.csv.filepart", "5.tmp"):
        put(tmp_path, name)
    put(tmp_path / "done" / "run", "2025-12.csv")
    assert waiting(tmp_path) == ["2026-01.csv", "2026-02.csv"]
    assert waiting(tmp_path / "absent") == []


def test_an_inbox_stands_under_the_home_or_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path)
    assert inbox(settings, "population") == tmp_path / "inbox" / "population"
    monkeypatch.setenv("ZHENGTONG_INBOX", "/srv/inbox")
    assert inbox(settings, "population") == Path("/srv/inbox/population")


def test_a_file_is_moved_once_and_a_retry_finds_it_moved(tmp_path: Path) -> None:
    marked = put(tmp_path, "a.csv")
    for _ in range(2):
        assert file_away(tmp_path, "a.csv", marked, "run-1") == "done/run-1/a.csv"
    assert waiting(tmp_path) == []
    # The next delivery has the same name, and does not take the place of the first.
    marked = put(tmp_path, "a.csv", "second")
    assert file_away(tmp_path, "a.csv", marked, "run-2") == "done/run-2/a.csv"
    assert (tmp_path / "done/run-1/a.csv").read_text() == "x"


@pytest.mark.parametrize("content", ["longer", "y"])
def test_a_file_that_came_meanwhile_stays_for_the_next_time(tmp_path: Path, content: str) -> None:
    marked = put(tmp_path, "a.csv")
    put(tmp_path, "a.csv", content)
    os.utime(tmp_path / "a.csv", ns=(1, 1))
    assert file_away(tmp_path, "a.csv", marked, "run-1") is None
    assert waiting(tmp_path) == ["a.csv"]
    assert not (tmp_path / "done").exists()


def test_a_file_that_is_nowhere_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_away(tmp_path, "a.csv", "1-1", "run-1")
