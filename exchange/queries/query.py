"""One query, told in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.grants.grant import Mode
from exchange.ports import Exchange
from exchange.queries.admit import admit
from exchange.queries.answer import statement
from exchange.queries.attest import attest, record_refusal
from exchange.queries.authorise import Inquiry, prepare_inquiry
from exchange.queries.live import query_live
from exchange.queries.masking import hidden, masked
from foundation.errors import DomainError
from foundation.identity.principals import Principal


@dataclass(frozen=True, slots=True)
class Queried:
    """A signed answer (compact JWS) with what it says, and its receipt, for the reply.

    Args:
        found: the register knows the subject.
        values: field → value, None where the register has none; empty where it does not know the subject.
        masked: fields whose values are masked.
    """

    jws: str
    found: bool
    values: dict[str, Any]
    masked: tuple[str, ...]
    receipt: dict[str, str]


async def query(exchange: Exchange, caller: Principal, inquiry: Inquiry, now: datetime) -> Queried:
    """Disclose fields of a subject, as far as a grant goes; sensitive ones masked unless it says otherwise.

    Steps and their order are those of a verification (`verify`): check and blind, decide, count, open, record, sign.
    What is signed is what is disclosed: masked, where that is. What is live at its department is asked there
    (`query_live`).
    """
    subject: bytes | None = None
    try:
        prepared = prepare_inquiry(inquiry, exchange.catalogue, exchange.vault)
        subject = prepared.subject
        admitted = await admit(exchange, caller, Mode.QUERY, prepared, now)
        if admitted.source is not None:
            jws, shown, promise = await query_live(exchange, caller, prepared, admitted, admitted.source, now)
            return Queried(jws, shown.found, shown.values, shown.masked, promise)
    except DomainError as refusal:
        await record_refusal(exchange, Mode.QUERY, caller, inquiry, subject, refusal, now)
        raise
    known, details = admitted.known, prepared.resource.details
    concealed = hidden(prepared.fields, admitted.grant.clear_fields, details)
    values: dict[str, Any] = {}
    source = None
    if known is not None:
        record = known.values()
        for name in sorted(prepared.fields):
            value = record.get(name)
            values[name] = masked(value, details[name].masking) if name in concealed else value
        source = known.sources(prepared.fields)
    hidden_and_there = tuple(sorted(name for name in concealed if values.get(name) is not None))
    answer = statement(
        Mode.QUERY,
        prepared,
        admitted,
        caller,
        exchange.settings.base_url,
        now,
        fields=sorted(prepared.fields),
        found=known is not None,
        values=values,
        masked=list(hidden_and_there),
        source=source,
        freshness=await exchange.freshness.of(source.split(", ") if source else ()),
    )
    attested = await attest(exchange, Mode.QUERY, caller, prepared, admitted, answer, now)
    return Queried(attested.jws, known is not None, values, hidden_and_there, attested.receipt)
