"""One plan, told in order."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from exchange.audit.receipt import answer_digest, receipt
from exchange.audit.record import prepare
from exchange.grants.grant import MatterNotGranted, Mode, covering_grant
from exchange.matters import tables as matters
from exchange.matters.commitments import load_templates
from exchange.matters.matter import Matter, read_matter
from exchange.outcomes.tables import on_record
from exchange.plans import tables
from exchange.plans.asking import Answer, Asked, ask_all
from exchange.plans.errors import PlanForgotten, PlanKeyReused
from exchange.plans.following import following
from exchange.plans.judging import Compiled, Judged, Reason, State, Verdict, compiled, judged
from exchange.plans.offers import consenting_role, offered
from exchange.plans.questions import Bundle, Case, InputValue, Leaf, question, read_case
from exchange.plans.statement import TYPE, statement
from exchange.plans.tables import Known, MaterialRow, OfferRow, Plan
from exchange.ports import Exchange
from exchange.queries.attest import PURPOSE
from exchange.queries.authorise import Inquiry, Question, prepare_inquiry, prepare_question
from exchange.queries.query import query
from exchange.queries.verify import verify
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.signing import canonical_json, sign_compact
from foundation.workdays import Calendar, load_calendar


@dataclass(frozen=True, slots=True)
class Planning:
    """What plans are made with; published matters are kept as they were read.

    Args:
        read: code → version, the matter, and its materials compiled.
    """

    exchange: Exchange
    read: dict[str, tuple[int, Matter, Compiled]] = field(default_factory=dict)

    @property
    def calendar(self) -> Calendar:
        """Return the days that are worked here."""
        return load_calendar(self.exchange.settings.workdays_file)

    async def matter(self, code: str, version: int) -> tuple[Matter, Compiled]:
        """Return a published matter.

        Raises:
            MatterMalformed, PlanMalformed: it asks for more than a plan may, or in a circle.
            NotFound: it is not published any more.
        """
        found = self.read.get(code)
        if found is None or found[0] != version:
            document = await matters.published(self.exchange.pool, code)
            if document is None:
                raise NotFound(_("no such matter is published"))
            matter = read_matter(document)
            found = (matter.version, matter, compiled(matter.materials, frozenset(load_templates())))
            self.read[code] = found
        return found[1], found[2]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A plan as asked for: for which matter and case, about whom, and what is stated and there already.

    Args:
        key: the request's `Idempotency-Key`.
    """

    matter: str
    key: str
    case: str
    subjects: Mapping[str, str]
    inputs: Mapping[str, InputValue]
    brought: tuple[str, ...]

    def fingerprint(self) -> bytes:
        """Return what tells this request from another; the vault keys it."""
        return orjson.dumps(
            [self.matter, self.case, self.subjects, self.inputs, self.brought], option=orjson.OPT_SORT_KEYS
        )


def place(plan_id: uuid.UUID) -> bytes:
    """Return where the sealed part of a plan stands."""
    return b"plan\0" + plan_id.bytes


