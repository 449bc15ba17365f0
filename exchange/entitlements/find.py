"""Going through the register of persons for those who are entitled, page by page.

Each page is looked at as a whole: its rows in one query, what stands elsewhere in one question for all of them, and
what came of it in one statement. A page is one transaction: who was found, the access record of each, and how far the
run came. So a run that dies goes on where it was, finds nobody twice and records nobody twice. Of those who are not
entitled nothing is kept.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from exchange.audit.record import prepare, record_within
from exchange.catalog.resources import Resource, require_resource
from exchange.entitlements import tables
from exchange.entitlements.rules import Rule, load_rules
from exchange.entitlements.tables import Found, Run
from exchange.grants.grant import Grant, Mode, SubjectNotCovered, covering_grants, for_subject
from exchange.grants.scope import division_of
from exchange.ports import Exchange
from exchange.queries.claims import Claim, read_claims
from exchange.queries.compare import Verdict, compare
from exchange.queries.elsewhere import About, look_elsewhere, require_known_types
from exchange.queries.masking import masked
from exchange.registers.schemas import opened
from foundation.civil import civil_date
from foundation.errors import DomainError
from foundation.identity.principals import Principal, Role
from foundation.sensitive import Vault

PAGE = 2_000
"""Rows of one transaction, which is all that is held in memory of a register."""
PERSONS = "persons"


def place(found_id: uuid.UUID) -> bytes:
    """Return where what the department sees of somebody stands."""
    return b"entitlement_found\0" + found_id.bytes


def asking(run: Run) -> Principal:
    """Return the department's system that a run is for."""
    return Principal(run.client_id, run.department, frozenset({Role.DEPARTMENT_SYSTEM}))


async def admitted(
    exchange: Exchange, caller: Principal, rule: Rule, now: datetime
) -> tuple[Resource, tuple[Claim, ...], tuple[Grant, ...]]:
    """Return a rule's resource, its claims, and the grants for batches that cover them.

    Raises:
        DomainError: what a batch would be refused for.
    """
    resource = require_resource(exchange.catalogue, rule.resource)
    claims = read_claims(rule.claims, resource)
    require_known_types(exchange, claims)
    fields = frozenset(name for claim in claims for name in claim.needs)
    held = await exchange.grants.of(caller.id, rule.resource)
    return resource, claims, covering_grants(held, Mode.BATCH, fields, rule.matter, now)


async def go_on(exchange: Exchange, now: datetime) -> int:
    """Work on runs until none is open, or others work on them; return how many pages were looked at."""
    pages = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            run = await tables.take_open(connection)
            if run is None:
                return pages
            await _page(exchange, connection, run, now)
        pages += 1


async def _page(exchange: Exchange, connection: Any, run: Run, now: datetime) -> None:
    rule = load_rules().get(run.rule)
    if rule is None or rule.version != run.rule_version:
        await tables.ended(connection, run.id, "failed", "rule-changed", now)
        return
    try:
        resource, claims, grants = await admitted(exchange, asking(run), rule, now)
    except DomainError as refusal:
        await record_within(
            connection,
            prepare("entitlement-run", "refused", asking(run), now, run=str(run.id), reason=refusal.code),
        )
        await tables.ended(connection, run.id, "failed", refusal.code, now)
        return
    rows = await tables.persons_after(connection, run.last, PAGE)
    today = civil_date(now)
    screened = await asyncio.to_thread(_screened, exchange.vault, rows, resource, claims, grants, today)
    entitled = await _elsewhere_too(exchange, claims, screened, today)
    found = await asyncio.to_thread(_all_found, exchange, run, resource, entitled)
    records = [
        prepare(
            "entitlement-found",
            "found",
            asking(run),
            now,
            subject=each.subject,
            run=str(run.id),
            rule=rule.id,
            rule_version=rule.version,
            grant=str(each.grant.id),
            matter=rule.matter,
            purpose=each.grant.purpose,
        )
        for each in entitled
    ]
    if found:
        await record_within(connection, *records)
        await tables.add_found(connection, found, now)
    if rows:
        await tables.went_on(connection, run.id, rows[-1][0], len(rows), now)
    if len(rows) < PAGE:
        await tables.ended(connection, run.id, "review", None, now)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody whose own row fulfils a rule, and the grant that covers them."""

    subject: bytes
    values: dict[str, Any]
    grant: Grant


def _screened(
    vault: Vault,
    rows: Sequence[tuple[bytes, dict[str, Any], bytes | None]],
    resource: Resource,
    claims: Sequence[Claim],
    grants: Sequence[Grant],
    today: date,
) -> list[Candidate]:
    """Return whose own rows fulfil the claims that rows answer.

    What stands in clear is looked at first: a row that fails there is not opened.
    """
    register = resource.register
    clear = [claim for claim in claims if claim.fields and not register.sensitive.intersection(claim.needs)]
    by_division: dict[str | None, Grant | None] = {}
    found = []
    for subject, content, sealed in rows:
        division = division_of(PERSONS, content)
        if division not in by_division:
            by_division[division] = _covering(grants, division)
        grant = by_division[division]
        if grant is None or not _all_match(compare(clear, content, today)):
            continue
        values = opened(vault, register, subject, content, sealed)
        if _all_match(compare(claims, values, today)):
            found.append(Candidate(subject, values, grant))
    return found


def _covering(grants: Sequence[Grant], division: str | None) -> Grant | None:
    try:
        return for_subject(grants, division)[0]
    except SubjectNotCovered:
        return None


def _all_match(results: Mapping[str, Verdict]) -> bool:
    return all(verdict is Verdict.MATCH for verdict in results.values())


async def _elsewhere_too(
    exchange: Exchange, claims: Sequence[Claim], screened: Sequence[Candidate], today: date
) -> list[Candidate]:
    """Return who fulfils, too, what stands in no row: licences, entries; asked about all of them at once."""
    elsewhere = [claim for claim in claims if not claim.fields]
    if not elsewhere or not screened:
        return list(screened)
    told = await look_elsewhere(exchange, [About(elsewhere, [each.subject]) for each in screened], today)
    return [
        each
        for each, results in zip(screened, told, strict=True)
        if _all_match({name: verdict for name, (verdict, _source) in results.items()})
    ]


def _all_found(
    exchange: Exchange, run: Run, resource: Resource, entitled: Sequence[Candidate]
) -> list[Found]:
    return [_found(exchange, run, each.subject, each.values, resource, each.grant) for each in entitled]


def _found(
    exchange: Exchange,
    run: Run,
    subject: bytes,
    values: dict[str, Any],
    resource: Resource,
    grant: Grant,
) -> Found:
    found_id = uuid.uuid4()
    # As a query under this grant would tell it.
    shown = {
        name: values.get(name)
        if name in grant.clear_fields
        else masked(values.get(name), resource.details[name].masking)
        for name in sorted(grant.fields & set(resource.fields))
    }
    sealed = exchange.vault.seal(orjson.dumps(shown), place(found_id))
    return Found(found_id, run.id, subject, sealed, "found")
