"""What becomes of licences, for the subscriptions of the exchange."""

from __future__ import annotations

from exchange.catalog.document import LICENCE_PREFIX
from exchange.ports import LicenceChange
from exchange.subscriptions.kinds import licence_kind
from license_registry.audit import following
from license_registry.audit.following import Befallen
from license_registry.lifecycle.states import Operation
from license_registry.ports import Registry


class FollowedLicences:
    """Events of the registry of licences, in the order of the log."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def head(self) -> int:
        """Return how far the licences can be followed now."""
        return await following.head(self._registry)

    async def between(
        self, position: int, upto: int, resources: frozenset[str], *, identified: bool
    ) -> list[LicenceChange]:
        """Return what became of licences above a position up to another.

        A new version is told as a change of the licence, once: the end of the old one is not told beside it.

        Raises:
            SealBroken: a licence's fields were altered.
        """
        types = {
            code: f"{LICENCE_PREFIX}{type_.id}"
            for type_ in self._registry.types.values()
            for code in type_.type_codes
            if f"{LICENCE_PREFIX}{type_.id}" in resources
        }
        found = await following.between(self._registry, position, upto, types, identified=identified)
        return [
            LicenceChange(types[each.type_code], _kind(each), each.holders, each.division, each.happened_at)
            for each in found
            if not following.is_end_of_version(each)
        ]


def _kind(befallen: Befallen) -> str:
    if befallen.operation is Operation.ISSUE:
        return "licence-changed" if befallen.replaces else "licence-issued"
    return "licence-changed" if befallen.state is None else licence_kind(befallen.state.value)
