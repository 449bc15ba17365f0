"""The seals of the issuing authority on an OFD of its licence."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence, Set
from datetime import datetime

from foundation.identity.principals import Principal
from license_registry.catalog.types import LicenceType
from license_registry.documents.ofd import package, sealing
from license_registry.issuing.seals import require_kinds
from license_registry.ports import Registry
from license_registry.seals import tables as seals
from license_registry.seals.certificates import read_certificate
from license_registry.seals.checks import sm3
from license_registry.seals.errors import SealNotInForce
from license_registry.seals.register import put_on
from license_registry.seals.states import BY_KIND
from license_registry.seals.structures import SIGNATURE_OIDS, Seal, read_seal
from license_registry.seals.tables import Registered
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

    The authority has issued the licence, whose words these are; so whoever asks for the document, it is sealed for the
    authority. Each stamp is recorded like any other, with the licence. A seal that is lacking or no longer holds is
    left out: without any the document stays as it was drawn.

    Raises:
        SealLacking: all that the type requires are asked for, and one is lacking.
    """
    refused: set[uuid.UUID] = set()
    while True:
        chosen = await _chosen(registry, licence, type_, refused, now)
        if all_required:
            require_kinds(type_, {each.kind for each in chosen})
        if not chosen:
            return drawn, ()
        done = await _put(registry, caller, licence, chosen, drawn, refused, now)
        if done is not None:
            return done, tuple(each.id for each in chosen)


async def _chosen(
    registry: Registry, licence: Licence, type_: LicenceType, refused: Set[uuid.UUID], now: datetime
) -> list[Registered]:
    """Return the seals to put, one for each kind that the type names, in its order."""
    chosen = []
    for kind in dict.fromkeys(BY_KIND[each.by] for each in type_.seals if each.by in BY_KIND):
        found = await seals.in_force(registry.pool, licence.issuer, kind.value, now)
        chosen += [each for each in found if each.id not in refused][:1]
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
        signed = sealing.to_sign(files, number, seal.der, _method(seal), place, now, last=last)
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


def _method(seal: Seal) -> str:
    """Return the OID by which the holder of a seal signs."""
    key = read_certificate(seal.content.certificates[0]).key
    assert key is not None, "seals of the registry are made for keys that it has"
    return SIGNATURE_OIDS[key.algorithm]
