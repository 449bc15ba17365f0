"""A sample shows its columns in every format and packing that a file may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sources.raw import SourceError
from connectors.sources.sample import read_header
from tests.connectors.sources.conformance import HEADER, PACKINGS, ROWS, WRITERS, xml

STATED = {
    "delimited": {"encoding": "utf-8", "delimiter": ","},
    "delimited-gb18030": {"encoding": "gb18030", "delimiter": "，"},
    "json-member": {"records_member": "rows"},
    "xml": {"record_element": "r"},
    "xml-gb18030": {"record_element": "r"},
    "dbf": {"encoding": "detect"},
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", WRITERS)
def test_the_columns_of_a_sample(tmp_path: Path, name: str, packing: str) -> None:
    form, write = WRITERS[name]
    path = tmp_path / "sample"
    path.write_bytes(PACKINGS[packing](write(HEADER, ROWS)))
    assert read_header(path) == (HEADER, {"format": form} | STATED.get(name, {}))


@pytest.mark.parametrize(
    ("text", "names", "record"),
    [
        ('<d><r a="1"/><r a="2" b="3"/></d>', ["a", "b"], "r"),
        ("<r><a>1</a><b>2</b></r>", ["a", "b"], "r"),
        ("<d><r><a>1</a><o><x>1</x></o></r><r><a>1</a><o><x>2</x></o></r></d>", ["a", "o"], "r"),
    ],
)
def test_the_record_of_xml_is_the_outermost_that_comes_most_often(
    tmp_path: Path, text: str, names: list[str], record: str
) -> None:
    path = tmp_path / "sample.xml"
    path.write_text(text, encoding="utf-8")
    assert read_header(path) == (names, {"format": "xml", "record_element": record})


@pytest.mark.parametrize(
    "content",
    [
        b"<d/>",
        b"<d><r></d>",
        b'<!DOCTYPE d [<!ENTITY a "b">]><d><r><a>&a;</a></r></d>',
        xml(HEADER, ROWS)[:60],
        b"PK\x03\x04broken",
        b"{}\n{}\n",
        b"[1, 2]",
    ],
)
def test_a_sample_that_shows_no_column_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sample"
    path.write_bytes(content)
    with pytest.raises(SourceError):
        read_header(path)
