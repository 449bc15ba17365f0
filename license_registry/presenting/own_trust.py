"""The trust of the registry itself: its keys with what each is for, its types, its status lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from foundation.settings import Settings
from foundation.signing import (
    CA_PURPOSE,
    SM2_CA_PURPOSE,
    Algorithm,
    CertificateAuthority,
    CertificateUnavailable,
    KeyStore,
    PublicKey,
    Sm2CertificateAuthority,
)
from foundation.signing.chain import load_roots
from foundation.signing.revocation import revocation_lists
from license_registry import tables
from license_registry.catalog.licence_type import LicenceTypes
from license_registry.credentials.status_list import LIST_ENTRIES
from license_registry.lifecycle.status_lists import StatusLists
from license_registry.ports import Registry
from license_registry.seals.revocation import read_revocation_list
from license_registry.verifying.trust import (
    ANSWER,
    CREDENTIAL,
    LOG,
    Trust,
    TrustedKey,
    TrustedType,
    certify,
)

PURPOSES = (CREDENTIAL, ANSWER, LOG)

_kept: WeakKeyDictionary[KeyStore, tuple[object, Trust]] = WeakKeyDictionary()


def own_keys(keys: KeyStore, certificates: CertificateAuthority | None = None) -> dict[str, TrustedKey]:
    """Return the registry's keys for credentials, answers and the log, revoked ones marked, with their certificates."""
    revoked = keys.revoked()
    found = {}
    for record in keys.records():
        if record.purpose not in PURPOSES:
            continue
        public, moment = _public(keys, record.kid, revoked)
        chain = None if certificates is None else _chain(certificates, record.kid)
        found[record.kid] = TrustedKey(public, record.purpose, chain, moment)
    return found


def current_trust(registry: Registry, now: datetime) -> Trust:
    """Return what the registry itself trusts today, its certificates judged; made anew when its keys change."""
    edition = (registry.keys.edition, now.date(), id(registry.types))
    kept = _kept.get(registry.keys)
    if kept is None or kept[0] != edition:
        certificates = CertificateAuthority(registry.keys)
        roots = load_roots(root_pem(registry.keys, certificates, now).encode("ascii"))
        keys = {kid: certify(key, roots, now) for kid, key in own_keys(registry.keys, certificates).items()}
        types = {each.vct: each for each in own_types(registry.types)}
        kept = (edition, Trust(keys, types, roots=roots))
        _kept[registry.keys] = kept
    return kept[1]


def own_types(types: LicenceTypes) -> list[TrustedType]:
    """Return all versions of all types."""
    return [
        TrustedType(each.vct, each.type_code, each.version, each.name, each.name_en, each.issuers)
        for newest in types.values()
        for each in newest.versions()
    ]


async def own_status_lists(pool: Any, lists: StatusLists) -> dict[str, str]:
    """Return all status lists of this moment by their address."""
    highest = await tables.highest_status_index(pool)
    numbers = range(0 if highest is None else highest // LIST_ENTRIES + 1)
    return {lists.uri(number): await lists.token(number) for number in numbers}


def own_further(trust: Trust, keys: KeyStore, settings: Settings, now: datetime) -> Trust:
    """Return the trust with the house's own revocation lists of this moment, and its roots of time stamps."""
    lists = tuple(read_revocation_list(each) for each in revocation_lists(keys, now))
    stamping = time_stamp_roots(settings)
    return replace(trust, revocation_lists=lists, time_stamp_roots=load_roots(stamping) if stamping else ())


def time_stamp_roots(settings: Settings) -> bytes:
    """Return the certificates by which the house trusts authorities of time stamps, PEM; empty: by none."""
    file = settings.time_stamp_root_file
    return b"" if file is None else file.read_bytes()


def root_pem(keys: KeyStore, certificates: CertificateAuthority, now: datetime) -> str:
    """Return the root certificate that is in use, made if there is none yet; that of SM2 follows where there is one."""
    record = keys.ensure_active(CA_PURPOSE, Algorithm.ES256, now)
    further = Sm2CertificateAuthority(keys).root_pem(now) if keys.records(SM2_CA_PURPOSE) else ""
    return certificates.chain_pem(record.kid) + further


def _public(keys: KeyStore, kid: str, revoked: Mapping[str, Any]) -> tuple[PublicKey, Any]:
    if kid in revoked:
        public, moment = revoked[kid]
        return public, moment
    return keys.verification_keys()[kid], None


def _chain(certificates: CertificateAuthority, kid: str) -> str | None:
    try:
        return certificates.chain_pem(kid)
    except CertificateUnavailable:
        return None  # revoked, or an SM2 key
