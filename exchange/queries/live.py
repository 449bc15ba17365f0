"""Questions about a resource that is live: the grant is decided here, the answer comes from there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.catalog.resource import Field
from exchange.grants.grant import Mode
from exchange.ports import Exchange
from exchange.queries.admit import Admitted
from exchange.queries.answer import statement
from exchange.queries.attest import Attested, attest
from exchange.queries.authorise import Inquiry, Prepared, Question
from exchange.queries.compare import Verdict, another_name
from exchange.queries.masking import hidden, masked
from exchange.relaying.asked import Asked, Relayed, said_of_source
from exchange.relaying.source import LiveSource
from foundation.identity.principals import Principal


async def verify_live(
    exchange: Exchange,
    caller: Principal,
    prepared: Prepared,
    admitted: Admitted,
    source: LiveSource,
    now: datetime,
) -> tuple[str, dict[str, Verdict], dict[str, str]]:
    """Answer by asking the source; return the signed answer, its results and its receipt.

    1. Ask the source, and check its answer (`Relays.ask`). All comparisons are its own, also those that are made here
       for other resources.
    2. Write the access record with the digests of both answers, durably.
    3. Sign our answer, which says that it was live and holds the source's own inside, and hand it out.

    Raises:
        SourceLate, SourceUnavailable, SourceAnswerInvalid, SourceRefused: no good answer; who calls this records it.
        TooManyUnknown: the source does not know the subject, or by another name, and that is one too many.
    """
    question = prepared.question
    assert isinstance(question, Question)
    relayed = await exchange.relays.ask(source, _asked(caller, prepared, admitted, question.claims, ()))
    results = {name: Verdict(result) for name, result in relayed.results.items()}
    if not relayed.knows or another_name(prepared.compared(), results):
        await exchange.misses.note(caller.id, prepared.subject, now)
    told = {"claims": dict(question.claims), "results": dict(relayed.results)}
    said = said_of_source(source, relayed)
    attested = await _attested(
        exchange, Mode.VERIFY, caller, prepared, admitted, relayed, {**told, **said}, now
    )
    return attested.jws, results, attested.receipt


async def query_live(
    exchange: Exchange,
    caller: Principal,
    prepared: Prepared,
    admitted: Admitted,
    source: LiveSource,
    now: datetime,
) -> tuple[str, Disclosed, dict[str, str]]:
    """Disclose fields by asking the source; return the signed answer, what it discloses, and its receipt.

    Steps as of `verify_live`. The source discloses the fields to the exchange in clear; what the grant does not
    disclose so is masked here, and then the source's own answer does not go out with ours, but its digest.

    Raises:
        SourceLate, SourceUnavailable, SourceAnswerInvalid, SourceRefused: no good answer; who calls this records it.
        TooManyUnknown: the source does not know the subject, and that is one too many.
    """
    question = prepared.question
    assert isinstance(question, Inquiry)
    relayed = await exchange.relays.ask(source, _asked(caller, prepared, admitted, {}, question.fields))
    if not relayed.knows:
        await exchange.misses.note(caller.id, prepared.subject, now)
    details = prepared.resource.details
    concealed = hidden(prepared.fields, admitted.grant.clear_fields, details)
    shown = disclosed(relayed, concealed, details)
    told = {
        "fields": sorted(prepared.fields),
        "found": shown.found,
        "values": shown.values,
        "masked": list(shown.masked),
    }
    said = said_of_source(source, relayed, concealed)
    attested = await _attested(
        exchange, Mode.QUERY, caller, prepared, admitted, relayed, {**told, **said}, now
    )
    return attested.jws, shown, attested.receipt


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What an answer tells of fields: values as they may be shown, and the names of those that are masked."""

    found: bool
    values: dict[str, Any]
    masked: tuple[str, ...]


def disclosed(relayed: Relayed, concealed: Collection[str], details: Mapping[str, Field]) -> Disclosed:
    """Return what may be shown of what a source disclosed; what it masked itself stays as it is.

    Args:
        concealed: fields to be masked here.
    """
    values = {
        name: masked(value, details[name].masking) if name in concealed else value
        for name, value in sorted((relayed.values or {}).items())
    }
    hiding = relayed.masked.union(concealed)
    return Disclosed(
        relayed.values is not None,
        values,
        tuple(name for name, value in values.items() if value is not None and name in hiding),
    )


def _asked(
    caller: Principal,
    prepared: Prepared,
    admitted: Admitted,
    claims: Mapping[str, Any],
    fields: tuple[str, ...],
) -> Asked:
    question = prepared.question
    return Asked(
        resource=question.resource,
        subject_kind=prepared.resource.subject_kind,
        subject=question.subject,
        claims=claims,
        matter=question.matter,
        case=question.case,
        purpose=admitted.grant.purpose,
        client=caller.id,
        client_department=caller.department,
        fields=fields,
    )


async def _attested(
    exchange: Exchange,
    mode: Mode,
    caller: Principal,
    prepared: Prepared,
    admitted: Admitted,
    relayed: Relayed,
    told: Mapping[str, Any],
    now: datetime,
) -> Attested:
    assert admitted.source is not None
    base_url = exchange.settings.base_url
    answer = statement(mode, prepared, admitted, caller, base_url, now, **told, freshness={})
    return await attest(
        exchange,
        mode,
        caller,
        prepared,
        admitted,
        answer,
        now,
        live_department=admitted.source.department,
        source_answer_sha256=relayed.digest,
    )
