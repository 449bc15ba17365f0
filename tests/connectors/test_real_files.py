"""Company registers as they are found in the open, against an independent reading of the same files."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from unicodedata import name as character_name
from unicodedata import normalize

import pytest
from stdnum.cn import uscc
from stdnum.exceptions import InvalidComponent

from tests.connectors.test_pipeline import Land

EMPTY = {"", "N/A", "n/a", "无", "-"}
CURRENCIES = {
    "美元": "USD",
    "港币": "HKD",
    "港元": "HKD",
    "香港元": "HKD",
    "日元": "JPY",
    "澳大利亚元": "AUD",
}
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


def half(text: str) -> str:
    """Return letters and digits in their ordinary width, by the table of Unicode."""
    return "".join(
        normalize("NFKC", one)
        if character_name(one, "").startswith(("FULLWIDTH DIGIT", "FULLWIDTH LATIN"))
        else one
        for one in text
    )


def capital(text: str) -> dict[str, str]:
    """Read an amount as these files have them: all in ten thousands, most in the currency of the country."""
    if text in EMPTY:
        return {}
    digits = "".join(character for character in text if character in "0123456789.")
    currency = next((code for word, code in CURRENCIES.items() if word in text), "CNY")
    amount = Decimal(digits) * 10_000
    written = str(int(amount)) if amount == int(amount) else f"{amount.normalize():f}"
    return {"registered_capital_amount": written, "registered_capital_currency": currency}


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
    report = land.bring(path, "legal-entities", batch_rows=1000, encoding=encoding, gates=True)
    assert (report.read, report.reasons) == (rows, reasons)

    expected = readable(text)
    assert len(expected) == rows - sum(reasons.values())
    assert all(is_valid(row[1]) for row in expected)
    fields = ("name", "code", "established_on", "entity_type", "representative_name", "registered_capital",
              "business_scope", "province", "city", "address")  # fmt: skip
    cells = [[cell.strip() for cell in row] for row in expected]
    for row in cells:
        row[1] = row[1].upper()  # a few codes are written in small letters
    widened = 0
    for row in cells:
        for at in (0, 4, 9):
            widened += half(row[at]) != row[at]
            row[at] = half(row[at])
    assert report.findings == {"width-normalised": widened}
    assert {record["code"]: record for record in land.rows("legal_entity").values()} == {
        row[1]: {f: cell for f, cell in zip(fields, row, strict=True) if cell not in EMPTY} | capital(row[5])
        for row in cells
    }
    again = land.bring(path, "legal-entities", encoding=encoding)
    assert (again.inserted, again.changed, again.reasons) == (0, 0, reasons)

    raw = Counter(bytes_ for _, bytes_, _, _ in land.quarantined())
    lines = Counter(path.read_bytes().splitlines())
    assert raw <= lines
    assert raw.total() == sum(reasons.values())
