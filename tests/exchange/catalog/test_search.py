"""Search of the catalogue: how people type, and in which order they find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from exchange.catalog.document import resource_of
from exchange.catalog.resource import Resource
from exchange.catalog.resources import load_catalogue
from exchange.catalog.search import Index
from license_registry.catalog.types import load_types
from tests.exchange.catalog.written import document
from zhengtong.licence_resources import licence_resources


@pytest.fixture(scope="module")
def catalogue() -> Mapping[str, Resource]:
    found = dict(load_catalogue())
    found |= {each.id: each for each in licence_resources(load_types())}
    found["housing-fund-accounts"] = resource_of(document())
    return found


@pytest.fixture(scope="module")
def index() -> Index:
    return Index()


def found(index: Index, catalogue: Mapping[str, Resource], query: str) -> list[str]:
    return [hit.resource.id for hit in index.search(catalogue, query)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("法人基础信息", "legal-entities-basic"),
        ("法人", "legal-entities-basic"),
        ("fr", "legal-entities-basic"),
        ("frjcxx", "legal-entities-basic"),
        ("FaRen", "legal-entities-basic"),
        ("jichu renkou", None),
        ("renkoujichu", "persons-basic"),
        ("公司", "legal-entities-basic"),
        ("户口", "persons-basic"),
        ("民政 结婚", "licence.marriage-certificate"),
        ("jhz", "licence.marriage-certificate"),
        ("驾照", "licence.driving-licence"),
        ("ＹＹＺＺ", "licence.business-licence"),
        ("business licence", "licence.business-licence"),
        ("社保卡", "licence.social-security-card"),
        ("housing", "housing-fund-accounts"),
        ("zhanghuzhuangtai", "housing-fund-accounts"),
        ("persons-basic", "persons-basic"),
        ("企业法人的基础信息库", "legal-entities-basic"),
        ("公积金 余额", "housing-fund-accounts"),
    ],
)
def test_what_people_type_finds_first(
    index: Index, catalogue: Mapping[str, Resource], query: str, first: str | None
) -> None:
    hits = found(index, catalogue, query)
    if first is None:
        assert "persons-basic" in hits
    else:
        assert hits[:1] == [first], hits


def test_a_title_goes_before_a_field_and_all_words_must_fit(
    index: Index, catalogue: Mapping[str, Resource]
) -> None:
    assert len(found(index, catalogue, "住址")) > 1
    entities = found(index, catalogue, "法定代表人")
    assert "legal-entities-basic" in entities
    assert found(index, catalogue, "法人 余额") == []
    scores = [hit.score for hit in index.search(catalogue, "证")]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("query", ["", "   ", "zzzzqq", "…", "🙂", "x" * 100, "[", "\\"])
def test_what_fits_nothing_finds_nothing(index: Index, catalogue: Mapping[str, Resource], query: str) -> None:
    assert found(index, catalogue, query) == []


def test_letters_in_the_middle_of_syllables_are_chance(
    index: Index, catalogue: Mapping[str, Resource]
) -> None:
    assert found(index, catalogue, "enkou") == []  # of renkou


def test_a_changed_resource_is_read_anew_and_a_missing_one_forgotten(
    index: Index, catalogue: Mapping[str, Resource]
) -> None:
    changed = {
        name: replace(each, title="自然人信息") if name == "persons-basic" else each
        for name, each in catalogue.items()
        if name != "legal-entities-basic"
    }
    assert found(index, changed, "自然人信息") == ["persons-basic"]
    assert "legal-entities-basic" not in found(index, changed, "法人")
    assert found(index, catalogue, "法人基础信息")[0] == "legal-entities-basic"
