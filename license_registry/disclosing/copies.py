"""A department's copy is a marked copy (加注件): it says for whom, for what, until when; it is no licence itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from foundation.identity.principals import Principal
from foundation.language import _
from foundation.sensitive import SealBroken
from foundation.signing import canonical_json, sign_compact
from license_registry import tables as licences
from license_registry.audit.event import happened, stated
from license_registry.disclosing import tables
from license_registry.disclosing.by_grant import Seen, see
from license_registry.disclosing.errors import LinkSpent
from license_registry.disclosing.tables import MarkedCopy
from license_registry.documents.drawing import Format
from license_registry.documents.keep import drawn, layout_of
from license_registry.documents.written import Attached, write_out
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.store.objects import ObjectAltered
from license_registry.verifying.copy import TYPE

LINK_LIVES: Final = timedelta(minutes=10)
LINK_BYTES: Final = 24
COPY_MEDIA_TYPE: Final = "application/jose"


@dataclass(frozen=True, slots=True)
class CopyMade:
    """The copy, and the link to fetch it once within ten minutes."""

    copy: MarkedCopy
    link: str
    link_expires_at: datetime


async def make_copy(
    registry: Registry,
    caller: Principal,
    identifier: str,
    matter: str,
    case: str,
    now: datetime,
    use_cause: str | None = None,
    form: Format | None = None,
) -> CopyMade:
    """Make a marked copy of a licence by the caller's grant.

    1. See the licence as the grant allows; that is recorded.
    2. Sign the fields with the mark: for whom, for what, until when the grant ends. Where a document is wanted, draw
       the same with the mark on every page and the signed copy inside.
    3. Put the copy into the store, sealed. Dying after this leaves an object that nothing names.
    4. Write copy, link and event, with the copy's own digest, in one transaction.

    Args:
        use_cause: as in `by_grant.see`; the mark says it too.
        form: of the document; None: the signed copy alone.

    Raises:
        as `by_grant.see`; TemplateLacking, CharacterLacking, NotDrawn, StoreFull, StoreUnavailable: nothing was made.
    """
    seen = await see(registry, caller, identifier, matter, case, now, use_cause)
    copy_id = uuid.uuid4()
    marked = {
        "JZJZZ": "加注件",
        "JZJZZZ": caller.department,
        "JZJZZSJ": now.isoformat(),
        "JZJZZSY": seen.grant.purpose,
        "JZJYXQJZSJ": seen.grant.valid_until.isoformat(),
        "matter": matter,
        "case": case,
        **stated(use_cause),
    }
    claims = {
        "iss": registry.issuer,
        "iat": int(now.timestamp()),
        "jti": str(copy_id),
        "exp": int(seen.grant.valid_until.timestamp()),
        "licence": dict(seen.verdict.fields),
        "state": seen.licence.state.value,
        "lead_copy_sha256": seen.licence.object_sha256.hex(),
        "marked": marked,
    }
    signed = sign_compact(registry.keys.signer(PURPOSE), canonical_json(claims), TYPE)
    data, key, media_type = signed.encode("ascii"), f"copies/{copy_id}.jws", COPY_MEDIA_TYPE
    if form is not None:
        data = await _drawn(registry, seen, form, signed, marked, now)
        key, media_type = f"copies/{copy_id}.{form.value}", form.media_type
    copy = MarkedCopy(
        copy_id,
        identifier,
        caller.department,
        seen.grant.purpose,
        matter,
        seen.grant.valid_until,
        key,
        hashlib.sha256(data).digest(),
        now,
        media_type,
    )
    await asyncio.to_thread(registry.store.put, key, registry.vault.seal(data, key.encode()))
    link = base64.urlsafe_b64encode(secrets.token_bytes(LINK_BYTES)).decode("ascii")
    expires_at = now + LINK_LIVES
    event = happened(
        "copy-made",
        identifier,
        caller,
        now,
        copy=str(copy_id),
        copy_sha256=copy.sha256.hex(),
        purpose=copy.purpose,
        matter=matter,
        case=case,
        until=copy.valid_until.isoformat(),
        **stated(use_cause),
    )
    async with registry.pool.acquire() as connection:
        await tables.add_copy(connection, copy, _digest(link), caller.id, expires_at, event)
    return CopyMade(copy, link, expires_at)


async def _drawn(
    registry: Registry, seen: Seen, form: Format, signed: str, marked: Mapping[str, str], now: datetime
) -> bytes:
    type_, template = layout_of(registry, seen.licence)
    fields = seen.verdict.fields
    written = write_out(
        seen.licence,
        type_,
        template,
        {name: value for name, value in fields.items() if name in type_.schema["properties"]},
        (Attached("marked-copy.jws", COPY_MEDIA_TYPE, "加注件 JWS", signed),),
        made_at=now,
        marked=marked,
    )
    return await drawn(registry, form, written, template)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A copy as it leaves."""

    data: bytes
    media_type: str


async def fetch_copy(registry: Registry, caller: Principal, link: str, now: datetime) -> Fetched:
    """Give a copy out by its link, once.

    Raises:
        LinkSpent: used, over, somebody else's, or none at all: all the same. ObjectMissing, ObjectAltered.
    """
    async with registry.pool.acquire() as connection, connection.transaction():
        copy = await tables.take_link(connection, _digest(link), caller.id, now)
        if copy is None:
            raise LinkSpent(_("a link works once, for ten minutes, for whom it was made"))
        # Within the transaction: where the store fails the link is not used up.
        sealed = await asyncio.to_thread(registry.store.get, copy.object_key)
        try:
            data = registry.vault.open(sealed, copy.object_key.encode())
        except SealBroken as error:
            raise ObjectAltered(_("the stored copy is not the one that was made")) from error
        if hashlib.sha256(data).digest() != copy.sha256:
            raise ObjectAltered(_("the stored copy is not the one that was made"))
        await licences.add_event(
            connection, happened("copy-fetched", copy.identifier, caller, now, copy=str(copy.id))
        )
    return Fetched(data, copy.media_type)


def _digest(link: str) -> bytes:
    return hashlib.sha256(link.encode()).digest()