async def make_plan(planning: Planning, caller: Principal, wanted: Wanted, now: datetime) -> dict[str, Any]:
    """Say for each material of a matter whether it is settled, and what is still needed.

    1. Look at the matter, the caller's grants for it, and what this key was answered. The same request again gets
       the same plan.
    2. Hold subjects and inputs against the matter; blind the subjects. A refusal so far is recorded, then raised.
    3. Ask what is needed, in parallel under one deadline. Each question is a verification or a query like any other:
       decided by the grants, recorded, signed. Dying here leaves those records, and no plan; the request may come
       again.
    4. Judge each material; seal what people may consent to.
    5. Store the plan with its access record in one transaction. Of two equal requests at once the first counts.
    6. Sign the very statement that the record commits to, with the receipt, and hand it out.
    """
    exchange = planning.exchange
    digest = exchange.vault.fingerprint(wanted.fingerprint())
    applicant: bytes | None = None
    try:
        known = await _known(exchange, caller, wanted, now)
        if known.id is not None:
            return await _again(exchange, caller, wanted, known, digest, now)
        if known.version is None:
            raise NotFound(_("no such matter is published"))
        matter, plan = await planning.matter(wanted.matter, known.version)
        if not known.granted and caller.department != matter.department:
            raise MatterNotGranted(_("no grant of yours names this matter"))
        case = read_case(matter, exchange.vault, wanted.case, wanted.subjects, wanted.inputs, wanted.brought)
        applicant = case.blinded["applicant"][1]
    except DomainError as refusal:
        await exchange.recorder.record(
            prepare(
                "plan",
                "refused",
                caller,
                now,
                subject=applicant,
                reason=refusal.code,
                matter=wanted.matter,
                case=wanted.case,
            )
        )
        raise
    done = [each for each in known.done if each.applicant == applicant]
    signed = frozenset(each.template for each in done if each.template is not None)
    released = frozenset(each.material for each in done if each.kind == "consent")
    there = case.brought | released
    asked, leaves = await _asked(planning, caller, matter, plan, case, there, signed, now)
    outcomes = {
        name: each or Judged(State.TO_BRING, (Reason.LATE,))
        for name, each in judged(plan, asked.known, signed, there).items()
    }
    plan_id = uuid.uuid4()
    offers = offered(exchange, matter, plan, case, asked.known, leaves, outcomes, signed, now)
    earlier = {each.material: each.records for each in done if each.kind == "consent"}
    by_template = {each.template: each.records for each in done if each.template is not None}
    rows = [
        _row(planning, each.id, matter, outcomes, asked, earlier, by_template, case, now)
        for each in matter.materials
    ]
    materials = [
        _shown(each.id, matter, row, outcomes[each.id], asked, offers)
        for each, row in zip(matter.materials, rows, strict=True)
    ]
    prerequisites = [
        {"matter": code, "on_record": found}
        for code, found in (
            await on_record(exchange.pool, applicant, matter.needs_outcome_of)
            if matter.needs_outcome_of
            else {}
        ).items()
    ]
    records = [each.answer.record for each in asked.statements]
    said = statement(
        plan_id,
        matter,
        case,
        materials,
        prerequisites,
        records,
        caller,
        exchange.settings.base_url,
        now,
    )
    record = prepare(
        "plan",
        "answered",
        caller,
        now,
        subject=applicant,
        plan=str(plan_id),
        matter=matter.code,
        matter_version=matter.version,
        purpose=matter.purpose,
        case=case.reference,
        materials={each["id"]: each["state"] for each in materials},
        answer_sha256=answer_digest(said),
    )
    promise = receipt(record, exchange.settings.ledger_origin)
    signer = exchange.keys.signer(PURPOSE)
    reply = {
        "plan": str(plan_id),
        "matter": {"code": matter.code, "version": matter.version, "title": matter.title},
        "case": case.reference,
        "materials": materials,
        "answers": [
            {
                "resource": each.resource,
                "role": each.role,
                "record": each.answer.record,
                "answer": each.answer.jws,
            }
            for each in asked.statements
        ],
        "prerequisites": prerequisites,
        "statement": sign_compact(signer, canonical_json(said | {"receipt": promise}), TYPE),
        "receipt": promise,
    }
    kept = {"reply": reply, "subjects": dict(case.subjects), "inputs": dict(case.inputs)}
    new = Plan(
        id=plan_id,
        client_id=caller.id,
        department=caller.department,
        matter=matter.code,
        matter_version=matter.version,
        case_ref=case.reference,
        applicant=applicant,
        made_at=now,
        sealed=exchange.vault.seal(orjson.dumps(kept), place(plan_id)),
    )
    try:
        await tables.add(
            exchange.pool, new, wanted.key, digest, record, rows, offers, superseding=known.offers_open
        )
    except asyncpg.UniqueViolationError:
        known = await _known(exchange, caller, wanted, now)
        return await _again(exchange, caller, wanted, known, digest, now)
    return reply


