"""All that a closed case rests on, gathered from the rooms that keep it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exchange.archives import tables
from exchange.commitments import tables as commitments
from exchange.commitments.tables import Commitment
from exchange.commitments.text import shown
from exchange.consents.consent import evidence_of
from exchange.matters import tables as matters
from exchange.matters.commitments import load_templates
from exchange.matters.matter import Matter, read_matter
from exchange.outcomes.tables import Outcome
from exchange.plans import offer_states
from exchange.plans import tables as plans
from exchange.plans.plan import opened
from exchange.plans.tables import Plan
from exchange.ports import Exchange
from exchange.queries.authorise import canonical_subject
from foundation.signing import canonical_json

FORMATS = {"jws": "application/jose", "json": "application/json", "sdjwt": "application/dc+sd-jwt"}


@dataclass(slots=True)
class Gathered:
    """What goes into the package of a case.

    Args:
        files: by their paths in the package.
        records: access records of the case that are to be proved to be in the log.
        entries: what stands in the log for records that are not the exchange's own: id → entry.
        facts: members of the manifest.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    records: set[uuid.UUID] = field(default_factory=set)
    entries: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


async def gather(exchange: Exchange, outcome: Outcome) -> Gathered:
    """Return what stood when the case was closed: plans, answers, consents, commitments, licences, the outcome.

    What happened after the outcome was put on record is not part of it.

    Raises:
        SealBroken: what is kept sealed of the case was altered.
        ArchiveDamaged, ArchiveUnavailable: a copy of a licence cannot be read.
    """
    found = Gathered()
    closed = outcome.recorded_at
    own = [
        each
        for each in await plans.of_case(exchange.pool, outcome.department, outcome.case_ref)
        if each.matter == outcome.matter and each.made_at <= closed
    ]
    own.reverse()  # the earliest first
    subjects = {outcome.applicant}
    materials = []
    for plan in own:
        stands = await plans.materials(exchange.pool, plan.id)
        materials.append({"plan": str(plan.id), "materials": [_material(each, closed) for each in stands]})
        if plan.sealed is None:
            continue  # forgotten before the case was closed
        kept = opened(exchange, plan)
        matter = await _matter(exchange, plan.matter, plan.matter_version)
        subjects |= _blinded(exchange, matter, kept["subjects"])
        reply = kept["reply"]
        found.files[f"plans/{plan.id}.jws"] = str(reply["statement"]).encode("ascii")
        found.records.add(uuid.UUID(reply["receipt"]["record"]))
        for each in reply["answers"]:
            _answer(found, each["record"], each["answer"])
    consents = await _consents(exchange, outcome, found)
    by_id = {plan.id: plan for plan in own}
    promises = []
    for each in await tables.commitments_of(exchange.pool, list(by_id), closed):
        signed = await commitments.find(exchange.pool, each)
        assert signed is not None
        promises.append(await _commitment(exchange, by_id[signed.plan], signed, found))
    licences = await _licences(exchange, outcome, subjects, found)
    found.files["case/outcome.json"] = canonical_json(_outcome(outcome))
    for name, told in (
        ("materials", materials),
        ("consents", consents),
        ("commitments", promises),
        ("licences", licences),
    ):
        if told:
            found.files[f"case/{name}.json"] = canonical_json(told)
    decided = await tables.record_of(exchange.pool, outcome.applicant, closed, "case-outcome")
    if decided is not None:
        found.records.add(decided)
    found.facts = await _facts(exchange, outcome, own)
    return found


def _answer(found: Gathered, record: str, jws: str) -> None:
    found.files[f"answers/{record}.jws"] = jws.encode("ascii")
    found.records.add(uuid.UUID(record))


def _blinded(exchange: Exchange, matter: Matter, named: Mapping[str, str]) -> set[bytes]:
    known = {role: text for role, text in named.items() if role in matter.subjects}
    return {
        exchange.vault.blind_index(*canonical_subject(matter.subjects[role], text))
        for role, text in known.items()
    }


