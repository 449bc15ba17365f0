"""SQL of plans (schema `exchange`): each plan, what it made of each material, and what it offered to people."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, TIMESTAMP, UUID

from exchange.audit.record import AccessRecord
from exchange.registers.tables import metadata

plan = Table(
    "plan",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request", BYTEA, nullable=False),
    Column("department", Text, nullable=False),
    Column("matter", Text, nullable=False),
    Column("matter_version", Integer, nullable=False),
    Column("case_ref", Text, nullable=False),
    Column("applicant", BYTEA, nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("sealed", BYTEA),
    UniqueConstraint("client_id", "key"),
    Index("plan_case", "department", "case_ref"),
    Index("plan_applicant", "applicant"),
)

Index("plan_kept", plan.c.made_at, postgresql_where=text("sealed IS NOT NULL"))

plan_material = Table(
    "plan_material",
    metadata,
    Column("plan", UUID, ForeignKey("exchange.plan.id"), primary_key=True),
    Column("material", Text, primary_key=True),
    Column("required", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    Column("records", ARRAY(UUID), nullable=False),
    Column("settled_by", Text),
    Column("settled_at", TIMESTAMP(timezone=True)),
    Column("follows_until", TIMESTAMP(timezone=True)),
    Column("remind_at", TIMESTAMP(timezone=True)),
    Column("reminded_at", TIMESTAMP(timezone=True)),
    Column("brought_at", TIMESTAMP(timezone=True)),
    Column("brought_late", Boolean),
)
Index("plan_material_settled", plan_material.c.settled_at, postgresql_where=text("settled_at IS NOT NULL"))
Index("plan_material_remind", plan_material.c.remind_at, postgresql_where=text("remind_at IS NOT NULL"))

offer = Table(
    "plan_offer",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("plan", UUID, ForeignKey("exchange.plan.id"), nullable=False),
    Column("material", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("template", Text),
    Column("person", BYTEA, nullable=False),
    Column("state", Text, nullable=False),
    Column("made_at", TIMESTAMP(timezone=True), nullable=False),
    Column("expires_at", TIMESTAMP(timezone=True), nullable=False),
    Column("changed_at", TIMESTAMP(timezone=True), nullable=False),
    Column("questions", BYTEA),
    Column("evidence", BYTEA),
    Column("records", ARRAY(UUID), nullable=False, server_default="{}"),
    Column("settles", Boolean, nullable=False, server_default="true"),
    Column("by_code", Boolean, nullable=False, server_default="false"),
    Column("presented_at", TIMESTAMP(timezone=True)),
    Index("plan_offer_person", "person", "made_at"),
    Index("plan_offer_plan", "plan"),
)

Index(
    "plan_offer_open",
    offer.c.expires_at,
    postgresql_where=text("state IN ('offered', 'requested', 'previewed')"),
)

OPEN_STATES = ("offered", "requested", "previewed")
"""States of an offer that somebody may still do something with."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is there when a plan is asked for.

    Args:
        version: of the matter's published description; None: there is none.
        granted: the client has a grant in force for the matter.
        request, sealed, applicant, id: of the plan that this key was answered with; None: of none.
        done: what people released or signed for the same case and matter.
        offers_open: earlier plans of the case have offers that are open.
    """

    version: int | None
    granted: bool
    id: uuid.UUID | None
    request: bytes | None
    sealed: bytes | None
    applicant: bytes | None
    done: tuple[Done, ...]
    offers_open: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A consent that was released, or a commitment that was signed, for the same case before."""

    applicant: bytes
    kind: str
    material: str
    template: str | None
    records: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as it is kept; `sealed` holds the reply, the identifiers and the inputs, None once that was forgotten."""

    id: uuid.UUID
    client_id: str
    department: str
    matter: str
    matter_version: int
    case_ref: str
    applicant: bytes
    made_at: datetime
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class MaterialRow:
    """What became of a material of a plan."""

    material: str
    required: bool
    state: str
    reasons: tuple[str, ...]
    records: tuple[uuid.UUID, ...]
    settled_by: str | None
    settled_at: datetime | None
    follows_until: datetime | None
    remind_at: datetime | None


@dataclass(frozen=True, slots=True)
class OfferRow:
    """What a person may agree to; `questions` is sealed. `by_code`: a code of theirs may stand for it."""

    id: uuid.UUID
    material: str
    kind: str
    template: str | None
    person: bytes
    expires_at: datetime
    questions: bytes | None
    by_code: bool = False


_KNOWN = """
SELECT (SELECT version FROM exchange.matter WHERE code = $1 AND state = 'published') AS version,
       EXISTS (SELECT FROM exchange.share_grant WHERE client_id = $2 AND ended_at IS NULL AND $1 = ANY(matters)
               AND valid_from <= $4 AND $4 < valid_until) AS granted,
       p.id, p.request, p.sealed, p.applicant,
       (SELECT jsonb_agg(jsonb_build_array(o.state, encode(e.applicant, 'hex'), o.kind, o.material, o.template,
                                            o.records))
        FROM exchange.plan e JOIN exchange.plan_offer o ON o.plan = e.id
        WHERE e.department = $5 AND e.case_ref = $6 AND e.matter = $1
          AND (o.state IN ('offered', 'requested', 'previewed') OR o.state IN ('released', 'signed') AND o.settles))
