"""Asking all that a plan needs, in parallel, under one deadline.

Only what is needed is asked: of alternatives the first, and the next when it did not settle, or when it has not
answered by half of the deadline. What has not answered at the deadline counts as late and is given up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import orjson

from exchange.plans.judging import Compiled, Reason, State, Verdict, judged, wanted
from exchange.plans.questions import Bundle, Leaf, bundled
from foundation.errors import DomainError
from foundation.signing import decode_base64url


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question: results by claim (none for a query), the signed statement, its record."""

    results: Mapping[str, str]
    jws: str
    record: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed answer that a plan carries, and which question it is about."""

    resource: str
    role: str
    answer: Answer


@dataclass(slots=True)
class Asked:
    """What is known at the end: verdicts by question, and the statements, by question too."""

    known: dict[int, Verdict] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    statement_of: dict[int, int] = field(default_factory=dict)
    refusals: dict[int, str] = field(default_factory=dict)


AskOne = Callable[[Bundle], Awaitable[Answer]]

NO_GRANT = frozenset(
    {
        "not-granted",
        "grant-not-in-force",
        "mode-not-granted",
        "matter-not-granted",
        "field-not-granted",
        "outside-hours",
        "subject-not-covered",
    }
)
_REASONS = {
    **dict.fromkeys(NO_GRANT, Reason.NO_GRANT),
    "quota-exceeded": Reason.QUOTA,
    "too-many-unknown": Reason.QUOTA,
    "resource-unknown": Reason.NOT_ASKABLE,
    "field-unknown": Reason.NOT_ASKABLE,
    "claim-malformed": Reason.NOT_ASKABLE,
    "subject-malformed": Reason.NOT_ASKABLE,
}
_OF_ONE_LEAF = frozenset({"field-not-granted", "field-unknown", "claim-malformed"})
"""Refusals that may be the fault of one leaf of a shared question: then each is asked alone."""


async def ask_all(
    plan: Compiled,
    leaves: Mapping[int, Leaf],
    asked: Asked,
    ask: AskOne,
    seconds: float,
    signed: AbstractSet[str],
    brought: AbstractSet[str],
) -> None:
    """Ask until every material is decided or the deadline has passed; `asked` is filled in.

    Args:
        leaves: questions that can be asked, by number; all others have a verdict in `asked` already.
        ask: asks one question; raises DomainError for a refusal, which is a reason here. Anything else it raises
            ends the plan.
    """
    began = time.monotonic()
    started: dict[asyncio.Task[None], tuple[Bundle, float]] = {}
    under_way: set[int] = set()
    try:
        while True:
            now = time.monotonic()
            slow = {
                leaf.number
                for bundle, since in started.values()
                if now - since >= seconds / 2
                for leaf in bundle.leaves
            }
            fresh = wanted(plan, asked.known, signed, brought, slow) - under_way
            for bundle in bundled(leaves[number] for number in sorted(fresh)):
                task = asyncio.create_task(_ask(bundle, asked, ask))
                started[task] = (bundle, now)
                under_way |= {leaf.number for leaf in bundle.leaves}
            if all(judged(plan, asked.known, signed, brought, slow).values()) or not started:
                break
            left = began + seconds - time.monotonic()
            if left <= 0:
                break
            turning_slow = [
                since + seconds / 2 - now for _b, since in started.values() if now - since < seconds / 2
            ]
            done, _running = await asyncio.wait(
                started,
                timeout=max(0.001, min([left, *turning_slow])),
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                del started[task]
                task.result()
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)
    for number in leaves:
        asked.known.setdefault(number, Verdict(State.TO_BRING, Reason.LATE))


async def _ask(bundle: Bundle, asked: Asked, ask: AskOne) -> None:
    try:
        answer = await ask(bundle)
    except DomainError as refusal:
        if len(bundle.leaves) > 1 and refusal.code in _OF_ONE_LEAF:
            await asyncio.gather(*(_ask(Bundle((leaf,)), asked, ask) for leaf in bundle.leaves))
            return
        reason = _REASONS.get(refusal.code, Reason.SOURCE_FAILED)
        for leaf in bundle.leaves:
            asked.known[leaf.number] = Verdict(State.TO_BRING, reason)
            asked.refusals[leaf.number] = refusal.code
        return
    place = len(asked.statements)
    asked.statements.append(Statement(bundle.first.resource, bundle.first.role, answer))
    for leaf in bundle.leaves:
        asked.statement_of[leaf.number] = place
        asked.known[leaf.number] = verdict(leaf, answer)


def verdict(leaf: Leaf, answer: Answer) -> Verdict:
    """Say whether an answer settles a piece of evidence: all its claims match, or all its fields are told."""
    if leaf.mode == "query":
        values: Any = payload(answer.jws).get("values") or {}
        told = all(values.get(name) is not None for name in leaf.fields)
        return Verdict(State.SETTLED) if told else Verdict(State.TO_BRING, Reason.UNKNOWN)
    results = {answer.results[name] for name in leaf.claims}
    if results == {"match"}:
        return Verdict(State.SETTLED)
    return Verdict(State.TO_BRING, Reason.MISMATCH if "mismatch" in results else Reason.UNKNOWN)


def payload(jws: str) -> dict[str, Any]:
    """Return what one of our own statements says; its signature is not looked at."""
    said: dict[str, Any] = orjson.loads(decode_base64url(jws.split(".")[1]))
    return said
