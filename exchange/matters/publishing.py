"""Publishing a matter: what it names must be there, and no matter may need itself by way of others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from exchange.catalog.resources import Catalogue
from exchange.matters import tables
from exchange.matters.matter import Claims, LicenceHeld, Matter, Query, leaves, read_matter
from foundation.errors import DomainError, NotFound
from foundation.language import _

LICENCE_RESOURCE = "licence."
"""What the id of a licence type begins with where it stands in the catalogue of resources."""

MOST_SHOWN = 20


class MatterLoop(DomainError):
    code = "matter-loop"


class MatterNotPublishable(DomainError):
    code = "matter-not-publishable"


def loop_through(code: str, needed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return a way from a matter through what it needs back to itself, the shortest there is, or None.

    Args:
        needed: code → codes of the matters whose outcome it needs.
    """
    came_from: dict[str, str] = {}
    waiting = [code]
    while waiting:
        following = []
        for at in waiting:
            for other in needed.get(at, ()):
                if other == code:
                    path = [code, at]
                    while path[-1] != code:
                        path.append(came_from[path[-1]])
                    return tuple(reversed(path))
                if other not in came_from:
                    came_from[other] = at
                    following.append(other)
        waiting = following
    return None


def require_known(matter: Matter, catalogue: Catalogue) -> None:
    """Hold the evidence of a matter against the catalogue.

    Raises:
        MatterNotPublishable: a resource, a field or a licence type that is not there, with its place.
    """
    for number, material in enumerate(matter.materials):
        pointer = f"/materials/{number}/evidence"
        for leaf in leaves(material.evidence):
            match leaf:
                case Claims(resource, _subject, claims):
                    fields = {
                        claim.get("field") if isinstance(claim, dict) and "is" in claim else name
                        for name, claim in claims.items()
                    }
                    _require_fields(catalogue, resource, {each for each in fields if each}, pointer)
                case Query(resource, _subject, names):
                    _require_fields(catalogue, resource, set(names), pointer)
                case LicenceHeld(type=licence_type):
                    _require_licence_type(catalogue, licence_type, pointer)


def _require_fields(catalogue: Catalogue, resource: str, fields: set[str], pointer: str) -> None:
    known = catalogue.get(resource)
    if known is None:
        raise MatterNotPublishable(_("the catalogue holds no {resource}"), pointer=pointer, resource=resource)
    for missing in sorted(fields.difference(known.fields)):
        raise MatterNotPublishable(
            _("{resource} has no field {field}"), pointer=pointer, resource=resource, field=missing[:60]
        )


def _require_licence_type(catalogue: Catalogue, licence_type: str, pointer: str) -> None:
    resource = LICENCE_RESOURCE + licence_type
    # Where the catalogue holds no licence types at all, they are looked after elsewhere.
    if resource not in catalogue and any(each.startswith(LICENCE_RESOURCE) for each in catalogue):
        raise MatterNotPublishable(_("the catalogue holds no {resource}"), pointer=pointer, resource=resource)


async def publish(
    pool: Any, catalogue: Catalogue, code: str, version: int, changed_by: str, now: datetime
) -> tables.Version:
    """Publish a draft in place of what was published before; publishing what is published already changes nothing.

    Raises:
        NotFound: there is no such version, or it is retired.
        MatterMalformed, MatterNotPublishable, MatterLoop: as they say; the last names the way round.
    """
    async with pool.acquire() as connection, connection.transaction():
        found = {each.version: each for each in await tables.versions(connection, code)}.get(version)
        if found is None or found.state == "retired":
            raise NotFound(_("no such draft"))
        if found.state == "published":
            return found
        matter = read_matter(found.document)
        require_known(matter, catalogue)
        needed = await tables.needs(connection)
        path = loop_through(code, {**needed, code: matter.needs_outcome_of})
        if path is not None:
            raise MatterLoop(
                _("matters would need each other in a circle: {path}"),
                pointer="/needs_outcome_of",
                path=" → ".join(path if len(path) <= MOST_SHOWN else (*path[:MOST_SHOWN], "…")),
            )
        await tables.publish(connection, code, version, changed_by, now)
        return tables.Version(code, version, "published", found.document, now, changed_by)
