"""The document of a licence: drawn at issue or when it is first asked for, kept, and from then on the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.hashes import SM3, Hash

from foundation.identity.principals import Principal
from foundation.language import _
from foundation.sensitive import SealBroken
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import LicenceType, type_of
from license_registry.credentials import sd_jwt
from license_registry.documents import tables
from license_registry.documents.drawing import Format, draw
from license_registry.documents.errors import TemplateLacking
from license_registry.documents.sealing import sealed
from license_registry.documents.tables import Document
from license_registry.documents.template import Template
from license_registry.documents.written import Attached, Written, write_out
from license_registry.issuing.seals import require_in_force
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.presenting.present import lead_copy
from license_registry.store.objects import ObjectAltered
from license_registry.tables import Licence


@dataclass(frozen=True, slots=True)
class Given:
    """A document as it leaves."""

    document: Document
    data: bytes


async def give(registry: Registry, caller: Principal, licence: Licence, form: Format, now: datetime) -> Given:
    """Give the document of a licence to somebody who may see all of it; whether they may is the caller's to know.

    It is kept if it is not yet, read from the store, compared with its digest; who was given it is recorded before it
    leaves.

    Raises:
        TemplateLacking, CharacterLacking, NotDrawn, CredentialInvalid, ObjectMissing, ObjectAltered, StoreFull,
        StoreUnavailable: nothing is given.
    """
    kept = await keep(registry, caller, licence, form, now)
    data = await _read(registry, kept)
    event = happened(
        "document-given", licence.identifier, caller, now, format=form.value, sha256=kept.sha256.hex()
    )
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
    return Given(kept, data)


async def keep(
    registry: Registry,
    caller: Principal,
    licence: Licence,
    form: Format,
    now: datetime,
    *,
    with_seals: bool = False,
) -> Document:
    """Return the document of a licence that is kept; if there is none, draw it.

    1. One that is kept is the document for good.
    2. None yet: read the credential, draw what it says. Equal bytes whoever draws, since every date in it is the
       licence's own. Put the authority's seals on an OFD; dying after this leaves records of stamps that nobody has.
    3. Put it into the store, sealed, under a key of its own. Dying after this leaves an object that nothing names.
    4. Write its row, with digests, and its event in one transaction, in which it also ceases to be due. If another was
       first, that one's document counts: take the object back. Either way go to 1.

    Args:
        with_seals: an OFD is drawn only if the authority has all seals that the type says must be on it.

    Raises:
        SealLacking: it has not, and they are asked for.
        TemplateLacking, CharacterLacking, NotDrawn, CredentialInvalid, ObjectMissing, ObjectAltered, StoreFull,
        StoreUnavailable: there is none.
    """
    type_, template = layout_of(registry, licence)
    while True:
        kept = await tables.find(registry.pool, licence.identifier, form)
        if kept is not None:
            return kept
        if with_seals:
            await require_in_force(registry, licence.issuer, type_, now)
        written = await _written(registry, licence, type_, template)
        data = await drawn(registry, form, written, template)
        seals: tuple[uuid.UUID, ...] = ()
        if form is Format.OFD:
            data, seals = await sealed(registry, caller, licence, type_, data, now, all_required=with_seals)
        # Whether this one or another's is kept: what counts is what the row names, so go and look.
        await _keep(registry, caller, licence, form, data, seals, now)


def layout_of(registry: Registry, licence: Licence) -> tuple[LicenceType, Template]:
    """Return the version of the type that a licence was issued under, with its template, or raise TemplateLacking."""
    type_ = type_of(registry.types, licence.type_code, licence.type_version)
    if type_.layout is None:
        raise TemplateLacking(_("licences of this type have no document"))
    return type_, type_.layout


async def drawn(registry: Registry, form: Format, written: Written, template: Template) -> bytes:
    """Draw a document beside the service; in a thread where there is none.

    Raises:
        CharacterLacking, NotDrawn: as they say.
    """
    if registry.drawing is not None:
        return await registry.drawing.draw(form, written, template)
    return await asyncio.to_thread(draw, registry.settings.fonts_folder, form, written, template)


async def _written(registry: Registry, licence: Licence, type_: LicenceType, template: Template) -> Written:
    text = await lead_copy(registry, licence)
    credential = sd_jwt.verify(text, registry.keys.verification_keys(PURPOSE))
    fields = {**credential.claims, **credential.disclosed}
    return write_out(
        licence,
        type_,
        template,
        {name: value for name, value in fields.items() if name in type_.schema["properties"]},
        (Attached("credential.sdjwt", "application/dc+sd-jwt", "电子凭证 SD-JWT VC", text),),
        made_at=datetime.fromtimestamp(int(credential.claims["iat"]), UTC),
    )


async def _keep(
    registry: Registry,
    caller: Principal,
    licence: Licence,
    form: Format,
    data: bytes,
    seals: tuple[uuid.UUID, ...],
    now: datetime,
) -> None:
    key = f"documents/{uuid.uuid4()}.{form.value}"
    sm3 = Hash(SM3())
    sm3.update(data)
    new = Document(
        licence.identifier, form.value, key, hashlib.sha256(data).digest(), sm3.finalize(), len(data), now
    )
    await asyncio.to_thread(registry.store.put, key, registry.vault.seal(data, key.encode()))
    event = happened(
        "document-made",
        licence.identifier,
        caller,
        now,
        format=form.value,
        document_sha256=new.sha256.hex(),
        document_sm3=new.sm3.hex(),
        lead_copy_sha256=licence.object_sha256.hex(),
        seals=[str(each) for each in seals],
    )
    async with registry.pool.acquire() as connection:
        first = await tables.add(connection, new, event)
    if not first:
        await asyncio.to_thread(registry.store.delete, key)


async def _read(registry: Registry, kept: Document) -> bytes:
    sealed = await asyncio.to_thread(registry.store.get, kept.object_key)
    try:
        data = registry.vault.open(sealed, kept.object_key.encode())
    except SealBroken as error:
        raise ObjectAltered(_("the stored document is not the one that was drawn")) from error
    if hashlib.sha256(data).digest() != kept.sha256:
        raise ObjectAltered(_("the stored document is not the one that was drawn"))
    return data
