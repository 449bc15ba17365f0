"""The end of every question: its record, durable first, and then the signature over what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.audit.receipt import answer_digest, receipt
from exchange.audit.record import prepare
from exchange.grants.grant import Mode
from exchange.ports import Exchange
from exchange.queries.admit import Admitted
from exchange.queries.answer import TYPE, merged
from exchange.queries.authorise import Inquiry, Prepared, Question
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.signing import canonical_json, sign_compact

PURPOSE = "answer"


@dataclass(frozen=True, slots=True)
class Attested:
    """A statement as compact JWS, with its receipt."""

    jws: str
    receipt: dict[str, str]


async def attest(
    exchange: Exchange,
    mode: Mode,
    caller: Principal,
    prepared: Prepared,
    admitted: Admitted,
    answer: Mapping[str, Any],
    now: datetime,
    **further: Any,
) -> Attested:
    """Write the access record, durably; then sign the very statement that the record commits to, with the receipt.

    Args:
        further: facts of the record.
    """
    record = prepare(
        mode.value,
        "answered",
        caller,
        now,
        subject=prepared.subject,
        grant=str(admitted.grant.id),
        purpose=admitted.grant.purpose,
        answer_sha256=answer_digest(answer),
        **_asked(prepared.question, sorted(prepared.fields)),
        **merged(admitted),
        **further,
    )
    await exchange.recorder.record(record)
    promise = receipt(record, exchange.settings.ledger_origin)
    payload = canonical_json({**answer, "receipt": promise})
    return Attested(sign_compact(exchange.keys.signer(PURPOSE), payload, TYPE), promise)


async def record_refusal(
    exchange: Exchange,
    mode: Mode,
    caller: Principal,
    question: Question | Inquiry,
    subject: bytes | None,
    refusal: DomainError,
    now: datetime,
) -> None:
    """Write the record of a refusal, durably; the caller then raises it."""
    await exchange.recorder.record(
        prepare(
            mode.value,
            "refused",
            caller,
            now,
            subject=subject,
            reason=refusal.code,
            **_asked(question, question.fields_named()),
        )
    )


def _asked(question: Question | Inquiry, fields: list[str]) -> dict[str, Any]:
    # Which fields, not which values: what an applicant claims is nobody's business in the log.
    return {
        "resource": question.resource,
        "fields": fields,
        "matter": question.matter,
        "case": question.case,
    }