FROM (SELECT 1) AS one LEFT JOIN exchange.plan p ON p.client_id = $2 AND p.key = $3
"""

_ADD = """
WITH promised AS (INSERT INTO ledger.pending (entry) VALUES ($12)),
recorded AS (
  INSERT INTO exchange.access_record (id, recorded_at, client_id, subject, outcome, entry, salt, content)
  VALUES ($13, $10, $2, $9, $14, $12, $15, $16)),
made AS (
  INSERT INTO exchange.plan (id, client_id, key, request, department, matter, matter_version, case_ref, applicant,
                             made_at, sealed)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11))
INSERT INTO exchange.plan_material (plan, material, required, state, reasons, records, settled_by, settled_at,
                                    follows_until, remind_at)
SELECT $1, m.material, m.required, m.state, string_to_array(m.reasons, ' '),
       string_to_array(m.records, ' ')::uuid[], m.settled_by, m.settled_at, m.follows_until, m.remind_at
FROM unnest($17::text[], $18::boolean[], $19::text[], $20::text[], $21::text[], $22::text[], $23::timestamptz[],
            $24::timestamptz[], $25::timestamptz[])
     AS m (material, required, state, reasons, records, settled_by, settled_at, follows_until, remind_at)
"""
"""Plan, materials and access record stand or fall together."""


async def known(
    pool: Any, matter: str, client_id: str, key: str, department: str, case_ref: str, now: datetime
) -> Known:
    """Return what is there when a plan is asked for, in one round trip."""
    version, granted, plan_id, request, sealed, whose, offers = await pool.fetchrow(
        _KNOWN, matter, client_id, key, now, department, case_ref
    )
    done, is_open = [], False
    for state, applicant, kind, material, template, records in offers or ():
        if state in OPEN_STATES:
            is_open = True
        else:
            ids = tuple(uuid.UUID(each) for each in records)
            done.append(Done(bytes.fromhex(applicant), kind, material, template, ids))
    return Known(version, granted, plan_id, request, sealed, whose, tuple(done), is_open)


async def add(
    pool: Any,
    new: Plan,
    key: str,
    request: bytes,
    record: AccessRecord,
    materials: Sequence[MaterialRow],
    offers: Sequence[OfferRow],
    *,
    superseding: bool,
) -> None:
    """Store a plan with its access record; open offers of earlier plans for the same case give way.

    Args:
        superseding: earlier plans of the case have open offers.

    Raises:
        asyncpg.UniqueViolationError: the key was answered by another plan meanwhile.
    """
    values = (
        new.id,
        new.client_id,
        key,
        request,
        new.department,
        new.matter,
        new.matter_version,
        new.case_ref,
        new.applicant,
        new.made_at,
        new.sealed,
        record.entry,
        record.id,
        record.outcome,
        record.salt,
        record.content,
        [each.material for each in materials],
        [each.required for each in materials],
        [each.state for each in materials],
        [" ".join(each.reasons) for each in materials],
        [" ".join(map(str, each.records)) for each in materials],
        [each.settled_by for each in materials],
        [each.settled_at for each in materials],
        [each.follows_until for each in materials],
        [each.remind_at for each in materials],
    )
    if not offers and not superseding:
        await pool.execute(_ADD, *values)
        return
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_ADD, *values)
        if superseding:
            await _supersede(connection, new)
        await connection.executemany(
            "INSERT INTO exchange.plan_offer (id, plan, material, kind, template, person, state, made_at, expires_at,"
            " changed_at, questions, by_code) VALUES ($1, $2, $3, $4, $5, $6, 'offered', $7, $8, $7, $9, $10)",
            [
                (
                    each.id, new.id, each.material, each.kind, each.template, each.person, new.made_at,
                    each.expires_at, each.questions, each.by_code,
                )
                for each in offers
            ],
        )  # fmt: skip


async def _supersede(connection: Any, new: Plan) -> None:
    await connection.execute(
        "UPDATE exchange.plan_offer o SET state = 'superseded', evidence = NULL, changed_at = $4"
        " FROM exchange.plan p WHERE p.id = o.plan AND p.department = $1 AND p.case_ref = $2 AND p.matter = $3"
        " AND o.state = ANY($5)",
        new.department,
        new.case_ref,
        new.matter,
        new.made_at,
        list(OPEN_STATES),
    )


async def find(connection: Any, plan_id: uuid.UUID) -> Plan | None:
    """Return a plan by its id."""
    row = await connection.fetchrow(
        "SELECT id, client_id, department, matter, matter_version, case_ref, applicant, made_at, sealed"
        " FROM exchange.plan WHERE id = $1",
        plan_id,
    )
    return None if row is None else Plan(*row)


async def of_case(connection: Any, department: str, case_ref: str) -> list[Plan]:
    """Return the plans of a department's case, the latest first."""
    rows = await connection.fetch(
        "SELECT id, client_id, department, matter, matter_version, case_ref, applicant, made_at, sealed"
        " FROM exchange.plan WHERE department = $1 AND case_ref = $2 ORDER BY made_at DESC, id",
        department,
        case_ref,
    )
    return [Plan(*row) for row in rows]


