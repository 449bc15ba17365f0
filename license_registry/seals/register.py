"""Making seals and keeping them: told in order."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from base64 import b64encode
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from foundation.civil import civil_date, day_begins
from foundation.errors import NotFound
from foundation.identity.principals import Principal, Role
from foundation.language import _
from foundation.signing import Algorithm, canonical_json
from foundation.signing.revocation import revocation_lists
from license_registry.audit.event import happened
from license_registry.documents import due
from license_registry.ports import Registry
from license_registry.seals import tables
from license_registry.seals.certificates import read_certificate
from license_registry.seals.checks import check_seal, check_stamp
from license_registry.seals.errors import (
    SealIdTaken,
    SealLacking,
    SealNotInForce,
    SealNotYours,
    SealValidityInvalid,
)
from license_registry.seals.keys import certified, maker_of, purpose_of
from license_registry.seals.make import make_seal, put_seal
from license_registry.seals.pictures import MILLIMETRES, drawn, given
from license_registry.seals.revocation import read_revocation_list
from license_registry.seals.states import SealKind, SealOperation, SealState, state_after
from license_registry.seals.structures import VERSION, Seal, SealContent, Stamp, read_seal
from license_registry.seals.tables import Registered
from license_registry.seals.time_stamping import time_stamped, time_stamping
from license_registry.tables import add_event

VENDOR = "ZHENGTONG"


@dataclass(frozen=True, slots=True)
class SealWanted:
    """A seal that is to be made.

    Args:
        id: chosen by who asks, so that asking again makes no second seal.
        authority: unified code of whose seal it is.
        picture: PNG; None: a plain one is drawn. Width and height in millimetres.
        valid_from: first day; None: today.
        valid_until: last day; None: as long as the certificates last.
    """

    id: uuid.UUID
    authority: str
    kind: SealKind
    name: str
    valid_from: date | None
    valid_until: date | None
    picture: bytes | None = field(default=None, repr=False)
    width: int = MILLIMETRES
    height: int = MILLIMETRES

    @property
    def digest(self) -> bytes:
        """Digest of all of it, SHA-256."""
        told = {
            "id": str(self.id),
            "authority": self.authority,
            "kind": self.kind.value,
            "name": self.name,
            "valid_from": None if self.valid_from is None else self.valid_from.isoformat(),
            "valid_until": None if self.valid_until is None else self.valid_until.isoformat(),
            "picture": None if self.picture is None else b64encode(self.picture).decode("ascii"),
            "width": self.width,
            "height": self.height,
        }
        return hashlib.sha256(canonical_json(told)).digest()


async def register(
    registry: Registry, caller: Principal, wanted: SealWanted, now: datetime
) -> tuple[Registered, bool]:
    """Make a seal and keep it; also tell whether this request made it.

    1. Check whose seal it is. Look for one of this id: of an equal request → give it back; of another → refuse.
    2. Take the keys of the maker and of the authority, with their certificates; the first time they are made. Dying
       after this leaves keys that the next try takes.
    3. Make the seal, and check it as anybody would.
    4. Write seal and event in one transaction. If another request was first, go to 1.

    Raises:
        SealNotYours, SealIdTaken, SealPictureUnreadable, SealValidityInvalid: nothing was made.
        CertificateUnavailable, ChainBroken: the house's own root has expired or is damaged.
    """
    require_own(caller, wanted.authority)
    while True:
        found = await tables.find(registry.pool, wanted.id)
        if found is not None:
            if found.request_digest != wanted.digest:
                raise SealIdTaken(_("another seal has this id"), pointer="/id")
            return found, False
        made = await asyncio.to_thread(_make, registry, wanted, now)
        async with registry.pool.acquire() as connection, connection.transaction():
            if await tables.add(connection, made):
                await add_event(
                    connection,
                    happened(
                        "seal-made",
                        None,
                        caller,
                        now,
                        seal=str(made.id),
                        authority=made.authority,
                        seal_kind=made.kind.value,
                        sha256=hashlib.sha256(made.der).hexdigest(),
                    ),
                )
                return made, True


async def change(
    registry: Registry,
    caller: Principal,
    seal_id: uuid.UUID,
    operation: SealOperation,
    reason: str | None,
    now: datetime,
) -> Registered:
    """Put a seal into use, suspend or end it; from here on, in every process, what is signed is held against that.

    Raises:
        NotFound, SealNotYours, SealChangeNotAllowed: nothing was changed.
    """
    async with registry.pool.acquire() as connection, connection.transaction():
        found = await tables.find(connection, seal_id, for_change=True)
        if found is None:
            raise NotFound(_("no such seal"))
        require_own(caller, found.authority)
        after = state_after(found.state, operation)
        changed = replace(found, state=after, state_reason=reason, state_since=now)
        await tables.set_state(connection, changed)
        if after is SealState.IN_USE:
            # Documents that waited for a seal of the authority need wait no longer; for the registry's own, any.
            begins = max(now, found.valid_from)
            issuer = None if found.authority == registry.settings.registry_authority else found.authority
            await due.resume(connection, begins, problem=SealLacking.code, issuer=issuer)
        await add_event(
            connection,
            happened(
                "seal-changed",
                None,
                caller,
                now,
                seal=str(seal_id),
                authority=found.authority,
                state_before=found.state.value,
                state_after=after.value,
                reason=reason,
            ),
        )
    return changed


async def stamp(
    registry: Registry, caller: Principal, seal_id: uuid.UUID, digest: bytes, place: str, now: datetime
) -> Stamp:
    """Put an authority's seal on data, given by their SM3 digest; the act is recorded before the stamp leaves.

    Raises:
        NotFound, SealNotYours, SealNotInForce, TimeStampUnavailable: nothing was signed that leaves.
    """
    found = await tables.find(registry.pool, seal_id)
    if found is None:
        raise NotFound(_("no such seal"))
    if found.authority != caller.department:
        raise SealNotYours(_("another authority holds this seal"))
    return await put_on(registry, caller, found, None, digest, place, now)


async def put_on(
    registry: Registry,
    caller: Principal,
    found: Registered,
    licence: str | None,
    digest: bytes,
    place: str,
    now: datetime,
) -> Stamp:
    """Put a seal on data for whoever may have that done, which is the caller's to know; recorded before it leaves.

    Args:
        licence: whose document the data are; None: anything else.

    Raises:
        SealNotInForce, TimeStampUnavailable: nothing was signed that leaves.
    """
    if found.state is not SealState.IN_USE or not found.valid_from <= now <= found.valid_until:
        raise SealNotInForce(_("the seal is not in force"))
    made = await asyncio.to_thread(_put, registry, found, digest, place, now)
    stamping = await asyncio.to_thread(time_stamping, registry.settings)
    if stamping is not None:
        made = await time_stamped(made, stamping)
    async with registry.pool.acquire() as connection, connection.transaction():
        still = await tables.find(connection, found.id, for_change=True)
        if still is None or still.state is not SealState.IN_USE:
            raise SealNotInForce(_("the seal is not in force"))
        await add_event(
            connection,
            happened(
                "seal-put",
                licence,
                caller,
                now,
                seal=str(found.id),
                authority=found.authority,
                sm3=digest.hex(),
                place=place,
            ),
        )
    return made


def algorithm_of(seal: Seal) -> Algorithm:
    """Return by what the holder of a seal signs; of a seal that was made here."""
    key = read_certificate(seal.content.certificates[0]).key
    assert key is not None, "seals of the registry are made for keys that it has"
    return key.algorithm


def require_own(caller: Principal, authority: str) -> None:
    """Raise SealNotYours unless the caller may make and change seals of this authority."""
    if Role.OPERATOR not in caller.roles and caller.department != authority:
        raise SealNotYours(_("another authority holds this seal"))


def _make(registry: Registry, wanted: SealWanted, now: datetime) -> Registered:
    picture = drawn() if wanted.picture is None else given(wanted.picture, wanted.width, wanted.height)
    algorithm = Algorithm(registry.settings.seal_algorithm)
    maker, root = certified(registry.keys, maker_of(algorithm), now, algorithm)
    purpose = purpose_of(wanted.authority, wanted.kind, algorithm)
    sealer, _root = certified(registry.keys, purpose, now, algorithm)
    last = min(read_certificate(each.certificate).valid_until for each in (maker, sealer))
    begin = day_begins(wanted.valid_from or civil_date(now)).astimezone(UTC)
    end = last
    if wanted.valid_until is not None:
        end = day_begins(wanted.valid_until).astimezone(UTC) + timedelta(days=1, seconds=-1)
    if not begin < end:
        raise SealValidityInvalid(_("the seal would end before it begins"), pointer="/valid_until")
    if end > last:
        raise SealValidityInvalid(
            _("its certificates end on {day}, and so does a seal"), pointer="/valid_until", day=last.date()
        )
    content = SealContent(
        version=VERSION,
        vendor=VENDOR,
        id=wanted.id.hex,
        kind=int(wanted.kind),
        name=wanted.name,
        certificates=(sealer.certificate,),
        digests=(),
        created_at=now,
        valid_from=begin,
        valid_until=end,
        picture=picture,
    )
    made = make_seal(content, maker)
    checked = check_seal(made, (root,), max(now, begin))
    if not checked.good:
        raise SealValidityInvalid(_("the seal would not hold"), pointer="/valid_from")
    return Registered(
        id=wanted.id,
        authority=wanted.authority,
        kind=wanted.kind,
        name=wanted.name,
        state=SealState.MADE,
        state_reason=None,
        state_since=now,
        valid_from=begin,
        valid_until=end,
        made_at=now,
        kid=sealer.signer.kid,
        request_digest=wanted.digest,
        der=made.der,
    )


def _put(registry: Registry, found: Registered, digest: bytes, place: str, now: datetime) -> Stamp:
    seal = read_seal(found.der)
    algorithm = algorithm_of(seal)
    purpose = purpose_of(found.authority, found.kind, algorithm)
    sealer, root = certified(registry.keys, purpose, now, algorithm)
    if sealer.signer.kid != found.kid:
        raise SealNotInForce(_("the key of the seal was replaced: a new seal is due"))
    made = put_seal(seal, sealer, digest, place, now)
    # The key of an earlier root may have certified the maker; then this seal holds no more for who trusts today's.
    # Or others may have it: where any key was revoked, it is asked whether it was one of these two.
    lists = None
    if registry.keys.revoked():
        lists = [read_revocation_list(each) for each in revocation_lists(registry.keys, now)]
    if not check_stamp(made, (root,), (root,), now, digest, lists).good:
        raise SealNotInForce(_("the seal does not hold any more: a new seal is due"))
    return made
