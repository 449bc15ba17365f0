"""A verification of a resource that is live: the grant is decided here, the claims are compared there."""

from __future__ import annotations

from datetime import datetime

from exchange.audit.receipt import answer_digest, receipt
from exchange.audit.record import prepare
from exchange.grants.grant import Mode, covering_grants, for_subject
from exchange.ports import Exchange
from exchange.queries.answer import PURPOSE, TYPE, Verdict, statement
from exchange.queries.authorise import Prepared
from exchange.relaying.asked import Asked, said_of_source
from exchange.relaying.source import LiveSource
from foundation.identity.principals import Principal
from foundation.signing import canonical_json, sign_compact


async def verify_live(
    exchange: Exchange, caller: Principal, prepared: Prepared, source: LiveSource, now: datetime
) -> tuple[str, dict[str, Verdict], dict[str, str]]:
    """Answer by asking the source; return the signed answer, its results and its receipt.

    1. Decide by the caller's grants, and count the use. Where the subject lives is not known here, so a grant for some
       divisions only does not hold.
    2. Ask the source, and check its answer (`Relays.ask`).
    3. Write the access record with the digests of both answers, durably.
    4. Sign our answer, which says that it was live and holds the source's own inside, and hand it out.

    Raises:
        DomainError: refused, or no good answer came; the caller of this records it.
    """
    question = prepared.question
    given = await exchange.grants.of(caller.id, question.resource)
    covering = covering_grants(given, Mode.VERIFY, prepared.fields, question.matter, now)
    grant = await exchange.grants.take(for_subject(covering, None), now)
    asked = Asked(
        resource=question.resource,
        subject_kind=prepared.resource.subject_kind,
        subject=question.subject,
        claims=question.claims,
        matter=question.matter,
        case=question.case,
        purpose=grant.purpose,
        client=caller.id,
        client_department=caller.department,
    )
    relayed = await exchange.relays.ask(source, asked)
    results = {name: Verdict(result) for name, result in relayed.results.items()}
    answer = statement(
        prepared, grant, None, results, caller, exchange.settings.base_url, now
    ) | said_of_source(source, relayed)
    record = prepare(
        "verify",
        "answered",
        caller,
        now,
        subject=prepared.subject,
        grant=str(grant.id),
        purpose=grant.purpose,
        answer_sha256=answer_digest(answer),
        resource=question.resource,
        fields=sorted(question.claims),
        matter=question.matter,
        case=question.case,
        live_department=source.department,
        source_answer_sha256=relayed.digest,
    )
    await exchange.recorder.record(record)
    promise = receipt(record, exchange.settings.ledger_origin)
    payload = canonical_json(answer | {"receipt": promise})
    return sign_compact(exchange.keys.signer(PURPOSE), payload, TYPE), results, promise
