"""Files as people export them: a title above the header, a note beside the table."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import orjson
import pytest
from openpyxl import Workbook

from connectors.mapping import SourceMapping, parse_mapping
from connectors.sources.files import FileSource
from connectors.sources.raw import HeaderDiffers, SourceError
from connectors.sources.sample import read_header
from tests.connectors.sources.licences import COLUMNS, numbers

TITLE = ["示范市证照导出表", "", "", ""]
MADE = ["导出时间", "2026-01-01", "", ""]
ROWS = [["个体", "1", "甲店", "2020-01-01"], ["个体", "2", "乙，店", "2020-01-02"]]
ALL = [TITLE, MADE, list(COLUMNS), *ROWS]


def delimited(rows: list[list[str]], delimiter: str, encoding: str) -> bytes:
    return "\r\n\r\n".join(delimiter.join(row) for row in rows).encode(encoding)


def workbook(rows: list[list[str]]) -> bytes:
    made = Workbook()
    assert made.active is not None
    for row in [[], *rows]:
        made.active.append(row)
    content = io.BytesIO()
    made.save(content)
    return content.getvalue()


FILES = {
    "delimited": delimited(ALL, ",", "utf-8"),
    "delimited-tab": delimited(ALL, "\t", "gb18030"),
    "delimited-short": delimited([TITLE[:1], MADE[:2], *ALL[2:]], "|", "gb18030"),
    "workbook": workbook(ALL),
}


def mapping(**more: object) -> SourceMapping:
    document = {
        "source": "licences",
        "title": "证照",
        "contact": "审批局",
        "register": "legal_entities",
        "columns": [
            {"column": "licence_type", "field": "entity_type"},
            {"column": "licence_number", "field": "registration_number", "kind": "code"},
            {"column": "holder_name", "field": "name", "kind": "name"},
            {"column": "issued_on", "field": "established_on", "kind": "date"},
        ],
        **more,
    }
    return parse_mapping("licences", orjson.dumps(document).decode())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("stated", [True, False])
def test_the_rows_above_the_header_are_found_by_a_draft_and_left_by_a_run(
    tmp_path: Path, name: str, stated: bool
) -> None:
    path = tmp_path / "export"
    path.write_bytes(FILES[name])
    header, layout = read_header(path)
    assert (header, layout["rows_above"]) == (list(COLUMNS), 2)
    if not stated:
        layout = {"format": "detect", "encoding": "detect", "delimiter": "detect", "rows_above": 2}
    (batch,) = FileSource(path, mapping(**layout)).batches(10)
    assert numbers([batch]) == ["1", "2"]
    assert (list(batch.origins), batch.bad) == ([1, 2], [])
    with pytest.raises((HeaderDiffers, SourceError)):
        list(FileSource(path, mapping(**layout | {"rows_above": 1})).batches(10))


@pytest.mark.parametrize("rows", [ALL[2:], ALL[2:3]])
def test_without_a_title_nothing_is_above(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(delimited(rows, ",", "utf-8"))
    assert read_header(path) == (
        list(COLUMNS),
        {"format": "delimited", "encoding": "utf-8", "delimiter": ","},
    )


def test_a_file_that_ends_above_its_header_is_empty(tmp_path: Path) -> None:
    for name in ("delimited", "workbook"):
        path = tmp_path / name
        path.write_bytes(FILES[name])
        with pytest.raises(SourceError, match="is empty"):
            list(FileSource(path, mapping(format=name, rows_above=50)).batches(10))


def test_a_note_beside_the_table_in_an_archive_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README.txt", "说明：由系统导出")
        archive.writestr("证照.csv", delimited(ALL[2:], ",", "utf-8"))
    header, layout = read_header(path)
    assert (header, layout["members"]) == (list(COLUMNS), ["*.csv"])
    (batch,) = FileSource(path, mapping(**layout)).batches(10)
    assert numbers([batch]) == ["1", "2"]
