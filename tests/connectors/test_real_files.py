"""Company registers as they are found in the open, against an independent reading of the same files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from unicodedata import name as character_name
from unicodedata import normalize

import orjson
import pytest
from stdnum.cn import uscc
from stdnum.exceptions import InvalidComponent

from connectors.mapping import load_mapping
from connectors.sources.files import FileSource
from tests.conftest import fresh_database
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


PUBLISHED = {
    # rows, and why rows stay behind. In hubei-2002 the Chinese of 34 rows was lost before publication; two codes of
    # hubei-2003 fail their check character.
    "guangdong-2002.csv": ("delimited", *FILES["guangdong-2002"]),
    "heilongjiang-2003.csv": ("delimited", *FILES["heilongjiang-2003"]),
    "heilongjiang-2003.xls": ("workbook", *FILES["heilongjiang-2003"]),
    "heilongjiang-2004.csv": ("delimited", *FILES["heilongjiang-2004"]),
    "hubei-2002.json": ("json-array", 5661, {"garbled-text": 34}),
    "hubei-2003.xls": ("workbook", 6705, {"wrong-check-character": 2}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_file_comes_in_whatever_its_format(
    land: Land, shared: Callable[[str], Path], name: str
) -> None:
    form, rows, reasons = PUBLISHED[name]
    path = shared(f"enterprises/{name}")
    mapping = load_mapping("company-registrations")
    batch = next(iter(FileSource(path, mapping).batches(10)))
    assert batch.layout is not None
    assert (batch.layout.format, "format" in batch.layout.detected) == (form, True)
    report = land.bring(path, "company-registrations", batch_rows=1000, gates=True)
    assert (report.read, report.reasons) == (rows, reasons)
    again = land.bring(path, "company-registrations", batch_rows=777, gates=True)
    assert (again.inserted, again.changed, again.reasons) == (0, 0, reasons)


def test_a_workbook_and_a_text_of_the_same_records_give_the_same_register(
    server_address: str, template: str, shared: Callable[[str], Path]
) -> None:
    digests = []
    for kind in ("csv", "xls"):
        with fresh_database(server_address, template) as address:
            land = Land(address)
            land.bring(shared(f"enterprises/heilongjiang-2003.{kind}"), "company-registrations")
            digest = hashlib.sha256()
            for (subject, _), record in sorted(land.rows("legal_entity").items()):
                digest.update(subject + orjson.dumps(record, option=orjson.OPT_SORT_KEYS))
            digests.append((len(land.rows("legal_entity")), digest.hexdigest()))
    assert digests[0][0] > 2_000
    assert digests[0] == digests[1]


OLD = "440101123456789"


def test_an_old_number_is_kept_beside_and_what_is_no_code_is_set_aside(land: Land, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    codes = ["91230199744177263N", OLD, "12345", "91230199744177263A"]
    names = ("甲厂", "乙厂", "丙厂", "丁厂")
    rows = [
        {"name": n, "code": c, "registrationDay": "2003-02-08", "character": "=cmd|'/C calc'!A0"}
        for n, c in zip(names, codes, strict=True)
    ]
    path.write_text(json.dumps({"erDataList": rows}), encoding="utf-8")
    report = land.bring(path, "company-registrations")
    assert report.quarantined == 2
    assert report.findings["formula-like"] == 2
    kept = {record["name"]: record for record in land.rows("legal_entity").values()}
    assert kept["乙厂"]["registration_number"] == OLD
    assert kept["甲厂"]["code"] == codes[0]
    assert {record["entity_type"] for record in kept.values()} == {"=cmd|'/C calc'!A0"}


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
