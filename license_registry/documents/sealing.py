"""The seals of the issuing authority on an OFD of its licence."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence, Set
from datetime import datetime

from foundation.identity.principals import Principal
from license_registry.catalog.types import LicenceType
from license_registry.documents.ofd import package, sealing
from license_registry.issuing.seals import require_found
from license_registry.ports import Registry
from license_registry.seals import tables as seals
from license_registry.seals.checks import sm3
from license_registry.seals.errors import SealNotInForce
from license_registry.seals.register import algorithm_of, put_on
from license_registry.seals.structures import SIGNATURE_OIDS, read_seal
from license_registry.seals.tables import Registered
from license_registry.seals.wanted import WantedSeal, wanted_seals
from license_registry.tables import Licence


async def sealed(
    registry: Registry,
    caller: Principal,
    licence: Licence,
    type_: LicenceType,
    drawn: bytes,
    now: datetime,
    *,
    all_required: bool = False,
) -> tuple[bytes, tuple[uuid.UUID, ...]]:
    """Put on a drawn OFD what the type names of the authority's seals; also return the ids of those that were put.

    The authority has issued the licence, whose words these are, and the registry keeps it; so whoever asks for the
    document, it is sealed for both, as far as the type says. Each stamp is recorded like any other, with the licence. A
    seal that is lacking or no longer holds is left out: without any the document stays as it was drawn.

    Raises:
        SealLacking: all that the type requires are asked for, and one is lacking.
    """
    refused: set[uuid.UUID] = set()
    while True:
        wanted = wanted_seals(type_.seals, licence.issuer, registry.settings.registry_authority)
        found = await _chosen(registry, wanted, refused, now)
        chosen = list(found.values())
        if all_required:
            require_found(wanted, found)
        if not chosen:
            return drawn, ()
        done = await _put(registry, caller, licence, chosen, drawn, refused, now)
        if done is not None:
            return done, tuple(each.id for each in chosen)


async def _chosen(
    registry: Registry, wanted: Sequence[WantedSeal], refused: Set[uuid.UUID], now: datetime
) -> dict[WantedSeal, Registered]:
    """Return the seals to put, one for each that is wanted and there, in the same order."""
    chosen: dict[WantedSeal, Registered] = {}
    for each in wanted:
        if each.authority is not None:
            there = await seals.in_force(registry.pool, each.authority, each.kind.value, now)
            latest = next((seal for seal in there if seal.id not in refused), None)
            if latest is not None:
                chosen[each] = latest
    return chosen


async def _put(
    registry: Registry,
    caller: Principal,
    licence: Licence,
    chosen: Sequence[Registered],
    drawn: bytes,
    refused: set[uuid.UUID],
    now: datetime,
) -> bytes | None:
    """Return the sealed package; None, with the seal among the refused, if one is not in force after all."""
    read = [read_seal(each.der) for each in chosen]
    files = await asyncio.to_thread(package.unpacked, drawn)
    places = sealing.places(files, tuple(each.content for each in read))
    files = sealing.named(files, len(chosen))
    for number, (each, seal, place) in enumerate(zip(chosen, read, places, strict=True)):
        last = number == len(chosen) - 1
        signed = sealing.to_sign(
            files, number, seal.der, SIGNATURE_OIDS[algorithm_of(seal)], place, now, last=last
        )
        try:
            stamp = await put_on(
                registry, caller, each, licence.identifier, sm3(signed.xml), signed.path, now
            )
        except SealNotInForce:
            # Its key was replaced, say, or it was suspended in this moment: the same as if there were none.
            refused.add(each.id)
            return None
        files |= signed.files(stamp.der)
    return await asyncio.to_thread(package.packed, files)
