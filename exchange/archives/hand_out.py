"""What the deciding department does with the package of its case: looks, fetches it, has it made anew."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from exchange.archives import tables
from exchange.archives.errors import ArchiveDamaged, ArchiveNotPacked
from exchange.archives.tables import FAILED, PACKED, CaseArchive
from exchange.audit.record import AccessRecord, prepare, record_within
from exchange.ports import Exchange
from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A package, and what is noted of it."""

    archive: CaseArchive
    data: bytes


async def of_case(exchange: Exchange, caller: Principal, case: str) -> list[CaseArchive]:
    """Return the packages of a case of the caller's department.

    Raises:
        NotFound: it has decided no such case.
    """
    found = await tables.of_case(exchange.pool, caller.department, case)
    if not found:
        raise NotFound(_("no such case of yours is closed"))
    return found


async def fetch(exchange: Exchange, caller: Principal, case: str, matter: str, now: datetime) -> HandedOut:
    """Give a package to the department that decided; recorded first, under the applicant.

    Raises:
        NotFound, ArchiveNotPacked: there is none, or not yet.
        ArchiveDamaged: it is lost, or is not the one that was made. ArchiveUnavailable: later again.
    """
    archive = await _own(exchange, caller, case, matter)
    if archive.state != PACKED:
        refusal = ArchiveNotPacked(_("it is {state}"), state=archive.state)
        await exchange.recorder.record(
            _record("case-archive-fetched", "refused", caller, archive, now, reason=refusal.code)
        )
        raise refusal
    await exchange.recorder.record(_record("case-archive-fetched", "handed-out", caller, archive, now))
    return HandedOut(archive, await _whole(exchange, archive))


async def retry(exchange: Exchange, caller: Principal, case: str, matter: str, now: datetime) -> CaseArchive:
    """Have a package made that could not be, or that was damaged since; of a sound one nothing changes.

    A damaged one stays where it is, and is named by each scrub; the new one has a key of its own.

    Raises:
        NotFound: there is no such case. ArchiveUnavailable: whether it is sound cannot be seen now.
    """
    archive = await _own(exchange, caller, case, matter)
    damaged = archive.state == FAILED and archive.problem == ArchiveDamaged.code
    if archive.state == PACKED:
        try:
            await _whole(exchange, archive)
        except ArchiveDamaged:
            damaged = True
    async with exchange.pool.acquire() as connection, connection.transaction():
        now_there = await tables.find(connection, archive.outcome, lock=True)
        assert now_there is not None
        moved_on = (now_there.state, now_there.edition) != (archive.state, archive.edition)
        if moved_on or not (damaged or archive.state == FAILED):
            return now_there
        await record_within(connection, _record("case-archive-retried", "asked", caller, archive, now))
        await tables.begin_anew(connection, archive.outcome, archive.edition + damaged, now)
        anew = await tables.find(connection, archive.outcome)
        assert anew is not None
        return anew


async def _own(exchange: Exchange, caller: Principal, case: str, matter: str) -> CaseArchive:
    for each in await of_case(exchange, caller, case):
        if each.matter == matter:
            return each
    raise NotFound(_("no such case of yours is closed"))


async def _whole(exchange: Exchange, archive: CaseArchive) -> bytes:
    assert archive.object_key is not None
    data = await exchange.archives.fetch(archive.object_key)
    if hashlib.sha256(data).digest() != archive.sha256:
        raise ArchiveDamaged(_("the stored package is not the one that was made"))
    return data


def _record(
    event: str, outcome: str, caller: Principal, archive: CaseArchive, now: datetime, **further: str
) -> AccessRecord:
    return prepare(
        event,
        outcome,
        caller,
        now,
        subject=archive.applicant,
        outcome_id=str(archive.outcome),
        matter=archive.matter,
        case=archive.case_ref,
        sha256=None if archive.sha256 is None else archive.sha256.hex(),
        **further,
    )
