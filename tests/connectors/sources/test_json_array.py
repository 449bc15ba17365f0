"""A JSON array of any size: elements wherever the chunks end, bad ones by themselves, broken files by place."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.sources import json_array
from connectors.sources.json_array import LONGEST_ELEMENT, read_json_array
from connectors.sources.raw import BadRow, RawBatch, SourceError, Wanted

KEYS = ["编号", "b"]
WANTED = Wanted(tuple((key,) for key in KEYS))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json") / "table.json"


def read(path: Path, content: bytes, batch_rows: int = 1000, keys: list[str] = KEYS) -> list[RawBatch]:
    path.write_bytes(content)
    return list(read_json_array(path, wanted=Wanted(tuple((key,) for key in keys)), batch_rows=batch_rows))


def rows_of(batches: list[RawBatch]) -> list[list[Any]]:
    return [list(row) for batch in batches for row in zip(*batch.columns, strict=True)]


def bad_of(batches: list[RawBatch]) -> list[BadRow]:
    return [bad for batch in batches for bad in batch.bad]


TEXT = st.text(
    st.one_of(st.sampled_from('"\\[]{},:丂𠮷\n\x7f\u2028'), st.characters(codec="utf-8")), max_size=6
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
ELEMENT = st.fixed_dictionaries({}, optional={"编号": VALUE, "b": VALUE}) | VALUE


@given(
    elements=st.lists(ELEMENT, max_size=5),
    chunk=st.integers(1, 9),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
    bom=st.booleans(),
    batch_rows=st.integers(1, 3),
)
@example([1.5e300, -1, True, None, "𠮷"], 1, False, None, True, 1)
def test_any_array_comes_back_wherever_the_chunks_end(
    path: Path,
    elements: list[Any],
    chunk: int,
    ascii_only: bool,
    indent: int | None,
    bom: bool,
    batch_rows: int,
) -> None:
    text = json.dumps(elements, ensure_ascii=ascii_only, indent=indent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_array, "CHUNK_BYTES", chunk)
        batches = read(path, text.encode("utf-8-sig" if bom else "utf-8"), batch_rows)
    good = {
        number: [element.get(key) for key in KEYS]
        for number, element in enumerate(elements, 1)
        if isinstance(element, dict) and element.keys() <= set(KEYS)
    }
    assert dict(zip([n for batch in batches for n in batch.origins], rows_of(batches), strict=True)) == good
    raw = {n: r for batch in batches for n, r in zip(batch.origins, batch.raw, strict=True)}
    raw |= {bad.origin_row: bad.raw for bad in bad_of(batches)}
    assert [json.loads(raw[number]) for number in sorted(raw)] == elements
    assert all(original.decode() in text for original in raw.values()), "as it stood in the file"


DEEP = b'{"b":' + b"[" * 50_000 + b'"]"' + b"]" * 50_000 + b"}"
BAD_ELEMENTS: dict[str, tuple[bytes, str]] = {
    "text": ('"见附件"'.encode(), "not-an-object"),
    "number": (b"-1.5e3", "not-an-object"),
    "null": (b"null", "not-an-object"),
    "array": (b'[{"b": "x"}]', "not-an-object"),
    "unknown member": (b'{"b": "x", "c": "y"}', "unknown-member"),
    "member twice": (b'{"b": "x", "b": "y"}', "duplicate-member"),
    "deep nesting": (DEEP, "nested-too-deeply"),
    "not UTF-8": (b'{"b": "\xd5\xc5"}', "undecodable-bytes"),
    "not UTF-8 in a name": (b'{"\xff": "x"}', "undecodable-bytes"),
}


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize("kind", BAD_ELEMENTS)
def test_a_bad_element_costs_only_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, chunk: int
) -> None:
    element, reason = BAD_ELEMENTS[kind]
    # A tiny chunk costs a look at the element each time: for the deep one, chunks that are merely smaller than it.
    monkeypatch.setattr(json_array, "CHUNK_BYTES", max(chunk, len(element) // 3))
    batches = read(path, b'[{"b": "before"}, ' + element + b', {"b": "behind"}]')
    assert rows_of(batches) == [[None, "before"], [None, "behind"]]
    assert batches[0].origins == [1, 3]
    assert bad_of(batches) == [BadRow(2, None, reason, element)]


def test_a_lone_surrogate_written_as_an_escape_is_left_to_the_checks(path: Path) -> None:
    assert rows_of(read(path, b'[{"b": "\\ud800"}]')) == [[None, "\ud800"]]


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "is not a JSON array"),
    "white space only": (b" \n", "is not a JSON array"),
    "an object": (b'{"rows": []}', "is not a JSON array"),
    "UTF-16": ("[]".encode("utf-16"), "is not a JSON array"),
    "JSON lines": (b'{"b": 1}\n{"b": 2}', "is not a JSON array"),
    "nothing behind the bracket": (b"[", "ends within element 1"),
    "nothing behind the comma": (b'[{"b": 1},', "ends within element 2"),
    "cut inside an element": (b'[{"b": 1}, {"b": "x', "breaks JSON at element 2"),
    "cut behind an element": (b'[{"b": 1}, {"b": 2}', "breaks JSON after element 2"),
    "a trailing comma": (b'[{"b": 1},]', "breaks JSON at element 2"),
    "no comma": (b'[{"b": 1} {"b": 2}]', "breaks JSON after element 1"),
    "a control character in a text": (b'[{"b": "x\ny"}]', "breaks JSON at element 1"),
    "a bad escape": (b'[{"b": "\\x"}]', "breaks JSON at element 1"),
    "not a number": (b'[{"b": NaN}]', "breaks JSON at element 1"),
    "not a number by itself": (b"[Infinity]", "breaks JSON at element 1"),
    "bytes between elements": (b'[{"b": 1}, \xff{"b": 2}]', "breaks JSON at element 2"),
    "deep without an end": (b"[" * 50_001, "breaks JSON at element 1"),
    "deep and cut inside a text": (b"[" * 50_001 + b'"' + b"]" * 50_001, "breaks JSON at element 1"),
    "a second array": (b"[] []", "goes on after its JSON array"),
    "an endless element": (b'["' + b"x" * (3 * LONGEST_ELEMENT) + b'"]', "breaks JSON at element 1"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_one_clear_error_with_its_place(path: Path, kind: str) -> None:
    content, message = BROKEN[kind]
    with pytest.raises(SourceError, match=rf"table\.json {message}"):
        read(path, content)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.json cannot be opened: No such file"):
        list(read_json_array(tmp_path / "nowhere.json", wanted=WANTED, batch_rows=1))


def test_batches_before_the_end_of_a_cut_file_have_been_given(path: Path) -> None:
    path.write_bytes(b'[{"b": "1"}, {"b": "2"}, {"b": "3')
    batches: Iterator[RawBatch] = read_json_array(path, wanted=WANTED, batch_rows=2)
    assert rows_of([next(batches)]) == [[None, "1"], [None, "2"]]
    with pytest.raises(SourceError, match="element 3"):
        next(batches)


@pytest.mark.parametrize("content", [b"[]", b" [ ] \n", b"\xef\xbb\xbf[]"])
def test_an_empty_array_has_no_batches(path: Path, content: bytes) -> None:
    assert read(path, content) == []


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Four times the file on one line: the same memory, which is far below the file's size."""
    element = json.dumps({"b": "x" * 5000}).encode()
    peaks = []
    for count in (2_000, 8_000):
        path = tmp_path / f"{count}.json"
        path.write_bytes(b"[" + b",".join([element] * count) + b"]")
        tracemalloc.start()
        assert (
            sum(len(batch.origins) for batch in read_json_array(path, wanted=WANTED, batch_rows=50)) == count
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2
    assert peaks[1] < 12 << 20 < path.stat().st_size