def opened(exchange: Exchange, plan: Plan) -> dict[str, Any]:
    """Return what a plan keeps sealed: `reply`, `subjects` and `inputs`.

    Raises:
        PlanForgotten: it was deleted when its time was over.
    """
    return _kept(exchange, plan.sealed, plan.id)


def _kept(exchange: Exchange, sealed: bytes | None, plan_id: uuid.UUID) -> dict[str, Any]:
    if sealed is None:
        raise PlanForgotten(_("its content was deleted at the time that was set for it"))
    kept: dict[str, Any] = orjson.loads(exchange.vault.open(sealed, place(plan_id)))
    return kept


async def _again(
    exchange: Exchange, caller: Principal, wanted: Wanted, known: Known, digest: bytes, now: datetime
) -> dict[str, Any]:
    assert known.id is not None
    if known.request != digest:
        raise PlanKeyReused(_("take a new Idempotency-Key for each request"))
    reply: dict[str, Any] = _kept(exchange, known.sealed, known.id)["reply"]
    await exchange.recorder.record(
        prepare(
            "plan",
            "repeated",
            caller,
            now,
            subject=known.applicant,
            plan=str(known.id),
            matter=wanted.matter,
            case=wanted.case,
        )
    )
    return reply


async def _known(exchange: Exchange, caller: Principal, wanted: Wanted, now: datetime) -> Known:
    return await tables.known(
        exchange.pool, wanted.matter, caller.id, wanted.key, caller.department, wanted.case, now
    )


async def _asked(
    planning: Planning,
    caller: Principal,
    matter: Matter,
    plan: Compiled,
    case: Case,
    there: frozenset[str],
    signed: frozenset[str],
    now: datetime,
) -> tuple[Asked, dict[int, Leaf]]:
    exchange = planning.exchange
    asked = Asked()
    leaves: dict[int, Leaf] = {}
    consent = {each.id for each in matter.materials if each.consent}
    to_ask: dict[int, Leaf] = {}
    to_offer: list[int] = []
    for number, asking in enumerate(plan.asking):
        leaf = question(number, asking, case)
        if isinstance(leaf, Reason):
            asked.known[number] = Verdict(State.TO_BRING, leaf)
            continue
        leaves[number] = leaf
        if plan.material_of[number] not in consent:
            to_ask[number] = leaf
        elif consenting_role(matter, case, leaf.role) is None:
            asked.known[number] = Verdict(State.TO_BRING, Reason.NOBODY_TO_ASK)
        else:
            to_offer.append(number)
    covered = await asyncio.gather(
        *(_covered(exchange, caller, matter, case, leaves[number], now) for number in to_offer)
    )
    for number, is_covered in zip(to_offer, covered, strict=True):
        asked.known[number] = (
            Verdict(State.BY_CONSENT) if is_covered else Verdict(State.TO_BRING, Reason.NO_GRANT)
        )

    async def ask(bundle: Bundle) -> Answer:
        return await ask_one(
            exchange, caller, bundle, case.subjects[bundle.first.role], matter.code, case.reference, now
        )

    await ask_all(plan, to_ask, asked, ask, exchange.settings.plan_deadline_seconds, signed, there)
    return asked, leaves


async def ask_one(
    exchange: Exchange,
    caller: Principal,
    bundle: Bundle,
    subject: str,
    matter: str,
    case: str,
    now: datetime,
) -> Answer:
    """Ask one question for a plan; raises what a verification raises, after its record."""
    if bundle.first.mode == "query":
        inquiry = Inquiry(bundle.first.resource, subject, bundle.fields, matter, case)
        queried = await query(exchange, caller, inquiry, now)
        return Answer({}, queried.jws, queried.receipt["record"])
    asked = Question(bundle.first.resource, subject, bundle.claims, matter, case)
    answered = await verify(exchange, caller, asked, now)
    results = {name: each.value for name, each in answered.results.items()}
    return Answer(results, answered.jws, answered.receipt["record"])


