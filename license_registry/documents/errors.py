"""Why there is no document."""

from __future__ import annotations

from foundation.errors import DomainError
from foundation.language import _


class TemplateLacking(DomainError):
    """The licence type has no template, so its licences have no document."""

    code = "document-template-lacking"


class CharacterLacking(DomainError):
    """A character of the licence is in none of the fonts; a box in its place would be worse than no document."""

    code = "document-character-lacking"


class NotDrawn(DomainError):
    """The process that draws documents ended before its work did."""

    code = "document-not-drawn"


class FormatUnknown(DomainError):
    """Documents are of other formats."""

    code = "document-format-unknown"


def character_lacking(field: str, plane: int) -> CharacterLacking:
    """Return the refusal of a licence: which field, and of which plane of Unicode the character is, not which."""
    return CharacterLacking(
        _(
            "no font has a character of {field}, of plane {plane} of Unicode: put one that has it, such as Debian's"
            " fonts-hanazono, into the folder fonts of the data folder"
        ),
        field=field,
        plane=plane,
    )
