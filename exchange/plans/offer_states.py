"""SQL of what people do with the offers of plans (table `exchange.plan_offer`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.plans.tables import OPEN_STATES
from exchange.registers.aliases import decided_identities


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer with what its plan says of it; `questions` and `evidence` are sealed.

    Args:
        by_code: the matter lets a code of the person's stand for the release.
        presented_at: when its person was identified at a counter, by a code.
    """

    id: uuid.UUID
    plan: uuid.UUID
    material: str
    kind: str
    template: str | None
    person: bytes
    state: str
    made_at: datetime
    expires_at: datetime
    changed_at: datetime
    questions: bytes | None
    evidence: bytes | None
    records: tuple[uuid.UUID, ...]
    settles: bool
    client_id: str
    department: str
    matter: str
    case_ref: str
    by_code: bool
    presented_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        """True while somebody may still do something with it."""
        return self.state in OPEN_STATES and now < self.expires_at

    def standing(self, now: datetime) -> str:
        """Return its state, `expired` where that is not noted yet."""
        return "expired" if self.state in OPEN_STATES and now >= self.expires_at else self.state


_COLUMNS = (
    "o.id, o.plan, o.material, o.kind, o.template, o.person, o.state, o.made_at, o.expires_at, o.changed_at,"
    " o.questions, o.evidence, o.records, o.settles, p.client_id, p.department, p.matter, p.case_ref, o.by_code,"
    " o.presented_at"
)


async def of_person(pool: Any, person: bytes, kind: str) -> list[Offer]:
    """Return the offers of one kind to a person, by whichever of their identifiers, the latest first."""
    rows = await pool.fetch(
        f"SELECT {_COLUMNS} FROM exchange.plan_offer o JOIN exchange.plan p ON p.id = o.plan"  # noqa: S608 -- ours
        " WHERE o.person = ANY($1) AND o.kind = $2 ORDER BY o.made_at DESC, o.id LIMIT 200",
        await decided_identities(pool, person),
        kind,
    )
    return [_offer(row) for row in rows]


async def find(
    connection: Any, offer_id: uuid.UUID, person: bytes, kind: str, *, lock: bool = False
) -> Offer | None:
    """Return an offer to a person, by whichever of their identifiers.

    Args:
        lock: hold it until the transaction ends.
    """
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM exchange.plan_offer o JOIN exchange.plan p ON p.id = o.plan"  # noqa: S608 -- ours
        " WHERE o.id = $1 AND o.person = ANY($2) AND o.kind = $3" + (" FOR UPDATE OF o" if lock else ""),
        offer_id,
        await decided_identities(connection, person),
        kind,
    )
    return None if row is None else _offer(row)


async def several(connection: Any, offers: Sequence[uuid.UUID], *, lock: bool = False) -> list[Offer]:
    """Return offers by their ids, in the order of these, and hold them until the transaction ends if `lock`."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM exchange.plan_offer o JOIN exchange.plan p ON p.id = o.plan"  # noqa: S608 -- ours
        " WHERE o.id = ANY($1) ORDER BY o.id" + (" FOR UPDATE OF o" if lock else ""),
        list(offers),
    )
    found = {each.id: each for each in map(_offer, rows)}
    return [found[each] for each in offers if each in found]


async def open_in_case(
    pool: Any, department: str, matter: str, case_ref: str, kind: str, now: datetime
) -> list[Offer]:
    """Return what waits for somebody in a department's case, the earliest first."""
    rows = await pool.fetch(
        f"SELECT {_COLUMNS} FROM exchange.plan_offer o JOIN exchange.plan p ON p.id = o.plan"  # noqa: S608 -- ours
        " WHERE p.department = $1 AND p.matter = $2 AND p.case_ref = $3 AND o.kind = $4 AND o.state = ANY($5)"
        " AND o.expires_at > $6 ORDER BY o.made_at, o.id",
        department,
        matter,
        case_ref,
        kind,
        list(OPEN_STATES),
        now,
    )
    return [_offer(row) for row in rows]


async def present(connection: Any, offers: Sequence[uuid.UUID], now: datetime) -> None:
    """Note that the person of offers was identified at a counter."""
    await connection.execute(
        "UPDATE exchange.plan_offer SET presented_at = $2 WHERE id = ANY($1)", list(offers), now
    )


async def released(pool: Any, department: str, case_ref: str) -> list[Offer]:
    """Return what people released to a case, the earliest first."""
    rows = await pool.fetch(
        f"SELECT {_COLUMNS} FROM exchange.plan_offer o JOIN exchange.plan p ON p.id = o.plan"  # noqa: S608 -- ours
        " WHERE p.department = $1 AND p.case_ref = $2 AND o.state = 'released' ORDER BY o.changed_at, o.id",
        department,
        case_ref,
    )
    return [_offer(row) for row in rows]


async def fetched(
    connection: Any,
    offer_id: uuid.UUID,
    evidence: bytes,
    records: Sequence[uuid.UUID],
    now: datetime,
    *,
    settles: bool,
) -> bool:
    """Keep the sealed evidence that a person asked for; False where that was done, or the offer closed, meanwhile."""
    found = await connection.fetchval(
        "UPDATE exchange.plan_offer SET state = 'requested', evidence = $2, records = $3, settles = $5,"
        " changed_at = $4 WHERE id = $1 AND state = 'offered' RETURNING 1",
        offer_id,
        evidence,
        list(records),
        now,
        settles,
    )
    return found is not None


async def move(connection: Any, offer_id: uuid.UUID, state: str, now: datetime) -> None:
    """Bring an offer to another state; one that is closed without release keeps no evidence."""
    await connection.execute(
        "UPDATE exchange.plan_offer SET state = $2, changed_at = $3,"
        " evidence = CASE WHEN $2 IN ('refused', 'expired', 'withdrawn') THEN NULL ELSE evidence END WHERE id = $1",
        offer_id,
        state,
        now,
    )


async def sign(connection: Any, offer_id: uuid.UUID, record: uuid.UUID, now: datetime) -> None:
    """Mark a commitment as signed, by the record of it."""
    await connection.execute(
        "UPDATE exchange.plan_offer SET state = 'signed', records = ARRAY[$2::uuid], changed_at = $3 WHERE id = $1",
        offer_id,
        record,
        now,
    )


async def expire(connection: Any, now: datetime) -> int:
    """Close what nobody released or signed in time; what was fetched for it goes. Returns how many."""
    rows = await connection.fetch(
        "UPDATE exchange.plan_offer SET state = 'expired', evidence = NULL, changed_at = $1"
        " WHERE state = ANY($2) AND expires_at <= $1 RETURNING 1",
        now,
        list(OPEN_STATES),
    )
    return len(rows)


def _offer(row: Any) -> Offer:
    return Offer(**{**row, "records": tuple(row["records"])})
