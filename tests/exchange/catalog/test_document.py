"""Documents of resources: what is filled in, what is refused and where, and what counts as taking something away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from exchange.catalog.changes import applies_from, compare, duration, same
from exchange.catalog.document import ResourceMalformed, complete, document_of, resource_of
from exchange.catalog.resource import (
    Masking,
    ReadsFrom,
    ResourceNotConnected,
    ResourceNotShared,
    require_resource,
)
from exchange.catalog.resources import load_catalogue, read_seeds
from exchange.catalog.sample import sample
from license_registry.catalog.types import load_types
from tests.exchange.catalog.written import POLICE, document, written
from zhengtong.licence_resources import METADATA, licence_resources

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def test_a_field_that_is_its_name_alone_is_filled_in_from_its_register() -> None:
    found = document(register="persons", fields=["citizen_id", "birth_date", "address", "sex"])
    assert {each["name"]: (each["title"], each["type"], each["masking"]) for each in found["fields"]} == {
        "citizen_id": ("公民身份号码", "text", "identifier"),
        "birth_date": ("出生日期", "date", "date"),
        "address": ("住址", "text", "address"),
        "sex": ("性别", "code", "none"),
    }
    assert {each["lead_source"] for each in found["fields"]} == {"housing-fund"}


def test_a_complete_document_is_as_it_was_when_completed_again_and_through_a_resource() -> None:
    for each in (*read_seeds(), document(), document(live=True)):
        assert complete(each) == each
        assert document_of(resource_of(each)) == each


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"title": ""}, "/title"),
        ({"title": "a\u0007b"}, "/title"),
        ({"colour": "red"}, "/colour"),
        ({"owner": None}, "/owner"),
        ({"sharing_class": "secret"}, "/sharing_class"),
        ({"fields": []}, "/fields"),
        ({"fields": ["a"], "register": None}, "/fields/0/title"),
        ({"fields": [{"name": "a", "title": "甲"}, {"name": "a", "title": "乙"}]}, "/fields"),
        ({"fields": [{"name": "A", "title": "甲"}]}, "/fields/0/name"),
        ({"register": "persons", "fields": ["colour"]}, "/fields/0/name"),
        ({"register": "legal_entities", "fields": ["name"]}, "/subject_kind"),
        ({"register": "persons", "fields": ["name"], "live": True}, "/live"),
        (
            {"register": "persons", "fields": [{"name": "name", "sensitivity": "public"}]},
            "/fields/0/sensitivity",
        ),
        ({"register": "persons", "fields": [{"name": "name", "masking": "none"}]}, "/fields/0/masking"),
        ({"freshness": "P"}, "/freshness"),
        ({"freshness": "PT"}, "/freshness"),
        ({"freshness": "1 day"}, "/freshness"),
        ({"live": "https://a.example/"}, "/live"),
        ({"description": "如 11010519491231002X 等"}, "/description"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(changes: dict[str, Any], pointer: str) -> None:
    body = {"id": "x", "version": 1, "department": POLICE, **written(), **changes}
    with pytest.raises(ResourceMalformed) as refused:
        complete({name: value for name, value in body.items() if name != "owner" or value is not None})
    assert refused.value.pointer == pointer
    assert "11010519491231002X" not in str(refused.value)


def test_where_values_stand_follows_from_the_document() -> None:
    assert resource_of(document(register="persons", fields=["name"])).reads_from == ReadsFrom.REGISTER
    assert resource_of(document(live=True)).reads_from == ReadsFrom.LIVE
    nowhere = resource_of(document())
    assert (nowhere.reads_from, nowhere.register.table) == (ReadsFrom.NOWHERE, "")
    with pytest.raises(ResourceNotConnected):
        require_resource({nowhere.id: nowhere}, nowhere.id)
    secret = resource_of(document(sharing_class="not-shared", legal_basis="某法第一条"))
    with pytest.raises(ResourceNotShared, match="某法第一条"):
        require_resource({secret.id: secret}, secret.id)


FIELDS = written()["fields"]


@pytest.mark.parametrize(
    ("changes", "narrowed"),
    [
        ({"fields": FIELDS[:1]}, [("field-removed", "balance")]),
        ({"fields": [*FIELDS, {"name": "a", "title": "甲"}]}, []),
        ({"fields": [{**FIELDS[0], "type": "text"}, FIELDS[1]]}, [("type-changed", "account_state")]),
        ({"fields": [{**FIELDS[0], "masking": "hidden"}, FIELDS[1]]}, [("masking-changed", "account_state")]),
        ({"fields": [FIELDS[0], {**FIELDS[1], "masking": "address"}]}, []),
        ({"sharing_class": "not-shared"}, [("sharing-class-changed", None)]),
        ({"sharing_class": "unconditional"}, []),
        ({"subject_kind": "uscc"}, [("subject_kind-changed", None)]),
        ({"freshness": "P1W"}, [("freshness-changed", None)]),
        ({"freshness": None}, [("freshness-changed", None)]),
        ({"freshness": "PT1H"}, []),
        ({"title": "新名"}, []),
    ],
)
def test_what_takes_something_away_narrows(
    changes: dict[str, Any], narrowed: list[tuple[str, str | None]]
) -> None:
    found = compare(document(), document(version=2, **changes))
    assert [(each["what"], each.get("field")) for each in found.narrowed] == narrowed
    notice = timedelta(days=30)
    assert applies_from(found, NOW, notice, None) == (NOW + notice if narrowed else NOW)
    later = NOW + timedelta(days=90)
    assert applies_from(found, NOW, notice, later) == later
    assert not same(document(), document(**changes))


def test_version_and_notice_alone_are_no_change() -> None:
    assert same(document(), document(version=7, notice="无"))
    assert compare(document(), document(version=7, notice="无")).narrowed == ()


@pytest.mark.parametrize(
    ("text", "hours"),
    [("PT30M", 0.5), ("PT12H", 12), ("P1D", 24), ("P1W", 168), ("P1M", 744), ("P1DT12H", 36)],
)
def test_durations(text: str, hours: float) -> None:
    assert duration(text) == timedelta(hours=hours)


def test_samples_are_invented_and_fit_the_schema_each_time_the_same() -> None:
    everything = [*load_catalogue().values(), *licence_resources(load_types()), resource_of(document())]
    assert len(everything) > 12
    for resource in everything:
        made = sample(resource)
        assert made == sample(resource)
        for record in made:
            assert tuple(record) == resource.fields
            for name, value in record.items():
                jsonschema.validate(
                    value,
                    resource.register.schema["properties"][name],
                    format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
                )


def test_licence_types_are_resources_of_their_holder_with_all_fields() -> None:
    types = load_types()
    found = {each.id: each for each in licence_resources(types)}
    assert set(found) == {f"licence.{name}" for name in types}
    marriage = found["licence.marriage-certificate"]
    assert marriage.subject_kind == "citizen-id"
    assert set(marriage.fields) == {*METADATA, *types["marriage-certificate"].schema["properties"]}
    assert all(
        each.masking != Masking.NONE for each in marriage.details.values() if each.sensitivity == "sensitive"
    )
    assert require_resource(found, marriage.id) is marriage
