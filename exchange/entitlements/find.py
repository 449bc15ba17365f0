"""Going through the register of persons for those who are entitled, page by page.

A page is one transaction: who was found, the access record of each, and how far the run came. So a run that dies goes
on where it was, finds nobody twice and records nobody twice. Of those who are not entitled nothing is kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
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

PAGE = 500
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
    found = []
    for subject, content, sealed in rows:
        try:
            (grant, *_others) = for_subject(grants, division_of(PERSONS, content))
        except SubjectNotCovered:
            continue
        values = opened(exchange.vault, resource.register, subject, content, sealed)
        if await _entitled(exchange, claims, subject, values, today):
            found.append(_found(exchange, run, subject, values, resource, grant))
            await record_within(
                connection,
                prepare(
                    "entitlement-found",
                    "found",
                    asking(run),
                    now,
                    subject=subject,
                    run=str(run.id),
                    rule=rule.id,
                    rule_version=rule.version,
                    grant=str(grant.id),
                    matter=rule.matter,
                    purpose=grant.purpose,
                ),
            )
    await tables.add_found(connection, found, now)
    if rows:
        await tables.went_on(connection, run.id, rows[-1][0], len(rows), now)
    if len(rows) < PAGE:
        await tables.ended(connection, run.id, "review", None, now)


async def _entitled(
    exchange: Exchange, claims: Sequence[Claim], subject: bytes, values: dict[str, Any], today: date
) -> bool:
    results = compare(claims, values, today)
    if any(verdict is not Verdict.MATCH for verdict in results.values()):
        return False
    if len(results) == len(claims):
        return True
    elsewhere = [claim for claim in claims if claim.name not in results]
    (told,) = await look_elsewhere(exchange, [About(elsewhere, [subject])], today)
    return all(verdict is Verdict.MATCH for verdict, _source in told.values())


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
