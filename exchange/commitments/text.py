"""The text of a commitment, as it is shown and signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchange.matters.commitments import Template, text_digest
from exchange.matters.matter import Matter
from foundation.civil import civil_date


@dataclass(frozen=True, slots=True)
class Shown:
    """What a person reads before they sign; `sha256` (hex) is over all of it."""

    text: str
    text_en: str
    consequences: str
    consequences_en: str
    sha256: str


def shown(template: Template, matter: Matter, material: str, case: str, offered_at: datetime) -> Shown:
    """Fill in a template; the same offer always reads the same."""
    named = {each.id: each for each in matter.materials}
    places = {
        "matter": matter.title,
        "department": str(matter.document["department_name"]),
        "material": named[material].name,
        "case": case,
        "date": civil_date(offered_at).isoformat(),
    }
    text, text_en = template.text.format_map(places), template.text_en.format_map(places)
    digest = text_digest(text, text_en, template.consequences, template.consequences_en)
    return Shown(text, text_en, template.consequences, template.consequences_en, digest)


def masked_name(name: str) -> str:
    """Return a name as it is made public: the first character, and a star for all others."""
    return f"{name[:1]}*"
