"""Templates as data: laid over the shared layout, kept by version, refused with file and place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from license_registry.catalog.types import LicenceTypeBroken, load_types
from tests.license_registry.catalog.test_reading import TYPES, copied


def test_every_type_that_comes_along_has_a_layout_that_says_it_is_an_example() -> None:
    for found in TYPES.values():
        assert found.layout is not None, found.id
        assert found.layout.example
    assert len({found.layout.frame_colour for found in TYPES.values() if found.layout}) > 1


def test_a_version_may_keep_the_layout_of_an_earlier_one_or_have_its_own(tmp_path: Path) -> None:
    copied(tmp_path, version=2, vct="urn:zhengtong:licence:food-permit:2")
    third = copied(tmp_path, version=3, vct="urn:zhengtong:licence:food-permit:3", template="food-permit/3")
    (third / "template.json").write_text('{"colours": {"frame": "#123456"}, "fields": ["holder_name"]}')
    newest, second, first = load_types(tmp_path)["food-permit"].versions()
    assert newest.layout and second.layout and first.layout
    assert second.layout == first.layout
    assert (newest.layout.frame_colour, newest.layout.fields) == ("#123456", ("holder_name",))
    assert newest.layout.mark_colour == first.layout.mark_colour
    assert not newest.layout.example


def test_a_type_without_a_template_has_no_layout(tmp_path: Path) -> None:
    copied(tmp_path, version=2, vct="urn:zhengtong:licence:food-permit:2", template=None)
    assert load_types(tmp_path)["food-permit"].layout is None


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ({"colours": {"frame": "red"}}, "/colours/frame"),
        ({"paper": {"width": 10}}, "/paper/width"),
        ({"fields": ["no_such_field"]}, "/fields: no field no_such_field"),
        ({"colour": "#000000"}, "colour"),
        ({"colours": 3}, "/colours"),
    ],
)
def test_a_template_that_does_not_fit_is_refused_with_its_place(
    tmp_path: Path, own: dict[str, Any], place: str
) -> None:
    folder = copied(tmp_path, version=2, vct="urn:zhengtong:licence:food-permit:2", template="food-permit/2")
    (folder / "template.json").write_text(json.dumps(own))
    with pytest.raises(LicenceTypeBroken, match=r"food-permit/2/template\.json") as refused:
        load_types(tmp_path)
    assert place in str(refused.value)


def test_a_template_that_is_not_there_is_refused(tmp_path: Path) -> None:
    copied(tmp_path, version=2, vct="urn:zhengtong:licence:food-permit:2", template="nowhere/1")
    with pytest.raises(LicenceTypeBroken, match=r"no nowhere/1/template\.json"):
        load_types(tmp_path)
