"""What a plan offers to people: evidence that they may release, commitments that they may sign."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import Any

import orjson

from exchange.matters.matter import Matter
from exchange.plans.judging import Compiled, Judged, State, Verdict
from exchange.plans.questions import Bundle, Case, Leaf, bundled
from exchange.plans.tables import OfferRow
from exchange.ports import Exchange

SPEAKERS = ("representative", "agent", "manager")
"""Roles of people who speak for an applicant that is no person, the first that the case has."""


def consenting_role(matter: Matter, case: Case, role: str) -> str | None:
    """Return who decides on evidence about a subject; None: nobody can.

    A person does so themself; for all else the applicant does, or who speaks for an applicant that is no person.
    """
    for each in (role,) if matter.subjects[role] == "citizen-id" else ("applicant", *SPEAKERS):
        if each in case.blinded and case.blinded[each][0] == "citizen-id":
            return each
    return None


def place(offer_id: uuid.UUID, what: str) -> bytes:
    """Return where the sealed questions or evidence of an offer stand."""
    return f"plan_offer:{what}".encode() + b"\0" + offer_id.bytes


def offered(
    exchange: Exchange,
    matter: Matter,
    plan: Compiled,
    case: Case,
    known: Mapping[int, Verdict],
    leaves: Mapping[int, Leaf],
    outcomes: Mapping[str, Judged],
    signed: AbstractSet[str],
    now: datetime,
) -> list[OfferRow]:
    """Return the offers of a plan: for each material one of evidence for each person, and one for each commitment."""
    expires = now + timedelta(hours=exchange.settings.offer_hours)
    found = []
    for material in matter.materials:
        outcome = outcomes[material.id]
        by_person: dict[str, list[Leaf]] = {}
        for number in outcome.asked:
            if known[number].state is State.BY_CONSENT and plan.material_of[number] == material.id:
                role = consenting_role(matter, case, leaves[number].role)
                assert role is not None
                by_person.setdefault(role, []).append(leaves[number])
        for role, own in by_person.items():
            offer_id = uuid.uuid4()
            asks = orjson.dumps([_asks(bundle, case) for bundle in bundled(own)])
            found.append(
                OfferRow(
                    offer_id,
                    material.id,
                    "consent",
                    None,
                    case.blinded[role][1],
                    expires,
                    exchange.vault.seal(asks, place(offer_id, "questions")),
                    material.consent_by_code,
                )
            )
        signer = consenting_role(matter, case, "applicant")
        if outcome.state is State.BY_COMMITMENT and signer is not None:
            person = case.blinded[signer][1]
            found += [
                OfferRow(uuid.uuid4(), material.id, "commitment", template, person, expires, None)
                for template in outcome.templates
                if template not in signed
            ]
    return found


def _asks(bundle: Bundle, case: Case) -> dict[str, Any]:
    return {
        "mode": bundle.first.mode,
        "resource": bundle.first.resource,
        "subject": case.subjects[bundle.first.role],
        "claims": bundle.claims,
        "fields": list(bundle.fields),
    }
