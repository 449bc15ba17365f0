"""Company registers as they are found in the open, against an independent reading of the same files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from stdnum.cn import uscc
from stdnum.exceptions import InvalidComponent

from tests.connectors.test_pipeline import Land

EMPTY = {"", "N/A", "n/a", "无", "-"}
FILES = {
    # rows, and why rows stay behind: seven have a column more; in the other 42 of the last 49 the Chinese was lost
    # before publication (GBK read as UTF-8), and the columns stand in another order: addresses as codes.
    "guangdong-2002": (4698, {"wrong-column-count": 7, "garbled-text": 42}),
    "heilongjiang-2003": (2697, {}),
    # A delete character inside an address.
    "heilongjiang-2004": (4626, {"control-character": 1}),
}


@pytest.fixture
def land(database_url: str) -> Land:
    return Land(database_url)


def readable(text: str) -> list[list[str]]:
    """Read with the csv module alone: the rows that have ten cells, each of which can be kept."""
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    return [row for row in rows if len(row) == 10 and not any({"\ufffd", "\x7f"} & set(cell) for cell in row)]


def is_valid(code: str) -> bool:
    try:
        uscc.validate(code)
    except InvalidComponent:
        return True  # python-stdnum knows no letters in the first eight places; they exist
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("name", FILES)
def test_a_real_register_comes_in_whole(
    land: Land, shared: Callable[[str], Path], tmp_path: Path, name: str, encoding: str
) -> None:
    rows, reasons = FILES[name]
    path = shared(f"enterprises/{name}.csv")
    text = path.read_text(encoding="utf-8-sig")
    if encoding != "utf-8":
        # Characters that were lost stay lost: GB18030 has the replacement character too.
        path = tmp_path / "again.csv"
        path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    report = land.bring(path, "legal-entities", batch_rows=1000, encoding=encoding)
    assert (report.read, report.reasons, report.findings) == (rows, reasons, {})

    expected = readable(text)
    assert len(expected) == rows - sum(reasons.values())
    assert all(is_valid(row[1]) for row in expected)
    fields = ("name", "code", "established_on", "entity_type", "representative_name", "registered_capital",
              "business_scope", "province", "city", "address")  # fmt: skip
    cells = [[cell.strip() for cell in row] for row in expected]
    for row in cells:
        row[1] = row[1].upper()  # a few codes are written in small letters
    assert {record["code"]: record for record in land.rows("legal_entity").values()} == {
        row[1]: {f: cell for f, cell in zip(fields, row, strict=True) if cell not in EMPTY} for row in cells
    }
    again = land.bring(path, "legal-entities", encoding=encoding)
    assert (again.inserted, again.changed, again.reasons) == (0, 0, reasons)

    raw = Counter(bytes_ for _, bytes_, _, _ in land.quarantined())
    lines = Counter(path.read_bytes().splitlines())
    assert raw <= lines
    assert raw.total() == sum(reasons.values())
