"""The end of every question: its record, durable first, and then the signature over what was recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.audit.receipt import receipt
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
RECEIPT = "receipt"


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
        answer: the statement without its receipt (`exchange.queries.answer.statement`).
        further: facts of the record.
    """
    # The statement is spelled once: the receipt goes between its members, in their order.
    before = canonical_json({name: value for name, value in answer.items() if name < RECEIPT})[:-1]
    after = canonical_json({name: value for name, value in answer.items() if name > RECEIPT})[1:]
    record = prepare(
        mode.value,
        "answered",
        caller,
        now,
        subject=prepared.subject,
        grant=str(admitted.grant.id),
        purpose=admitted.grant.purpose,
        answer_sha256=hashlib.sha256(b"%b,%b" % (before, after)).hexdigest(),
        **_asked(prepared.question, sorted(prepared.fields)),
        **merged(admitted),
        **further,
    )
    promise = receipt(record, exchange.settings.ledger_origin)
    payload = b'%b,"%b":%b,%b' % (before, RECEIPT.encode(), canonical_json(promise), after)
    jws = await exchange.recorder.record_then(
        record, lambda: sign_compact(exchange.keys.signer(PURPOSE), payload, TYPE)
    )
    return Attested(jws, promise)


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
