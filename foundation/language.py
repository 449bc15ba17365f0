"""User-facing text: English message ids in the code, Chinese in a gettext catalogue, shown Chinese first."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from babel.messages.pofile import read_po


def _(message: str) -> str:
    """Mark a message id for the catalogue; it stays as it is until shown."""
    return message


@cache
def catalogue(language: str = "zh_CN") -> Mapping[str, str]:
    """Return English message id → text of the gettext catalogue `locale/<language>/LC_MESSAGES/zhengtong.po`."""
    path = resources.files("foundation") / "locale" / language / "LC_MESSAGES" / "zhengtong.po"
    with path.open("rb") as file:
        entries = read_po(file, locale=language)
    return {str(entry.id): str(entry.string) for entry in entries if entry.id and entry.string}


def chinese(message: str, /, **values: object) -> str:
    """Return the Chinese text of a message id, its `{names}` filled in; the English one if none is known."""
    return catalogue().get(message, message).format_map(values)


def english(message: str, /, **values: object) -> str:
    """Return the English text of a message id, its `{names}` filled in."""
    return message.format_map(values)


def both(message: str, /, **values: object) -> str:
    """Return Chinese first, English beside it: `未获授权 · Not granted`."""
    return f"{chinese(message, **values)} · {english(message, **values)}"
