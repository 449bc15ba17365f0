"""One verification, told in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.audit.receipt import answer_digest, receipt
from exchange.audit.record import prepare
from exchange.ports import Exchange
from exchange.queries.answer import Verdict, compare, statement
from exchange.queries.authorise import Question, decide, prepare_question
from exchange.registers.schemas import opened
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.signing import canonical_json, sign_compact

PURPOSE = "answer"
TYPE = "zhengtong-answer+jwt"


@dataclass(frozen=True, slots=True)
class Answered:
    """A signed answer (compact JWS), its results and its receipt, for the reply."""

    jws: str
    results: dict[str, Verdict]
    receipt: dict[str, str]


async def verify(exchange: Exchange, caller: Principal, question: Question, now: datetime) -> Answered:
    """Answer whether claims about a subject hold.

    1. Check the question against the catalogue; blind the subject.
    2. Fetch the caller's grants and the subject's row in one statement.
    3. Decide by the grants alone. Only then open the row and compare.
    4. Write the access record, durably. Dying before this, nothing was answered; dying after it, a record stands
       without an answer, which discloses nothing.
    5. Sign the very statement that the record commits to, with the receipt, and hand it out.

    A refusal in steps 1 to 3 is recorded too, and raised only when its record is durable.
    """
    subject: bytes | None = None
    try:
        prepared = prepare_question(question, exchange.catalogue, exchange.vault)
        subject = prepared.subject
        found = await exchange.lookups.find(
            prepared.resource.register, caller.id, question.resource, prepared.subject
        )
        grant = decide(prepared, found, now)
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
    if found.row is not None:
        values = opened(
            exchange.vault, prepared.resource.register, prepared.subject, found.row.content, found.row.sealed
        )
    results = compare(question.claims, values)
    answer = statement(prepared, grant, found.row, results, caller, exchange.settings.base_url, now)
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
