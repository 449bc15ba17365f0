"""One verification, told in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchange.grants.grant import Mode
from exchange.ports import Exchange
from exchange.queries.admit import Admitted, admit
from exchange.queries.answer import statement
from exchange.queries.attest import attest, record_refusal
from exchange.queries.authorise import Prepared, Question, prepare_question
from exchange.queries.compare import Verdict, another_name, compare
from exchange.queries.elsewhere import About, Told, look_elsewhere, require_known_types
from exchange.queries.live import verify_live
from foundation.civil import civil_date
from foundation.errors import DomainError
from foundation.identity.principals import Principal


@dataclass(frozen=True, slots=True)
class Answered:
    """A signed answer (compact JWS), its results and its receipt, for the reply."""

    jws: str
    results: dict[str, Verdict]
    receipt: dict[str, str]


async def verify(exchange: Exchange, caller: Principal, question: Question, now: datetime) -> Answered:
    """Answer whether claims about a subject hold.

    1. Check the question against the catalogue; blind the subject.
    2. Decide by the caller's grants; fetch what is known of the subject. Of a grant for some divisions, the subject's
       tells whether it holds, and a subject that is not known is refused as one from elsewhere is.
    3. Count the use of the grant. What is live at its department is asked there (`verify_live`). Only then open what
       is known and compare; count a miss, if it is one, and refuse one too many. Look elsewhere for what stands in no
       row.
    4. Write the access record, durably. Dying before this, nothing was answered; dying after it, a record stands
       without an answer, which discloses nothing.
    5. Sign the very statement that the record commits to, with the receipt, and hand it out.

    A refusal in steps 1 to 3 is recorded too, and raised only when its record is durable.
    """
    subject: bytes | None = None
    try:
        prepared = prepare_question(question, exchange.catalogue, exchange.vault)
        require_known_types(exchange, prepared.claims)
        subject = prepared.subject
        admitted = await admit(exchange, caller, Mode.VERIFY, prepared, now)
        if admitted.source is not None:
            return Answered(*await verify_live(exchange, caller, prepared, admitted, admitted.source, now))
        known, today = admitted.known, civil_date(now)
        results = compare(prepared.claims, None if known is None else known.values(), today)
        if another_name(prepared.compared(), results):
            await exchange.misses.note(caller.id, prepared.subject, now)
    except DomainError as refusal:
        await record_refusal(exchange, Mode.VERIFY, caller, question, subject, refusal, now)
        raise
    elsewhere: dict[str, Told] = {}
    if len(results) < len(prepared.claims):
        subjects = [prepared.subject]
        if known is not None and known.merged:
            subjects.append(known.subject)
        (elsewhere,) = await look_elsewhere(exchange, [About(prepared.claims, subjects)], today)
        results |= {name: verdict for name, (verdict, _) in elsewhere.items()}
    told = {
        "claims": dict(question.claims),
        "results": {name: verdict.value for name, verdict in results.items()},
        **await _sources(exchange, prepared, admitted, elsewhere),
    }
    answer = statement(Mode.VERIFY, prepared, admitted, caller, exchange.settings.base_url, now, **told)
    attested = await attest(exchange, Mode.VERIFY, caller, prepared, admitted, answer, now)
    return Answered(attested.jws, results, attested.receipt)


async def _sources(
    exchange: Exchange, prepared: Prepared, admitted: Admitted, elsewhere: dict[str, Told]
) -> dict[str, object]:
    """Return what the statement says of its sources: of what is known, of what was found elsewhere, how fresh."""
    known = admitted.known
    compared = [field for claim in prepared.claims for field in claim.fields]
    source = None if known is None or not compared else known.sources(compared)
    others = {name: source for name, (_, source) in elsewhere.items()}
    said: dict[str, object] = {"source": source}
    if others:
        said["sources"] = others
    names = {name for text in (source, *others.values()) if text for name in text.split(", ")}
    return said | {"freshness": await exchange.freshness.of(names)}
