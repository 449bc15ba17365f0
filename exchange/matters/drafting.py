"""Writing a description by hand: a department its own matters, the sharing authority any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from exchange.matters import tables
from exchange.matters.matter import MatterMalformed, read_matter
from foundation.errors import DomainError
from foundation.identifiers import contains_citizen_id
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.text import is_clean

_LINES = str.maketrans("\n\r\t", "   ")


class MatterVersionStands(DomainError):
    code = "matter-version-stands"


class MatterOfAnother(DomainError):
    code = "matter-of-another-department"


async def draft(
    pool: Any, document: Mapping[str, Any], code: str, version: int, caller: Principal, now: datetime
) -> tables.Version:
    """Store a description as a draft, or put it in place of the draft of that version; doing it again changes nothing.

    Raises:
        MatterMalformed: with the place; also where it names another code or version than asked for, or a citizen ID.
        MatterOfAnother: a department's system writes of a matter that is not its own.
        MatterVersionStands: that version is published or retired, or is not the one after the newest.
    """
    if (document.get("code"), document.get("version")) != (code, version):
        raise MatterMalformed(_("code and version are not those of the address"), pointer="/code")
    try:
        orjson.dumps(document)
    except TypeError as error:
        raise MatterMalformed(_("it holds what JSON here cannot carry"), pointer="") from error
    for pointer, text in _texts(document):
        if not is_clean(text.translate(_LINES)):
            raise MatterMalformed(_("control characters are not allowed"), pointer=pointer)
        if contains_citizen_id(text):
            raise MatterMalformed(_("a citizen ID does not belong into a description"), pointer=pointer)
    matter = read_matter(document)
    _require_own(caller, matter.department)
    async with pool.acquire() as connection, connection.transaction():
        newest = (await tables.newest(connection, [code])).get(code)
        if newest is not None:
            _require_own(caller, newest.document["department"])
        following = 1 if newest is None else newest.version + 1
        stands = newest is not None and newest.version == version and newest.state == "draft"
        if not stands and version != following:
            raise MatterVersionStands(
                _("write it as version {version}"), pointer="/version", version=following
            )
        same = stands and newest is not None and newest.document == document
        if not same and not await tables.put_draft(connection, document, caller.id, now):
            raise MatterVersionStands(_("somebody published this version"), pointer="/version")
    return tables.Version(code, version, "draft", dict(document), now, caller.id)


def _require_own(caller: Principal, department: str) -> None:
    if Role.SHARING_AUTHORITY not in caller.roles and caller.department != department:
        raise MatterOfAnother(_("the matter belongs to another department"), pointer="/department")


def _texts(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text with its place; a digest is none."""
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{pointer}/{number}")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield f"{pointer}", name
            if name != "digest":
                yield from _texts(each, f"{pointer}/{name}")
