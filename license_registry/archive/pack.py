"""One package into the store, once: made, sealed, kept under its key, and noted; and read again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.hashes import SM3, Hash

from foundation.identity.principals import Principal
from foundation.language import _
from foundation.sensitive import SealBroken
from foundation.signing import Algorithm, CertificateAuthority
from license_registry.archive import tables
from license_registry.archive.tables import Archive
from license_registry.audit.event import happened
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.presenting.own_trust import own_keys, own_types
from license_registry.store.objects import ObjectAltered, ObjectExists, ObjectMissing
from license_registry.tables import add_event
from license_registry.verifying.archive import CERTIFICATES, JWKS, TRUST_BUNDLE, make_archive
from license_registry.verifying.bundle import make_bundle
from license_registry.verifying.trust import BUNDLE

BUNDLE_SECONDS = 3600
"""A bundle inside a package is opened as of the package's own date, so it need not live long."""


@dataclass(frozen=True, slots=True)
class ToPack:
    """What goes into a package.

    Args:
        key: under which it is kept, `archives/...`; the same key again is the same package.
        files: by their paths in it.
        facts: members of the manifest; JSON without fractions.
        identifiers: of licences to which the event belongs.
    """

    key: str
    matter: str
    case: str
    files: Mapping[str, bytes]
    facts: Mapping[str, Any]
    identifiers: Sequence[str] = ()


async def pack(registry: Registry, caller: Principal, wanted: ToPack, now: datetime) -> Archive:
    """Make a package and keep it for the caller's department; once for each key.

    1. Noted under this key: that package.
    2. Standing in the store under this key, since somebody died before step 4 or is as far as we are: that package.
       Nothing in the store is ever replaced.
    3. Add what it takes to verify it, sign the manifest, put the package into the store, sealed, retained as licences
       are. Dying after this leaves an object that step 2 finds.
    4. Note it and record it with its digest, in one transaction.

    Raises:
        ObjectAltered: what stands under the key was not put there by us. StoreFull, StoreUnavailable.
    """
    noted = await tables.find(registry.pool, wanted.key)
    if noted is not None:
        return noted
    try:
        data = await _stored(registry, wanted.key)
    except ObjectMissing:
        data = await asyncio.to_thread(_made, registry, wanted, now)
        sealed = registry.vault.seal(data, wanted.key.encode())
        try:
            await asyncio.to_thread(registry.store.put, wanted.key, sealed)
        except ObjectExists:
            data = await _stored(registry, wanted.key)
    new = Archive(
        wanted.key,
        caller.department,
        wanted.matter,
        wanted.case,
        hashlib.sha256(data).digest(),
        _sm3(data),
        len(data),
        now,
    )
    async with registry.pool.acquire() as connection, connection.transaction():
        if await tables.add(connection, new):
            for named in wanted.identifiers or (None,):
                event = happened(
                    "archived",
                    named,
                    caller,
                    now,
                    matter=wanted.matter,
                    case=wanted.case,
                    object_key=wanted.key,
                    sha256=new.sha256.hex(),
                )
                await add_event(connection, event)
        kept = await tables.find(connection, wanted.key)
    assert kept is not None
    return kept


async def fetch(registry: Registry, kept: Archive) -> bytes:
    """Return a package from the store.

    Raises:
        ObjectMissing, ObjectAltered: it is not what was put there. StoreUnavailable.
    """
    data = await _stored(registry, kept.object_key)
    if hashlib.sha256(data).digest() != kept.sha256:
        raise ObjectAltered(_("the stored package is not the one that was made"))
    return data


async def _stored(registry: Registry, key: str) -> bytes:
    sealed = await asyncio.to_thread(registry.store.get, key)
    try:
        return await asyncio.to_thread(registry.vault.open, sealed, key.encode())
    except SealBroken as error:
        raise ObjectAltered(_("the stored package is not the one that was made")) from error


def _made(registry: Registry, wanted: ToPack, now: datetime) -> bytes:
    certificates = CertificateAuthority(registry.keys)
    keys = own_keys(registry.keys, certificates)
    registry.keys.ensure_active(BUNDLE, Algorithm.ES256, now)
    signer = registry.keys.signer(BUNDLE)
    bundle = make_bundle(
        signer,
        certificates.chain_pem(signer.kid),
        registry.issuer,
        keys,
        own_types(registry.types),
        {},
        now=now,
        lives=BUNDLE_SECONDS,
    )
    jwks = {"keys": [{**key.public.to_jwk(), "kid": kid} for kid, key in keys.items()]}
    evidence = {
        CERTIFICATES: "".join(each.chain for each in keys.values() if each.chain is not None).encode("ascii"),
        JWKS: orjson.dumps(jwks, option=orjson.OPT_SORT_KEYS),
        TRUST_BUNDLE: bundle,
    }
    facts = {**wanted.facts, "iss": registry.issuer, "matter": wanted.matter, "case": wanted.case}
    return make_archive(registry.keys.signer(PURPOSE), {**wanted.files, **evidence}, facts, now)


def _sm3(data: bytes) -> bytes:
    digest = Hash(SM3())
    digest.update(data)
    return digest.finalize()
