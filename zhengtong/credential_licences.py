"""Licences from credentials that a connector brought in: rows of the register become requests, and those a job."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from exchange.registers.schemas import load_registers, place
from foundation.identity.principals import Principal
from foundation.sensitive import Vault
from license_registry.catalog.types import LicenceTypes
from license_registry.issuing.bulk import tables
from license_registry.issuing.bulk.jobs import submit, work
from license_registry.issuing.bulk.tables import Job
from license_registry.issuing.errors import HolderDiffers, HolderUnknown, IssuerNotEntitled, LicenceInForce
from license_registry.issuing.requests import Key
from license_registry.ports import Registry
from license_registry.seals.errors import SealLacking

ROWS_OF_A_JOB = 20_000
MAY_PASS = frozenset(
    {HolderUnknown.code, HolderDiffers.code, LicenceInForce.code, SealLacking.code, IssuerNotEntitled.code}
)
"""Refusals for how things stand, not for what a request says."""
_IN_FORCE = "01"


@dataclass(slots=True)
class IssueReport:
    """What became of the credentials of a source.

    Args:
        jobs: their ids; each has a report of its own, row by row.
        not_in_force: credentials in another state than valid: no licence is made of them.
        of_others: credentials of another issuing authority than the client's.
        reasons: code → rows that were refused for it.
        waiting: jobs that another process works on.
    """

    source: str
    jobs: list[str] = field(default_factory=list)
    rows: int = 0
    issued: int = 0
    known: int = 0
    refused: int = 0
    not_in_force: int = 0
    of_others: int = 0
    waiting: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def request_of(credential: Mapping[str, Any], types: LicenceTypes) -> dict[str, Any]:
    """Return the request for a licence that a row of the register of credentials amounts to.

    Its fields are those of the row that the licence type has by the same name. A type that is not known here is left to
    be refused by name.
    """
    found = types.get(credential["licence_type"])
    wanted = () if found is None else found.schema["properties"]
    fields = {name: credential[name] for name in wanted if credential.get(name) is not None}
    fields |= {name: credential[name] for name in ("holder_name", "holder_code")}
    return {
        "licence_type": credential["licence_type"],
        "number": credential["licence_number"],
        "fields": fields,
        "valid_from": credential.get("valid_from") or credential["issued_on"],
        "valid_until": credential.get("valid_to"),
        "presenter": credential.get("representative_id"),
        "division": credential.get("division"),
        "issuer_name": credential.get("issuer_name"),
        "issued_on": credential["issued_on"],
    }


async def issue_from(registry: Registry, issuer: Principal, source: str, now: datetime) -> IssueReport:
    """Issue licences for all credentials of a source that are in force and of the issuer.

    Each job is known by the digest of its requests. So run again after dying it goes on, and run again on an unchanged
    register it does nothing but ask again, once an hour, for what was refused for a reason that may have passed; on a
    changed one, what had been issued is found as known.

    Raises:
        StoreFull, StoreUnavailable: what was issued stays; run it again.
    """
    report = IssueReport(source)
    lines: list[bytes] = []
    async for credential in _credentials(registry, source):
        if credential["state"] != _IN_FORCE:
            report.not_in_force += 1
        elif credential["issuer_code"] != issuer.department:
            report.of_others += 1
        else:
            lines.append(orjson.dumps(request_of(credential, registry.types)))
            if len(lines) == ROWS_OF_A_JOB:
                await _job(registry, issuer, lines, now, report)
                lines = []
    if lines:
        await _job(registry, issuer, lines, now, report)
    return report


async def _credentials(registry: Registry, source: str) -> AsyncIterator[dict[str, Any]]:
    # One statement sees the register as of one moment, in an order that does not change between two runs.
    statement = "SELECT subject, content, sealed FROM exchange.credential WHERE source = $1 ORDER BY subject"
    async with registry.pool.acquire() as connection, connection.transaction(readonly=True):
        async for row in connection.cursor(statement, source, prefetch=500):
            yield _opened(registry.vault, row)


def _opened(vault: Vault, row: Any) -> dict[str, Any]:
    record: dict[str, Any] = dict(row["content"])
    if row["sealed"] is not None:
        table = load_registers()["credentials"].table
        record |= orjson.loads(vault.open(row["sealed"], place(table, row["subject"])))
    return record


async def _job(
    registry: Registry, issuer: Principal, lines: list[bytes], now: datetime, report: IssueReport
) -> None:
    # Keyed: whoever sees the key must not be able to tell the requests by trying.
    digest = registry.vault.fingerprint(b"\n".join(lines)).hex()
    key = f"credentials:{digest}"
    report.rows += len(lines)
    job = await _submit(registry, issuer, key, lines, now, report)
    again = [] if job.state == "open" else await tables.refused_for(registry.pool, job.id, MAY_PASS)
    if again:
        await _count(registry, job, report, without=MAY_PASS)
        key = f"{key}:{now.astimezone(UTC):%Y-%m-%dT%H}"
        job = await _submit(registry, issuer, key, [lines[row - 1] for row in again], now, report)
    if await work(registry, job.id):
        await _count(registry, job, report)
    else:
        report.waiting += 1


async def _submit(
    registry: Registry, issuer: Principal, key: str, lines: list[bytes], now: datetime, report: IssueReport
) -> Job:
    job = await submit(registry, issuer, Key(issuer.id, key), "credentials", b"\n".join(lines), now)
    report.jobs.append(str(job.id))
    return job


async def _count(
    registry: Registry, job: Job, report: IssueReport, without: Collection[str] = frozenset()
) -> None:
    done = await tables.find(registry.pool, job.id)
    assert done is not None
    report.issued += done.issued
    report.known += done.known
    for code, rows in (await tables.reasons(registry.pool, job.id)).items():
        if code not in without:
            report.refused += rows
            report.reasons[code] = report.reasons.get(code, 0) + rows
