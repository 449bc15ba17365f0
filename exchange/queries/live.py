"""A verification of a resource that is live: the grant is decided here, the claims are compared there."""

from __future__ import annotations

from datetime import datetime

from exchange.grants.grant import Mode
from exchange.ports import Exchange
from exchange.queries.admit import Admitted
from exchange.queries.answer import statement
from exchange.queries.attest import attest
from exchange.queries.authorise import Prepared, Question
from exchange.queries.compare import Verdict
from exchange.relaying.asked import Asked, said_of_source
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
    """
    question = prepared.question
    assert isinstance(question, Question)
    asked = Asked(
        resource=question.resource,
        subject_kind=prepared.resource.subject_kind,
        subject=question.subject,
        claims=question.claims,
        matter=question.matter,
        case=question.case,
        purpose=admitted.grant.purpose,
        client=caller.id,
        client_department=caller.department,
    )
    relayed = await exchange.relays.ask(source, asked)
    results = {name: Verdict(result) for name, result in relayed.results.items()}
    told = {
        "claims": dict(question.claims),
        "results": dict(relayed.results),
        **said_of_source(source, relayed),
        "freshness": {},
    }
    answer = statement(Mode.VERIFY, prepared, admitted, caller, exchange.settings.base_url, now, **told)
    attested = await attest(
        exchange,
        Mode.VERIFY,
        caller,
        prepared,
        admitted,
        answer,
        now,
        live_department=source.department,
        source_answer_sha256=relayed.digest,
    )
    return attested.jws, results, attested.receipt
