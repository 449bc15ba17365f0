"""Publishing a matter: what it names must be there, and no matter may need itself by way of others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from exchange.catalog.document import LICENCE_PREFIX
from exchange.catalog.resource import Catalogue, FieldUnknown, Resource, ResourceUnknown
from exchange.matters import tables
from exchange.matters.matter import Claims, Leaf, LicenceHeld, Matter, Query, leaves, read_matter
from exchange.queries.claims import ClaimMalformed, read_claims
from foundation.errors import DomainError, NotFound
from foundation.identifiers import Uscc
from foundation.language import _

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
    """Hold the evidence of a matter against the catalogue, so that every question of its plans can be asked.

    Raises:
        MatterNotPublishable: a resource, a field or a licence type that is not there, or a claim that can never be
            compared, with the place of its material.
    """
    for number, material in enumerate(matter.materials):
        for leaf in leaves(material.evidence):
            try:
                _require_askable(matter, leaf, catalogue)
            except (ResourceUnknown, FieldUnknown, ClaimMalformed) as refusal:
                raise MatterNotPublishable(
                    refusal.message, pointer=f"/materials/{number}/evidence", **refusal.values
                ) from refusal


def _require_askable(matter: Matter, leaf: Leaf, catalogue: Catalogue) -> None:
    match leaf:
        case Claims(resource, role, claims):
            known = _about(matter, role, _resource(catalogue, resource))
            read_claims({name: _filled(matter, claim) for name, claim in claims.items()}, known)
        case Query(resource, role, names):
            _about(matter, role, _resource(catalogue, resource)).require_fields(frozenset(names), "")
        case LicenceHeld(licence_type, role):
            _about(matter, role, _resource(catalogue, LICENCE_PREFIX + licence_type))


def _resource(catalogue: Catalogue, name: str) -> Resource:
    known = catalogue.get(name)
    if known is None:
        raise ResourceUnknown(_("the catalogue holds no {resource}"), resource=name)
    return known


def _about(matter: Matter, role: str, resource: Resource) -> Resource:
    if matter.subjects[role] != resource.subject_kind:
        raise ResourceUnknown(
            _("{resource} is about another kind of subject than {role}"), resource=resource.id, role=role
        )
    return resource


def _filled(matter: Matter, claim: Any) -> Any:
    """Put something of its kind in place of what a case will bring."""
    if not isinstance(claim, dict):
        return claim
    if "is" not in claim:
        return _SAMPLES[matter.inputs[claim["input"]]["type"]]
    value = claim.get("value")
    if not isinstance(value, dict):
        return claim
    if "input" in value:
        return claim | {"value": _SAMPLES[matter.inputs[value["input"]]["type"]]}
    return claim | {"value": _SAMPLE_SUBJECTS[matter.subjects[value["subject"]]]}


_SAMPLE_SUBJECTS = {
    "uscc": str(Uscc.compute("11100000000000000")),
    "citizen-id": "0" * 17 + "X",
    "licence": "a:1",
}
_SAMPLES: Mapping[str, str | int | bool] = {
    "text": _SAMPLE_SUBJECTS["uscc"],  # fits wherever any text does, an identifier's place included
    "date": "2000-01-01",
    "integer": 1,
    "boolean": True,
    "division": "110000",
}


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