async def _covered(
    exchange: Exchange, caller: Principal, matter: Matter, case: Case, leaf: Leaf, now: datetime
) -> bool:
    # A look at the grants alone. The question itself is decided again when the applicant asks for it.
    subject = case.subjects[leaf.role]
    try:
        if leaf.mode == "query":
            inquiry = Inquiry(leaf.resource, subject, leaf.fields, matter.code, case.reference)
            fields = prepare_inquiry(inquiry, exchange.catalogue, exchange.vault).fields
        else:
            asked = Question(leaf.resource, subject, leaf.claims, matter.code, case.reference)
            fields = prepare_question(asked, exchange.catalogue, exchange.vault).fields
        held = await exchange.grants.of(caller.id, leaf.resource)
        covering_grant(held, Mode(leaf.mode), fields, matter.code, now)
    except DomainError:
        return False
    return True


def _row(
    planning: Planning,
    material_id: str,
    matter: Matter,
    outcomes: Mapping[str, Judged],
    asked: Asked,
    earlier: Mapping[str, Sequence[uuid.UUID]],
    by_template: Mapping[str, Sequence[uuid.UUID]],
    case: Case,
    now: datetime,
) -> MaterialRow:
    material = next(each for each in matter.materials if each.id == material_id)
    outcome = outcomes[material_id]
    state, until, remind = outcome.state, None, None
    settled_by = None
    records = [
        uuid.UUID(asked.statements[asked.statement_of[number]].answer.record)
        for number in outcome.asked
        if number in asked.statement_of
    ]
    if material_id in earlier and material_id not in case.brought:
        state, settled_by = State.SETTLED, "consent"
        records = list(earlier[material_id])
    elif state is State.SETTLED:
        settled_by = "commitment" if outcome.templates else "evidence"
        records += [record for template in outcome.templates for record in by_template[template]]
    elif state is State.TO_BRING and material.may_follow_days is not None:
        state = State.MAY_FOLLOW
        until, remind = following(
            planning.calendar, now, material.may_follow_days, planning.exchange.settings.remind_working_days
        )
    return MaterialRow(
        material=material_id,
        required=material.required,
        state=state.value,
        reasons=tuple(dict.fromkeys(reason.value for reason in outcome.reasons)),
        records=tuple(dict.fromkeys(records)),
        settled_by=settled_by,
        settled_at=now if state is State.SETTLED else None,
        follows_until=until,
        remind_at=remind,
    )


def _shown(
    material_id: str,
    matter: Matter,
    row: MaterialRow,
    outcome: Judged,
    asked: Asked,
    offers: Sequence[OfferRow],
) -> dict[str, Any]:
    material = next(each for each in matter.materials if each.id == material_id)
    said: dict[str, Any] = {
        "id": material.id,
        "name": material.name,
        "required": material.required,
        "state": row.state,
        "reasons": list(row.reasons),
        "answers": sorted(
            {asked.statement_of[number] for number in outcome.asked if number in asked.statement_of}
        ),
    }
    if row.settled_by is not None:
        said["settled_by"] = row.settled_by
    if row.records:
        said["records"] = [str(each) for each in row.records]
    if row.follows_until is not None:
        # The last moment of the last day.
        said["follows_until"] = (row.follows_until - timedelta(seconds=1)).isoformat()
    own = [each for each in offers if each.material == material_id]
    if consents := [str(each.id) for each in own if each.kind == "consent"]:
        said["consents"] = consents
        said["consent_by_code"] = material.consent_by_code
    if row.state == State.BY_COMMITMENT.value:
        by_template = {each.template: str(each.id) for each in own if each.kind == "commitment"}
        said["commitments"] = [
            {"template": template, "offer": by_template.get(template)} for template in outcome.templates
        ]
    return said
