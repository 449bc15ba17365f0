"""Archiving a closed matter: its licences, answers and documents in one package, kept in the store."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.signing import CertificateAuthority
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.credentials.status_list import LIST_ENTRIES
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.presenting.own_trust import current_trust, own_keys
from license_registry.presenting.present import lead_copy
from license_registry.verifying.answer import verify_answer
from license_registry.verifying.archive import CERTIFICATES, STATUS_LISTS, make_archive


class AnswerInvalid(DomainError):
    """An answer that is to be archived does not hold."""

    code = "answer-invalid"


@dataclass(frozen=True, slots=True)
class ToKeep:
    """What a matter rests on: licences by identifier, answers as compact JWS, documents by name."""

    matter: str
    case: str
    identifiers: Sequence[str]
    answers: Sequence[str]
    documents: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Archived:
    """The package, and where it lies in the store."""

    key: str
    data: bytes


async def keep(registry: Registry, caller: Principal, wanted: ToKeep, now: datetime) -> Archived:
    """Make the package of a closed matter and keep it.

    1. Read the lead copies, check the answers, take the status lists of this moment and the certificates.
    2. Sign the manifest; put the package into the store, sealed, retained as licences are.
    3. Record it for each licence, with the digest. Dying before, an object stands that nothing names.

    Raises:
        NotFound, AnswerInvalid, ObjectMissing, ObjectAltered, StoreFull, StoreUnavailable: as they say.
    """
    files: dict[str, bytes] = {f"documents/{name}": data for name, data in wanted.documents.items()}
    lists: dict[str, str] = {}
    for identifier in wanted.identifiers:
        licence = await tables.find(registry.pool, identifier)
        if licence is None:
            raise NotFound(_("no such licence"))
        files[f"licences/{identifier}.sdjwt"] = (await lead_copy(registry, licence)).encode("ascii")
        number = licence.status_index // LIST_ENTRIES
        lists[registry.status_lists.uri(number)] = await registry.status_lists.token(number)
    trust = current_trust(registry, now)
    for number, answer in enumerate(wanted.answers, 1):
        if not verify_answer(answer, trust, now).valid:
            raise AnswerInvalid(_("answer {number} does not hold"), number=number)
        files[f"answers/{number}.jws"] = answer.encode("ascii")
    chains = own_keys(registry.keys, CertificateAuthority(registry.keys)).values()
    files[STATUS_LISTS] = orjson.dumps(lists, option=orjson.OPT_SORT_KEYS)
    files[CERTIFICATES] = "".join(each.chain for each in chains if each.chain is not None).encode("ascii")
    facts = {"iss": registry.issuer, "matter": wanted.matter, "case": wanted.case}
    data = make_archive(registry.keys.signer(PURPOSE), files, facts, now)
    key = f"archives/{uuid.uuid4()}.zip"
    await asyncio.to_thread(registry.store.put, key, registry.vault.seal(data, key.encode()))
    digest = hashlib.sha256(data).hexdigest()
    async with registry.pool.acquire() as connection, connection.transaction():
        for named in wanted.identifiers or (None,):
            event = happened(
                "archived",
                named,
                caller,
                now,
                matter=wanted.matter,
                case=wanted.case,
                object_key=key,
                sha256=digest,
            )
            await tables.add_event(connection, event)
    return Archived(key, data)
