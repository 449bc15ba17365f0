"""Whether holders are who the request says they are, by the city's registers."""

from __future__ import annotations

from collections.abc import Sequence

from foundation.errors import DomainError
from foundation.language import _
from foundation.text import bare
from license_registry.issuing.errors import HolderDiffers, HolderEnded, HolderUnknown
from license_registry.issuing.request import Holder, Prepared
from license_registry.linked_change.tables import merged
from license_registry.ports import KnownHolder, Registry


async def require_holders(registry: Registry, prepared: Prepared) -> None:
    """Refuse a request whose holders the registers contradict.

    Raises:
        HolderUnknown, HolderDiffers, HolderEnded: as they say, with the place.
    """
    (refusal,) = await refusals(registry, [prepared])
    if refusal is not None:
        raise refusal


async def refusals(registry: Registry, requests: Sequence[Prepared]) -> list[DomainError | None]:
    """Return in step what the registers have against the holders of each request; one question for each register."""
    wanted: dict[str, dict[bytes, None]] = {}
    for each in requests:
        subjects = wanted.setdefault(each.type.holder_code_type, {})
        subjects.update((holder.subject, None) for holder in each.holders)
    known: dict[tuple[str, bytes], KnownHolder | None] = {}
    for code_type, subjects in wanted.items():
        found = await registry.holders.find(code_type, list(subjects))
        known |= {(code_type, subject): who for subject, who in zip(subjects, found, strict=True)}
    everyone = [holder.subject for each in requests for holder in each.holders]
    gone = await merged(registry.pool, everyone)
    required = registry.settings.holder_register == "required"

    def first(each: Prepared) -> DomainError | None:
        for holder in each.holders:
            if holder.subject in gone:
                return HolderEnded(
                    _("the holder has been merged into another"), pointer=f"{holder.pointer}/holder_code"
                )
            refusal = _refusal(holder, known[each.type.holder_code_type, holder.subject], required=required)
            if refusal is not None:
                return refusal
        return None

    return [first(each) for each in requests]


def _refusal(holder: Holder, known: KnownHolder | None, *, required: bool) -> DomainError | None:
    place = f"{holder.pointer}/holder_code"
    if known is None:
        return HolderUnknown(_("no register has a holder of this code"), pointer=place) if required else None
    if known.standing == "dead":
        return HolderEnded(_("the holder is dead"), pointer=place)
    if known.standing == "ended":
        return HolderEnded(_("the holder is no longer in its register"), pointer=place)
    if bare(known.name) != bare(holder.name):
        return HolderDiffers(
            _("the register has another name for the holder"), pointer=f"{holder.pointer}/holder_name"
        )
    return None
