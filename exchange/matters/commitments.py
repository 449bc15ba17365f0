"""Templates of commitments (告知承诺), read from `schemas/commitments` (data, not code)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs
import orjson

from exchange.matters.matter import Claims

PLACES = ("matter", "department", "material", "case", "date")
"""Names that may stand in braces in a text."""


@dataclass(frozen=True, slots=True)
class Template:
    """What an applicant may commit to in place of a paper.

    Args:
        text, text_en: with the names of PLACES in braces.
        public: the law says that signed commitments are made public, by `public_basis`.
        verify_after_days: working days after which it is verified; None: never.
        verified_by: the claims that are asked then; they refer to subjects and inputs of the matter.
    """

    id: str
    version: int
    title: str
    title_en: str
    text: str
    text_en: str
    legal_basis: str
    consequences: str
    consequences_en: str
    public: bool
    public_basis: str | None
    verify_after_days: int | None
    verified_by: Claims | None


@cache
def load_templates() -> Mapping[str, Template]:
    """Read all templates; one that does not fit its schema is refused with ValueError."""
    folder = resources.files("schemas") / "commitments"
    schema = orjson.loads((folder / "commitment.json").read_bytes())
    validator = jsonschema_rs.Draft202012Validator(schema)
    found = {}
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".json") and path.name != "commitment.json":
            document = orjson.loads(path.read_bytes())
            for error in validator.iter_errors(document):
                raise ValueError(f"{path.name}: {error.message}")
            template = _template(document)
            for text in (template.text, template.text_en):
                text.format_map(dict.fromkeys(PLACES, ""))
            found[template.id] = template
    return found


def _template(document: dict[str, Any]) -> Template:
    later = document.get("verification")
    return Template(
        id=document["id"],
        version=document["version"],
        title=document["title"],
        title_en=document["title_en"],
        text=document["text"],
        text_en=document["text_en"],
        legal_basis=document["legal_basis"],
        consequences=document["consequences"],
        consequences_en=document["consequences_en"],
        public=document["public"],
        public_basis=document.get("public_basis"),
        verify_after_days=None if later is None else later["after_working_days"],
        verified_by=None if later is None else Claims(later["resource"], later["subject"], later["claims"]),
    )


def text_digest(text: str, text_en: str, consequences: str, consequences_en: str) -> str:
    """Return SHA-256 over a commitment as it was shown: all four texts, each ended by a NUL."""
    shown = "".join(f"{each}\0" for each in (text, text_en, consequences, consequences_en))
    return hashlib.sha256(shown.encode()).hexdigest()
