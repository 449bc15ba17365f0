"""Whose seals belong on a licence: of its issuer, of who signs there, of the registry itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from license_registry.catalog.rules import Seal as Named
from license_registry.seals.states import SealKind

BY_REGISTRY: Final = "registry"
_KINDS: Final = {
    "issuer": SealKind.LEGAL_NAME,
    "signatory": SealKind.PERSONAL,
    BY_REGISTRY: SealKind.LEGAL_NAME,
}


@dataclass(frozen=True, slots=True)
class WantedSeal:
    """A seal that belongs on a licence.

    Args:
        authority: whose it is; None: the registry's own, and the house does not say who runs it.
        own: whether it is the registry's own, asked for as such.
    """

    authority: str | None
    kind: SealKind
    required: bool
    own: bool

    @property
    def told(self) -> str:
        """Kind by its code, for a message; that of the registry is marked."""
        return f"{BY_REGISTRY} {self.kind.value}" if self.own else self.kind.value


def wanted_seals(named: Sequence[Named], issuer: str, registry: str | None) -> tuple[WantedSeal, ...]:
    """Return the seals that a licence type names, in its order, each once.

    Args:
        issuer: of the licence. registry: who runs the registry; None: not told.
    """
    found: dict[tuple[str | None, SealKind], WantedSeal] = {}
    for each in named:
        own = each.by == BY_REGISTRY
        authority, kind = registry if own else issuer, _KINDS[each.by]
        before = found.get((authority, kind))
        required = each.required or (before is not None and before.required)
        found[authority, kind] = WantedSeal(authority, kind, required, own if before is None else before.own)
    return tuple(found.values())
