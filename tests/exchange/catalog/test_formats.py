"""The catalogue as DCAT and as a workbook: exact round trips, what others read in it, and bad input."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import openpyxl
import orjson
import pytest
import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.catalog.document import Document, complete
from exchange.catalog.formats.bring_in import Format, read
from exchange.catalog.formats.dcat import to_json_ld
from exchange.catalog.formats.workbook import FIELDS, RESOURCES, CatalogueFileUnreadable, to_workbook
from exchange.catalog.resources import read_seeds
from tests.exchange.catalog.written import POLICE, document

TEXT = st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="\ufffe\uffff"),
    min_size=1,
    max_size=20,
).filter(lambda text: text == text.strip() and any(not c.isspace() for c in text))
NAME = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
ID = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True).filter(
    lambda name: not name.startswith("licence.")
)
MAYBE = st.none() | TEXT


@st.composite
def documents(draw: st.DrawFn) -> Document:
    fields = [
        {
            "name": name,
            "title": draw(TEXT),
            "title_en": draw(TEXT),
            "type": draw(st.sampled_from(["text", "date", "number", "boolean", "code", "list"])),
            "sensitivity": draw(st.sampled_from(["public", "internal", "sensitive"])),
            "masking": draw(st.sampled_from(["name", "identifier", "date", "address", "hidden"])),
            "lead_source": draw(ID),
            "owner": draw(TEXT),
        }
        for name in draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    ]
    return complete(
        {
            "id": draw(ID),
            "version": draw(st.integers(1, 1000)),
            "title": draw(TEXT),
            "title_en": draw(TEXT),
            "description": draw(MAYBE),
            "subject_kind": draw(st.sampled_from(["citizen-id", "uscc", "licence"])),
            "owner": draw(TEXT),
            "department": POLICE,
            "sharing_class": draw(st.sampled_from(["unconditional", "conditional", "not-shared"])),
            "legal_basis": draw(MAYBE),
            "conditions": draw(MAYBE),
            "theme": draw(MAYBE),
            "freshness": draw(st.sampled_from([None, "P1D", "P1W", "P3D", "PT1H", "P1Y", "P1DT12H"])),
            "lead_source": draw(ID),
            "synonyms": draw(st.lists(TEXT, max_size=3, unique=True)),
            "live": draw(st.booleans()),
            "notice": draw(MAYBE),
            "fields": fields,
        }
    )


@settings(max_examples=40)
@given(st.lists(documents(), max_size=3, unique_by=lambda each: each["id"]))
def test_dcat_comes_back_member_by_member(written: list[Document]) -> None:
    content = orjson.dumps(to_json_ld(written))
    back = read(content, Format.JSON_LD, None, every=True)
    assert (back.bad, back.skipped) == ([], [])
    # On the way in a document has no version yet.
    assert [each.document for each in back.read] == [{**each, "version": 1} for each in written]


@settings(max_examples=40)
@given(documents())
def test_a_workbook_comes_back_member_by_member(written: Document) -> None:
    # A cell holds synonyms with marks between them, and a workbook sets no language or numbers apart from text.
    texts = {**written, "synonyms": [each for each in written["synonyms"] if not set(";；") & set(each)]}
    back = read(to_workbook([texts]), Format.WORKBOOK, None, every=True)
    assert back.bad == []
    assert [each.document for each in back.read] == [{**texts, "version": 1}]


def test_others_read_the_datasets_as_dcat() -> None:
    graph = rdflib.Graph()
    graph.parse(data=orjson.dumps(to_json_ld(read_seeds())).decode(), format="json-ld")
    dcat, dct = rdflib.Namespace("http://www.w3.org/ns/dcat#"), rdflib.Namespace("http://purl.org/dc/terms/")
    datasets = set(graph.subjects(rdflib.RDF.type, dcat.Dataset))
    assert len(datasets) == len(read_seeds())
    persons = rdflib.URIRef("urn:zhengtong:resource:persons-basic")
    assert persons in set(graph.objects(rdflib.URIRef("urn:zhengtong:catalogue"), dcat.dataset))
    assert rdflib.Literal("人口基础信息", lang="zh") in set(graph.objects(persons, dct.title))
    assert rdflib.Literal("Basic facts of persons", lang="en") in set(graph.objects(persons, dct.title))
    daily = "http://publications.europa.eu/resource/authority/frequency/DAILY"
    assert list(graph.objects(persons, dct.accrualPeriodicity)) == [rdflib.URIRef(daily)]
    rights = "http://publications.europa.eu/resource/authority/access-right/RESTRICTED"
    assert list(graph.objects(persons, dct.accessRights)) == [rdflib.URIRef(rights)]
    (publisher,) = graph.objects(persons, dct.publisher)
    assert rdflib.Literal(POLICE) in set(graph.objects(publisher, dct.identifier))
    (fields,) = graph.objects(persons, rdflib.URIRef("urn:zhengtong:catalogue:fields"))
    assert len(list(graph.items(fields))) == 8


def changed(change: Callable[[Any], None]) -> bytes:
    node = to_json_ld([document(), document("other", title="其他")])
    change(node)
    return orjson.dumps(node)


@pytest.mark.parametrize(
    ("change", "place", "reason"),
    [
        (lambda n: n["dcat:dataset"][1].pop("dct:title"), "/dcat:dataset/1/title", "resource-malformed"),
        (
            lambda n: n["dcat:dataset"][1].update({"@type": "dcat:DataService"}),
            "/dcat:dataset/1",
            "not-a-dataset",
        ),
        (lambda n: n["dcat:dataset"].__setitem__(1, 7), "/dcat:dataset/1", "not-a-dataset"),
        (
            lambda n: n["dcat:dataset"][1].update(
                {"dct:accrualPeriodicity": "http://publications.europa.eu/resource/authority/frequency/IRREG"}
            ),
            "/dcat:dataset/1/freshness",
            "resource-malformed",
        ),
        (
            lambda n: n["dcat:dataset"][1]["zt:fields"][0].update({"zt:type": "blob"}),
            "/dcat:dataset/1/fields/0/type",
            "resource-malformed",
        ),
        (
            lambda n: n["dcat:dataset"][1].update({"dct:publisher": "somebody"}),
            "/dcat:dataset/1/owner",
            "resource-malformed",
        ),
        (
            lambda n: n["dcat:dataset"][1].update({"zt:fields": 3}),
            "/dcat:dataset/1/fields/0",
            "resource-malformed",
        ),
        (lambda n: n["dcat:dataset"][1].update({"dct:identifier": "housing-fund-accounts"}), "", "repeated"),
    ],
)
def test_a_bad_dataset_is_told_and_the_others_are_taken(
    change: Callable[[Any], None], place: str, reason: str
) -> None:
    found = read(changed(change), Format.JSON_LD, POLICE, every=False)
    assert [each.document["id"] for each in found.read] == ["housing-fund-accounts"]
    assert [(each.row, each.field, each.reason) for each in found.bad] == [(2, place, reason)]


def test_what_is_no_catalogue_at_all_is_refused_or_told() -> None:
    with pytest.raises(CatalogueFileUnreadable):
        read(b"{", Format.JSON_LD, POLICE, every=False)
    for content in (b"3", b"{}", b'{"@graph": "x"}'):
        assert [each.reason for each in read(content, Format.JSON_LD, POLICE, every=False).bad] == [
            "no-datasets"
        ]
    for content in (
        b"",
        b"PK\x03\x04",
        b"hello",
        workbook_of({"Sheet": [["a"]]}),
        workbook_of({RESOURCES: [["资源代码"]]}),
    ):
        with pytest.raises(CatalogueFileUnreadable):
            read(content, Format.WORKBOOK, POLICE, every=False)


def test_a_workbook_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchange.catalog.formats.workbook.LARGEST_UNPACKED", 8 << 20)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file, file.open("xl/a.xml", "w") as member:
        for _ in range(9):
            member.write(bytes(1 << 20))
    with pytest.raises(CatalogueFileUnreadable, match="unpacks"):
        read(packed.getvalue(), Format.WORKBOOK, POLICE, every=False)


def workbook_of(sheets: dict[str, list[list[Any]]]) -> bytes:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, rows in sheets.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


HEAD = ["资源代码", "资源名称", "提供部门", "共享类型", "共享条件", "主体类型", "数源"]
FIELD_HEAD = ["资源代码", "信息项代码", "信息项名称", "数据类型"]
GOOD = ["hukou", "户口信息", "示范市公安局", "有条件共享", "办理事项", "自然人", "population"]


def test_a_workbook_as_departments_keep_it_is_read_and_each_bad_row_told() -> None:
    content = workbook_of(
        {
            RESOURCES: [
                HEAD,
                GOOD,
                [],
                ["", "没有代码", *GOOD[2:]],
                ["marriage", "婚姻信息", "示范市民政局", "随便共享", "", "自然人", "civil-affairs"],
                [*GOOD[:1], "又一次", *GOOD[2:]],
                ["graves", "殡葬信息", "示范市民政局", "无条件共享", "", "自然人", "Civil Affairs"],
                ["pupils", "学籍信息", "示范市教育局", "无条件共享", "", "自然人", "education"],
            ],
            FIELDS: [
                FIELD_HEAD,
                ["hukou", "household_number", "户号", "文本"],
                ["hukou", "moved_in_on", "迁入日期", "日期"],
                ["nobody", "a", "甲", "文本"],
                ["marriage", "state", "婚姻状况", "代码"],
                ["graves", "site", "墓位", "文本"],
                ["pupils", "school", "学校", "字符"],
            ],
        }
    )
    found = read(content, Format.WORKBOOK, POLICE, every=False)
    (taken,) = found.read
    assert taken.document["id"] == "hukou"
    assert [(each["name"], each["type"]) for each in taken.document["fields"]] == [
        ("household_number", "text"),
        ("moved_in_on", "date"),
    ]
    assert taken.document["department"] == POLICE
    assert sorted((each.sheet, each.row, each.field, each.reason) for each in found.bad) == sorted(
        [
            (RESOURCES, 4, "资源代码", "missing"),
            (RESOURCES, 5, "共享类型", "unknown-word"),
            (RESOURCES, 6, "资源代码", "repeated"),
            (RESOURCES, 7, "数源", "resource-malformed"),
            (RESOURCES, 8, "", "row-of-it-bad"),
            (FIELDS, 4, "资源代码", "no-resource"),
            (FIELDS, 7, "数据类型", "unknown-word"),
        ]
    )


def test_a_cell_that_looks_like_a_formula_stays_text() -> None:
    content = to_workbook([document(title="=1+1", description='=HYPERLINK("https://a.example")')])
    sheet = openpyxl.load_workbook(io.BytesIO(content))[RESOURCES]
    assert [(cell.value, cell.data_type) for cell in sheet[2][1:2]] == [("=1+1", "s")]
    (back,) = read(content, Format.WORKBOOK, None, every=True).read
    assert back.document["title"] == "=1+1"


def test_entries_of_another_department_are_bad_and_licence_types_skipped() -> None:
    node = to_json_ld([document(department="11990100MC0000039Q")])
    node["dcat:dataset"].append({"@type": "dcat:Dataset", "dct:identifier": "licence.business-licence"})
    found = read(orjson.dumps(node), Format.JSON_LD, POLICE, every=False)
    assert [(each.row, each.reason) for each in found.bad] == [(1, "resource-of-another")]
    assert found.skipped == ["licence.business-licence"]
    assert len(read(orjson.dumps(node), Format.JSON_LD, POLICE, every=True).read) == 1


WORKBOOK = to_workbook([document(), document("other")])


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(WORKBOOK) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_workbook_is_read_or_refused_and_nothing_else(damage: list[tuple[int, int]]) -> None:
    content = bytearray(WORKBOOK)
    for place, byte in damage:
        content[place] = byte
    with contextlib.suppress(CatalogueFileUnreadable):
        read(bytes(content), Format.WORKBOOK, POLICE, every=True)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in below:
        yield (*path, name)
        yield from places(each, (*path, name))


DCAT = orjson.dumps(to_json_ld([document(), document("other")]))
ODD = [None, 1, True, 1.5, "x", "\x00", [], {}, [1], {"@value": 3}, {"@language": 7, "@value": []}]


@settings(max_examples=150)
@given(st.sampled_from(list(places(orjson.loads(DCAT)))), st.sampled_from(ODD))
def test_whatever_stands_in_a_dataset_it_is_read_or_told(place: tuple[Any, ...], value: Any) -> None:
    node = orjson.loads(DCAT)
    at = node
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    found = read(orjson.dumps(node), Format.JSON_LD, POLICE, every=True)
    assert all(each.reason and each.field is not None for each in found.bad)
