"""An applicant, or an agent, shows licences: chooses fields, gets a code."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.sensitive import SealBroken
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import require_type
from license_registry.credentials import sd_jwt
from license_registry.identities import may_present, presentable_by
from license_registry.lifecycle.states import State
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.linked_change.standing import require_standing
from license_registry.ports import Registry
from license_registry.presenting import tables
from license_registry.presenting.delegation import licences_by
from license_registry.presenting.errors import CodeTooLarge, LicenceLacking
from license_registry.store.objects import ObjectAltered
from license_registry.tables import Event, Licence, Presentation
from license_registry.verifying.offline_code import OfflineCodeInvalid, make_code

CODE_BYTES = 20
QR_PREFIX = "ZT1:"
OFFLINE_ID_BYTES = 8
MOST_LICENCES = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A licence to show, and which of its fields."""

    identifier: str
    disclose: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a presentation is for: purpose (用证事由) and matter; by which delegation, where an agent acts."""

    purpose: str
    matter: str
    delegation: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """Code for the verifier, its text for a QR code, and until when it works."""

    code: str
    qr: str
    expires_at: datetime


def code_digest(code: str) -> bytes:
    """Return what stands for a code in the database: the code itself is known to its presenter only."""
    return hashlib.sha256(code.encode()).digest()


async def own_licence(registry: Registry, caller: Principal, identifier: str) -> Licence:
    """Return a licence that the caller may present, or raise NotFound as for one that does not exist."""
    found = await licences.find(registry.pool, identifier)
    assert caller.subject is not None
    if found is None or not await may_present(registry, found, caller.subject):
        raise NotFound(_("no such licence of yours"))
    return found


async def lead_copy(registry: Registry, licence: Licence) -> str:
    """Return the credential from the store, after comparing its digest.

    Raises:
        ObjectMissing, ObjectAltered: the store does not hold what was put into it.
    """
    sealed = await asyncio.to_thread(registry.store.get, licence.object_key)
    try:
        data = registry.vault.open(sealed, licence.object_key.encode())
    except SealBroken as error:
        raise ObjectAltered(_("the stored licence is not the one that was issued")) from error
    if hashlib.sha256(data).digest() != licence.object_sha256:
        raise ObjectAltered(_("the stored licence is not the one that was issued"))
    return data.decode("ascii")


async def present(
    registry: Registry, caller: Principal, wanted: Sequence[Wanted], occasion: Occasion, now: datetime
) -> Presented:
    """Make a code that shows only the chosen fields of one or several licences, once.

    Whatever state a licence is in: whoever verifies it sees that.

    Raises:
        NotFound: not the caller's to present. DelegationInvalid: the delegation does not allow it.
        HolderEnded: a holder is dead, struck off or merged into another.
        CredentialInvalid: a field that cannot be disclosed. ObjectMissing, ObjectAltered: as they say.
    """
    holder, chosen = await _chosen(registry, caller, wanted, occasion, now)
    code = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()
    digest = code_digest(code)
    expires_at = now + timedelta(seconds=registry.settings.presentation_seconds)
    sealed = [registry.vault.seal(text.encode("ascii"), digest) for _licence, text in chosen]
    first, *further = [licence for licence, _text in chosen]
    presentation = Presentation(
        code_digest=digest,
        identifier=first.identifier,
        presenter=holder,
        purpose=occasion.purpose,
        matter=occasion.matter,
        sealed=sealed[0],
        expires_at=expires_at,
        used_at=None,
        further=len(further),
        agent=None if occasion.delegation is None else caller.subject,
        delegation=occasion.delegation,
    )
    events = _events("presented", caller, wanted, holder, occasion, now)
    parts = [(licence.identifier, text) for licence, text in zip(further, sealed[1:], strict=True)]
    async with registry.pool.acquire() as connection:
        await tables.add_presentation(connection, presentation, parts, events)
    return Presented(code, QR_PREFIX + code, expires_at)


async def present_offline(
    registry: Registry, caller: Principal, wanted: Wanted, occasion: Occasion, now: datetime
) -> Presented:
    """Make a signed code that shows the chosen fields where there is no network, until it expires.

    Raises:
        as `present`; CodeTooLarge: more than a QR code holds.
    """
    holder, chosen = await _chosen(registry, caller, [wanted], occasion, now)
    ((_licence, text),) = chosen
    lives = registry.settings.offline_code_seconds
    presented = {"purpose": occasion.purpose, "matter": occasion.matter}
    if occasion.delegation is not None:
        presented["delegation"] = str(occasion.delegation)
    try:
        code = make_code(
            registry.keys.signer(PURPOSE),
            secrets.token_bytes(OFFLINE_ID_BYTES),
            sd_jwt.verify(text, registry.keys.verification_keys(PURPOSE)),
            presented,
            now=int(now.timestamp()),
            lives=lives,
        )
    except OfflineCodeInvalid as error:
        raise CodeTooLarge(error.message, pointer="/disclose") from error
    events = _events("presented-offline", caller, [wanted], holder, occasion, now)
    async with registry.pool.acquire() as connection, connection.transaction():
        for event in events:
            await licences.add_event(connection, event)
    return Presented(code, code, now + timedelta(seconds=lives))


async def for_matter(
    registry: Registry, caller: Principal, asked: Sequence[tuple[str, tuple[str, ...]]]
) -> list[Wanted]:
    """Return the caller's licences that a matter asks for (一码): for each (type, fields) the newest in force.

    Raises:
        LicenceTypeUnknown, LicenceLacking: naming the type by its place.
    """
    assert caller.subject is not None
    own = await presentable_by(registry, caller.subject)
    found = []
    for place, (type_id, fields) in enumerate(asked):
        codes = require_type(registry.types, type_id).type_codes
        fitting = [one for one in own if one.type_code in codes and one.state is State.VALID]
        if not fitting:
            raise LicenceLacking(
                _("you have no licence of the type {type} in force"), pointer=f"/asked/{place}", type=type_id
            )
        found.append(Wanted(fitting[0].identifier, fields))
    return found


async def _chosen(
    registry: Registry, caller: Principal, wanted: Sequence[Wanted], occasion: Occasion, now: datetime
) -> tuple[bytes, list[tuple[Licence, str]]]:
    """Return whose licences they are, and each with the text that shows what is wanted of it."""
    identifiers = [each.identifier for each in wanted]
    if occasion.delegation is None:
        assert caller.subject is not None
        holder = caller.subject
        named = [await own_licence(registry, caller, identifier) for identifier in identifiers]
    else:
        holder, named = await licences_by(
            registry, caller, occasion.delegation, identifiers, occasion.matter, now
        )
    for licence in named:
        await require_standing(registry, licence)
    return holder, [
        (licence, sd_jwt.select(await lead_copy(registry, licence), each.disclose))
        for licence, each in zip(named, wanted, strict=True)
    ]


def _events(
    kind: str,
    caller: Principal,
    wanted: Sequence[Wanted],
    holder: bytes,
    occasion: Occasion,
    now: datetime,
) -> list[Event]:
    acting = {}
    if occasion.delegation is not None:
        assert caller.subject is not None
        acting = {
            "delegation": str(occasion.delegation),
            "holder": holder.hex(),
            "agent": caller.subject.hex(),
        }
    return [
        happened(
            kind,
            each.identifier,
            caller,
            now,
            fields=sorted(each.disclose),
            purpose=occasion.purpose,
            matter=occasion.matter,
            **acting,
        )
        for each in wanted
    ]