_FORGET = """
WITH old AS (
    SELECT p.id FROM exchange.plan p WHERE p.made_at < $1 AND p.sealed IS NOT NULL
      AND NOT EXISTS (SELECT FROM exchange.plan_offer o WHERE o.plan = p.id AND o.state = ANY($2))
      AND NOT EXISTS (SELECT FROM exchange.commitment c WHERE c.plan = p.id AND c.verify_at IS NOT NULL)
      AND NOT EXISTS (
        SELECT FROM exchange.case_outcome c JOIN exchange.case_archive a ON a.outcome = c.id
        WHERE c.department = p.department AND c.case_ref = p.case_ref AND c.matter = p.matter
          AND a.state <> 'packed')
    LIMIT $3 FOR UPDATE OF p SKIP LOCKED),
offers AS (
    UPDATE exchange.plan_offer o SET questions = NULL, evidence = NULL FROM old WHERE o.plan = old.id),
plans AS (UPDATE exchange.plan p SET sealed = NULL FROM old WHERE p.id = old.id)
SELECT count(*) FROM old
"""


async def forget(connection: Any, before: datetime, limit: int) -> int:
    """Delete what plans of before a moment keep sealed, where nobody needs it any more; return of how many."""
    count: int = await connection.fetchval(_FORGET, before, list(OPEN_STATES), limit)
    return count


async def settle_if_done(connection: Any, plan_id: uuid.UUID, material: str, now: datetime) -> bool:
    """Mark a material as settled once all that was offered for it settles; False while something is left."""
    found = await connection.fetchval(
        "UPDATE exchange.plan_material m SET state = 'settled', settled_at = $3, settled_by ="
        " (SELECT string_agg(DISTINCT kind, '+' ORDER BY kind) FROM exchange.plan_offer"
        "  WHERE plan = $1 AND material = $2),"
        " records = m.records || ARRAY(SELECT unnest(records) FROM exchange.plan_offer"
        "  WHERE plan = $1 AND material = $2)"
        " WHERE m.plan = $1 AND m.material = $2 AND m.settled_at IS NULL AND NOT EXISTS"
        " (SELECT FROM exchange.plan_offer WHERE plan = $1 AND material = $2"
        "  AND (state NOT IN ('released', 'signed') OR NOT settles))"
        " RETURNING 1",
        plan_id,
        material,
        now,
    )
    return found is not None


async def left_to_bring(connection: Any, plan_id: uuid.UUID, material: str, reason: str) -> None:
    """Mark a material that nothing settles after all."""
    await connection.execute(
        "UPDATE exchange.plan_material SET state = 'to-bring', reasons = array_append(reasons, $3)"
        " WHERE plan = $1 AND material = $2 AND settled_at IS NULL",
        plan_id,
        material,
        reason,
    )


async def materials(connection: Any, plan_id: uuid.UUID) -> list[dict[str, Any]]:
    """Return how the materials of a plan stand now."""
    rows = await connection.fetch(
        "SELECT material, required, state, reasons, records, settled_by, settled_at, follows_until, brought_at,"
        " brought_late FROM exchange.plan_material WHERE plan = $1 ORDER BY material",
        plan_id,
    )
    return [dict(row) for row in rows]
