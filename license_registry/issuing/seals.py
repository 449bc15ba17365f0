"""Whether the authority has the seals that a licence type asks for."""

from __future__ import annotations

from datetime import datetime

from foundation.language import _
from license_registry.catalog.types import LicenceType
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking
from license_registry.seals.states import BY_KIND
from license_registry.seals.tables import kinds_in_force


async def require_seals(registry: Registry, authority: str, type_: LicenceType, now: datetime) -> None:
    """Refuse to issue a type while the authority lacks a seal in force of a kind that it asks for.

    A seal of the registry itself is not looked for among those of the authority.

    Raises:
        SealLacking: it does, and the house asks for seals.
    """
    if registry.settings.required_seals == "not-yet":
        return
    wanted = {BY_KIND[each.by].value for each in type_.seals if each.required and each.by in BY_KIND}
    if not wanted:
        return
    lacking = wanted - await kinds_in_force(registry.pool, authority, wanted, now)
    if lacking:
        raise SealLacking(
            _("no seal in force of kind {kinds}"), pointer="/licence_type", kinds=", ".join(sorted(lacking))
        )
