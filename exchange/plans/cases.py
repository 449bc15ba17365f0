"""What a department finds in its case: the evidence that was settled or released, and the materials that follow."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import orjson

from exchange.audit.record import prepare, record_within
from exchange.plans import following_states, offer_states, tables
from exchange.plans.following_states import Following
from exchange.plans.offers import place
from exchange.plans.plan import opened
from exchange.ports import Exchange
from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _


async def evidence(exchange: Exchange, caller: Principal, case: str, now: datetime) -> dict[str, Any]:
    """Return the plans of a case as they stand, and every signed answer in it; recorded for each applicant first.

    Of a plan whose content was forgotten there are the materials alone.

    Raises:
        NotFound: the caller's department has no plan for such a case.
    """
    plans = await tables.of_case(exchange.pool, caller.department, case)
    if not plans:
        raise NotFound(_("no such case of yours"))
    for applicant in dict.fromkeys(plan.applicant for plan in plans):
        await exchange.recorder.record(
            prepare(
                "case-evidence",
                "answered",
                caller,
                now,
                subject=applicant,
                case=case,
                plans=[str(plan.id) for plan in plans if plan.applicant == applicant],
            )
        )
    shown = []
    answers: dict[str, dict[str, Any]] = {}
    for plan in plans:
        reply: dict[str, Any] = {"answers": (), "statement": None}  # what was forgotten is not there any more
        if plan.sealed is not None:
            reply = opened(exchange, plan)["reply"]
        for each in reply["answers"]:
            answers.setdefault(each["record"], {**each, "plan": str(plan.id), "by": "grant"})
        stands = await tables.materials(exchange.pool, plan.id)
        shown.append(
            {
                "plan": str(plan.id),
                "matter": plan.matter,
                "made_at": plan.made_at.isoformat(),
                "materials": [_stands(each) for each in stands],
                "statement": reply["statement"],
            }
        )
    for offer in await offer_states.released(exchange.pool, caller.department, case):
        if offer.evidence is None:
            continue
        kept = orjson.loads(exchange.vault.open(offer.evidence, place(offer.id, "evidence")))
        for each in kept:
            answers[each["record"]] = {
                "resource": each["resource"],
                "record": each["record"],
                "answer": each["jws"],
                "plan": str(offer.plan),
                "material": offer.material,
                "by": "consent",
            }
    return {"case": case, "plans": shown, "answers": list(answers.values())}


async def brought(
    exchange: Exchange, caller: Principal, case: str, material: str, now: datetime
) -> list[Following]:
    """Note that a material that might follow is there now; it says of each plan whether it came late.

    Noted before: nothing changes.

    Raises:
        NotFound: no plan of this case lets that material follow.
    """
    async with exchange.pool.acquire() as connection, connection.transaction():
        found = await following_states.of_case(connection, caller.department, case, material)
        if not found:
            raise NotFound(_("no such material of a case of yours may follow"))
        for each in found:
            if each.brought_at is None:
                await record_within(
                    connection,
                    prepare(
                        "material-brought",
                        "late" if now >= each.until else "in-time",
                        caller,
                        now,
                        subject=each.applicant,
                        plan=str(each.plan),
                        matter=each.matter,
                        material=material,
                        case=case,
                    ),
                )
                await following_states.note_brought(connection, each, now)
        return await following_states.of_case(connection, caller.department, case, material)


async def remind(exchange: Exchange, now: datetime) -> int:
    """Remind of every material that is due soon and not there: a record that the applicant sees, and the department's
    list. Returns how many."""
    reminded = 0
    while True:
        async with exchange.pool.acquire() as connection, connection.transaction():
            found = await following_states.take_due(connection, now, 100)
            for each in found:
                await record_within(
                    connection,
                    prepare(
                        "material-reminder",
                        "reminded",
                        Principal(each.client_id, each.department, frozenset()),
                        now,
                        subject=each.applicant,
                        plan=str(each.plan),
                        matter=each.matter,
                        material=each.material,
                        case=each.case_ref,
                        late_from=each.until.isoformat(),
                    ),
                )
        reminded += len(found)
        if len(found) < 100:
            return reminded


def shown(each: Following, now: datetime) -> dict[str, Any]:
    """Return a material that follows, for a reply."""
    return {
        "plan": str(each.plan),
        "matter": each.matter,
        "case": each.case_ref,
        "material": each.material,
        "late_from": each.until.isoformat(),
        "reminded_at": None if each.reminded_at is None else each.reminded_at.isoformat(),
        "brought_at": None if each.brought_at is None else each.brought_at.isoformat(),
        "late": (each.brought_at or now) >= each.until,
    }


def _stands(row: dict[str, Any]) -> dict[str, Any]:
    def told(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    records: list[uuid.UUID] = row["records"]
    return {
        "id": row["material"],
        "required": row["required"],
        "state": row["state"],
        "reasons": row["reasons"],
        "records": [str(each) for each in records],
        "settled_by": row["settled_by"],
        "settled_at": told(row["settled_at"]),
        "late_from": told(row["follows_until"]),
        "brought_at": told(row["brought_at"]),
        "brought_late": row["brought_late"],
    }
