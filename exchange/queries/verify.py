"""One verification, told in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.audit.receipt import answer_digest, receipt
from exchange.audit.record import prepare
from exchange.grants.grant import Mode, covering_grants, for_subject
from exchange.grants.scope import division_of
from exchange.ports import Exchange
from exchange.queries.answer import PURPOSE as PURPOSE
from exchange.queries.answer import TYPE as TYPE
from exchange.queries.answer import Verdict, compare, statement
from exchange.queries.authorise import Question, prepare_question
from exchange.queries.live import verify_live
from exchange.registers.schemas import opened
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.signing import canonical_json, sign_compact


@dataclass(frozen=True, slots=True)
class Answered:
    """A signed answer (compact JWS), its results and its receipt, for the reply."""

    jws: str
    results: dict[str, Verdict]
    receipt: dict[str, str]


async def verify(exchange: Exchange, caller: Principal, question: Question, now: datetime) -> Answered:
    """Answer whether claims about a subject hold.

    1. Check the question against the catalogue; blind the subject.
    2. Decide by the caller's grants; fetch the subject's row. Of a grant for some divisions, the row's tells whether
       it holds, and a subject without a row is refused as one from elsewhere is.
    3. Count the use of the grant. Only then open the row and compare.
    4. Write the access record, durably. Dying before this, nothing was answered; dying after it, a record stands
       without an answer, which discloses nothing.
    5. Sign the very statement that the record commits to, with the receipt, and hand it out.

    A refusal in steps 1 to 3 is recorded too, and raised only when its record is durable.
    """
    subject: bytes | None = None
    try:
        prepared = prepare_question(question, exchange.catalogue, exchange.vault)
        subject = prepared.subject
        source = exchange.relays.get(question.resource)
        if source is not None:
            return Answered(*await verify_live(exchange, caller, prepared, source, now))
        register = prepared.resource.register
        given = await exchange.grants.of(caller.id, question.resource)
        covering = covering_grants(given, Mode.VERIFY, prepared.fields, question.matter, now)
        row = await exchange.lookups.find(register, prepared.subject)
        division = None if row is None else division_of(register.name, row.content)
        grant = await exchange.grants.take(for_subject(covering, division), now)
    except DomainError as refusal:
        await exchange.recorder.record(
            prepare(
                "verify",
                "refused",
                caller,
                now,
                subject=subject,
                reason=refusal.code,
                **_asked(question),
            )
        )
        raise
    values = None
    if row is not None:
        values = opened(exchange.vault, register, prepared.subject, row.content, row.sealed)
    results = compare(question.claims, values)
    answer = statement(prepared, grant, row, results, caller, exchange.settings.base_url, now)
    record = prepare(
        "verify",
        "answered",
        caller,
        now,
        subject=prepared.subject,
        grant=str(grant.id),
        purpose=grant.purpose,
        answer_sha256=answer_digest(answer),
        **_asked(question),
    )
    await exchange.recorder.record(record)
    promise = receipt(record, exchange.settings.ledger_origin)
    payload = canonical_json(answer | {"receipt": promise})
    return Answered(sign_compact(exchange.keys.signer(PURPOSE), payload, TYPE), results, promise)


def _asked(question: Question) -> dict[str, Any]:
    # Which fields, not which values: what an applicant claims is nobody's business in the log.
    return {
        "resource": question.resource,
        "fields": sorted(question.claims),
        "matter": question.matter,
        "case": question.case,
    }
