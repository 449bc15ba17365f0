"""An applicant shows a licence: chooses fields, gets a code that lives a minute and works once."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.sensitive import SealBroken
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.credentials import sd_jwt
from license_registry.linked_change.standing import require_standing
from license_registry.ports import Registry
from license_registry.store.objects import ObjectAltered
from license_registry.tables import Licence, Presentation

CODE_BYTES = 20
QR_PREFIX = "ZT1:"


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
    found = await tables.find(registry.pool, identifier)
    if found is None or found.presenter is None or found.presenter != caller.subject:
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
    registry: Registry,
    caller: Principal,
    identifier: str,
    disclose: Collection[str],
    purpose: str,
    matter: str,
    now: datetime,
) -> Presented:
    """Make a presentation of one's own licence with only the chosen fields, for one purpose and matter.

    Whatever state the licence is in: whoever verifies it sees that.

    Raises:
        NotFound: it is not the caller's. HolderEnded: its holder is dead, struck off or merged into another.
    """
    licence = await own_licence(registry, caller, identifier)
    await require_standing(registry, licence)
    shown = sd_jwt.select(await lead_copy(registry, licence), disclose)
    code = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()
    digest = code_digest(code)
    expires_at = now + timedelta(seconds=registry.settings.presentation_seconds)
    assert caller.subject is not None
    presentation = Presentation(
        code_digest=digest,
        identifier=identifier,
        presenter=caller.subject,
        purpose=purpose,
        matter=matter,
        sealed=registry.vault.seal(shown.encode("ascii"), digest),
        expires_at=expires_at,
        used_at=None,
    )
    event = happened(
        "presented", identifier, caller, now, fields=sorted(disclose), purpose=purpose, matter=matter
    )
    async with registry.pool.acquire() as connection:
        await tables.add_presentation(connection, presentation, event)
    return Presented(code, QR_PREFIX + code, expires_at)
