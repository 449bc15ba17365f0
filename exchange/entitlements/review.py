"""A department starts a run, reviews whom it found, and only then somebody is told."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from exchange.audit.record import prepare, record_within
from exchange.entitlements import tables
from exchange.entitlements.answer import tell_due
from exchange.entitlements.find import admitted
from exchange.entitlements.rules import Rule, load_rules
from exchange.entitlements.tables import Run
from exchange.ports import Exchange
from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _


class RunNotInReview(DomainError):
    """It is still going through the register, or it failed."""

    code = "run-not-in-review"


class RuleChanged(DomainError):
    """The rule that found them is no longer what it was: nobody can be told by it."""

    code = "rule-changed"


class AnswerDayInvalid(DomainError):
    """A last day to answer that has passed, or where no answer is needed."""

    code = "answer-day-invalid"


class RunStands(DomainError):
    """Another run has this id."""

    code = "run-stands"


async def start(exchange: Exchange, caller: Principal, run_id: uuid.UUID, rule_id: str, now: datetime) -> Run:
    """Start a run of a rule under the caller's grant for batches; the same run again is the one that there is.

    Raises:
        NotFound: no such rule.
        DomainError: what a batch would be refused for; recorded, then raised.
        RunStands: the id is another run's.
    """
    rule = load_rules().get(rule_id)
    if rule is None:
        raise NotFound(_("no such rule"))
    known = await tables.find_run(exchange.pool, run_id)
    if known is None:
        try:
            await admitted(exchange, caller, rule, now)
        except DomainError as refusal:
            await exchange.recorder.record(
                prepare("entitlement-run", "refused", caller, now, rule=rule.id, reason=refusal.code)
            )
            raise
        new = Run(run_id, rule.id, rule.version, caller.id, caller.department, "open", None, b"", 0, now, now)
        async with exchange.pool.acquire() as connection, connection.transaction():
            if await tables.add_run(connection, new):
                await record_within(
                    connection,
                    prepare(
                        "entitlement-run",
                        "started",
                        caller,
                        now,
                        run=str(run_id),
                        rule=rule.id,
                        rule_version=rule.version,
                        matter=rule.matter,
                    ),
                )
                return new
        known = await tables.find_run(exchange.pool, run_id)
        assert known is not None
    if (known.client_id, known.rule) != (caller.id, rule_id):
        raise RunStands(_("another run has this id"), pointer="/id")
    return known


async def own_run(exchange: Exchange, caller: Principal, run_id: uuid.UUID) -> Run:
    """Return a run of the caller's department, or raise NotFound."""
    run = await tables.find_run(exchange.pool, run_id)
    if run is None or run.department != caller.department:
        raise NotFound(_("no such run of your department"))
    return run


async def decide(
    exchange: Exchange,
    caller: Principal,
    run_id: uuid.UUID,
    ids: Sequence[uuid.UUID] | None,
    now: datetime,
    *,
    approved: bool,
    until: date | None = None,
) -> int:
    """Tell those that the department approves of, or drop those it declines; return how many.

    Record and decision stand or fall together; whoever was decided on before stays as they are. Where the rule needs no
    answer of them, the benefit is due at once, and the message that says so goes the same way.

    Args:
        ids: of those found; None: all that nobody decided on yet.
        until: the last day on which they can answer, where the rule needs an answer; None: as the rule says.

    Raises:
        NotFound, RunNotInReview, RuleChanged, AnswerDayInvalid: as they say.
    """
    run = await own_run(exchange, caller, run_id)
    if run.state != "review":
        raise RunNotInReview(_("the run is {state}"), state=run.state)
    answer_until = _answer_until(_rule_of(run), until, civil_date(now)) if approved else None
    async with exchange.pool.acquire() as connection, connection.transaction():
        if approved:
            decided = await tables.told(connection, run_id, ids, answer_until, now)
        else:
            decided = await tables.decline(connection, run_id, ids, now)
        for each in decided:
            await record_within(
                connection,
                prepare(
                    "entitlement-review",
                    each.state,
                    caller,
                    now,
                    subject=each.subject,
                    run=str(run_id),
                    rule=run.rule,
                    found=str(each.id),
                    answer_until=None if each.answer_until is None else each.answer_until.isoformat(),
                ),
            )
            if each.due_at is not None:
                await tell_due(exchange, connection, run, each, now)
    return len(decided)


def _rule_of(run: Run) -> Rule:
    rule = load_rules().get(run.rule)
    if rule is None or rule.version != run.rule_version:
        raise RuleChanged(_("the rule has changed since the run; start another"))
    return rule


def _answer_until(rule: Rule, until: date | None, today: date) -> date | None:
    if rule.acceptance_days is None:
        if until is not None:
            raise AnswerDayInvalid(_("the benefit is given without an answer"), pointer="/until")
        return None
    if until is None:
        return today + timedelta(days=rule.acceptance_days)
    if until < today:
        raise AnswerDayInvalid(_("the last day to answer has passed"), pointer="/until")
    return until
