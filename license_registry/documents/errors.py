"""Why there is no document."""

from __future__ import annotations

from foundation.errors import DomainError


class TemplateLacking(DomainError):
    """The licence type has no template, so its licences have no document."""

    code = "document-template-lacking"


class CharacterLacking(DomainError):
    """A character of the licence is in none of the fonts; a document with a box in its place would be worse than none."""

    code = "document-character-lacking"


class NotDrawn(DomainError):
    """The process that draws documents ended before its work did."""

    code = "document-not-drawn"


class FormatUnknown(DomainError):
    """Documents are of other formats."""

    code = "document-format-unknown"