def _material(row: Mapping[str, Any], closed: datetime) -> dict[str, Any]:
    """Return how a material stood; what is there is there as of now, and says when it became so."""

    def told(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    brought = row["brought_at"] if row["brought_at"] is not None and row["brought_at"] <= closed else None
    return {
        "id": row["material"],
        "required": row["required"],
        "state": row["state"],
        "reasons": list(row["reasons"]),
        "records": [str(each) for each in row["records"]],
        "settled_by": row["settled_by"],
        "settled_at": told(row["settled_at"]),
        "late_from": told(row["follows_until"]),
        "brought_at": told(brought),
    }


async def _consents(exchange: Exchange, outcome: Outcome, found: Gathered) -> list[dict[str, Any]]:
    told = []
    for offer in await offer_states.released(exchange.pool, outcome.department, outcome.case_ref):
        if offer.matter != outcome.matter or offer.changed_at > outcome.recorded_at:
            continue
        evidence = [] if offer.evidence is None else evidence_of(exchange, offer)
        for each in evidence:
            _answer(found, each.record, each.jws)
        released = await tables.record_of(exchange.pool, offer.person, offer.changed_at, "consent-released")
        if released is not None:
            found.records.add(released)
        told.append(
            {
                "consent": str(offer.id),
                "plan": str(offer.plan),
                "material": offer.material,
                "resources": [each.resource for each in evidence],
                "answers": [each.record for each in evidence],
                "released_at": offer.changed_at.isoformat(),
                "record": None if released is None else str(released),
            }
        )
    return told


async def _commitment(exchange: Exchange, plan: Plan, signed: Commitment, found: Gathered) -> dict[str, Any]:
    found.files[f"commitments/{signed.id}.jws"] = signed.statement.encode("ascii")
    made_at, records = await tables.offered_at(exchange.pool, signed.id)
    found.records.update(records)
    return {
        "commitment": str(signed.id),
        "plan": str(signed.plan),
        "material": signed.material,
        "template": signed.template,
        "template_version": signed.template_version,
        "signed_at": signed.signed_at.isoformat(),
        "text": await _text(exchange, plan, signed, made_at),
    }


async def _text(
    exchange: Exchange, plan: Plan, signed: Commitment, made_at: datetime
) -> dict[str, str] | None:
    """Return what the person read; None where the template has been given another text since."""
    template = load_templates().get(signed.template)
    if template is None or template.version != signed.template_version:
        return None
    matter = await _matter(exchange, plan.matter, plan.matter_version)
    text = shown(template, matter, signed.material, plan.case_ref, made_at)
    return {
        "text": text.text,
        "text_en": text.text_en,
        "consequences": text.consequences,
        "consequences_en": text.consequences_en,
        "sha256": text.sha256,
    }


async def _licences(
    exchange: Exchange, outcome: Outcome, subjects: set[bytes], found: Gathered
) -> list[dict[str, Any]]:
    told = []
    for each in await exchange.archives.licences_seen(
        subjects, outcome.department, outcome.matter, outcome.case_ref, outcome.recorded_at
    ):
        found.entries[each.record] = each.entry
        if each.copy is not None:
            found.files[f"copies/{each.record}.jws"] = each.copy
        told.append(
            {
                "licence": each.identifier,
                "event": each.kind,
                "record": each.record,
                "said": dict(each.said),
                "copy": None if each.copy is None else f"copies/{each.record}.jws",
            }
        )
    return told


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": str(outcome.id),
        "department": outcome.department,
        "client": outcome.client_id,
        "matter": outcome.matter,
        "case": outcome.case_ref,
        "result": outcome.result,
        "decided_on": outcome.decided_on.isoformat(),
        "recorded_at": outcome.recorded_at.isoformat(),
    }


async def _facts(exchange: Exchange, outcome: Outcome, own: Sequence[Plan]) -> dict[str, Any]:
    document = await matters.published(exchange.pool, outcome.matter)
    if own:
        document = await matters.version(exchange.pool, outcome.matter, own[-1].matter_version)
    began = min((plan.made_at for plan in own), default=outcome.recorded_at)
    return {
        "log": exchange.settings.ledger_origin,
        "metadata": {
            "category": "政务服务办件电子档案",
            "creator": outcome.department,
            "creator_name": None if document is None else document["department_name"],
            "title": None if document is None else document["title"],
            "matter": outcome.matter,
            "matter_version": own[-1].matter_version if own else None,
            "case": outcome.case_ref,
            "result": outcome.result,
            "decided_on": outcome.decided_on.isoformat(),
            "began_at": began.isoformat(),
            "closed_at": outcome.recorded_at.isoformat(),
            "retention_days": exchange.settings.s3_retention_days,
            "formats": FORMATS,
        },
    }


async def _matter(exchange: Exchange, code: str, version: int) -> Matter:
    document = await matters.version(exchange.pool, code, version)
    assert document is not None, "versions of matters are never deleted"
    return read_matter(document)
