"""Archiving a closed matter: its licences, answers and documents in one package, kept in the store."""

from __future__ import annotations

import hashlib
import io
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables
from license_registry.archive.pack import ToPack, fetch, pack
from license_registry.archive.tables import Archive
from license_registry.credentials.status_list import LIST_ENTRIES
from license_registry.issuing.errors import IssuerMismatch
from license_registry.ports import Registry
from license_registry.presenting.own_trust import current_trust
from license_registry.presenting.present import lead_copy
from license_registry.verifying.answer import verify_answer
from license_registry.verifying.archive import READABLE, STATUS_LISTS


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
class Kept:
    """The package, and what is noted of it."""

    archive: Archive
    data: bytes


class ArchiveStands(DomainError):
    """Another package has this id."""

    code = "archive-stands"


def key_of(archive_id: uuid.UUID) -> str:
    """Return the key under which a package is kept."""
    return f"archives/{archive_id}.zip"


async def keep(
    registry: Registry,
    caller: Principal,
    wanted: ToKeep,
    now: datetime,
    *,
    archive_id: uuid.UUID,
    issuer: str | None = None,
) -> Kept:
    """Make the package of a closed matter and keep it.

    1. Read the lead copies, check the answers, take the status lists of this moment.
    2. Pack it, see `pack`: with the digest it is recorded for each licence.

    Args:
        archive_id: the same id again is the same package.
        issuer: who must have issued the licences; None: anybody.

    Raises:
        NotFound, IssuerMismatch, AnswerInvalid, ArchiveStands: as they say.
        ObjectMissing, ObjectAltered, StoreFull, StoreUnavailable: of the store.
    """
    files: dict[str, bytes] = {f"documents/{name}": data for name, data in wanted.documents.items()}
    lists: dict[str, str] = {}
    for identifier in wanted.identifiers:
        licence = await tables.find(registry.pool, identifier)
        if licence is None:
            raise NotFound(_("no such licence"))
        if issuer is not None and licence.issuer != issuer:
            raise IssuerMismatch(_("another authority issued the licence"))
        files[f"licences/{identifier}.sdjwt"] = (await lead_copy(registry, licence)).encode("ascii")
        number = licence.status_index // LIST_ENTRIES
        lists[registry.status_lists.uri(number)] = await registry.status_lists.token(number)
    trust = current_trust(registry, now)
    for number, answer in enumerate(wanted.answers, 1):
        if not verify_answer(answer, trust, now).valid:
            raise AnswerInvalid(_("answer {number} does not hold"), number=number)
        files[f"answers/{number}.jws"] = answer.encode("ascii")
    files[STATUS_LISTS] = orjson.dumps(lists, option=orjson.OPT_SORT_KEYS)
    to_pack = ToPack(key_of(archive_id), wanted.matter, wanted.case, files, {}, wanted.identifiers)
    kept = await pack(registry, caller, to_pack, now)
    of_another = (kept.department, kept.matter, kept.case_ref) != (
        caller.department,
        wanted.matter,
        wanted.case,
    )
    if of_another:
        raise ArchiveStands(_("another package has this id"), pointer="/id")
    data = await fetch(registry, kept)
    if _given(data) != _named(files):
        raise ArchiveStands(_("another package has this id"), pointer="/id")
    return Kept(kept, data)


def _named(files: Mapping[str, bytes]) -> dict[str, str]:
    return {
        path: hashlib.sha256(data).hexdigest()
        for path, data in files.items()
        if path.startswith(("licences/", "answers/", "documents/"))
    }


def _given(data: bytes) -> dict[str, str]:
    """Return what was given to a package of ours: path → digest."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        listed = orjson.loads(package.read(READABLE))["files"]
    return {
        each["path"]: each["sha256"]
        for each in listed
        if each["path"].startswith(("licences/", "answers/", "documents/"))
    }
