"""What a share request is, and what an act makes of it: rules without database."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any

from exchange.catalog.resources import ReadsFrom, Resource
from exchange.deadlines import Deadlines
from exchange.grants.grant import Hours, Mode
from exchange.requests.states import STEPS, Action, Actor, State, next_state
from foundation.civil import civil_date
from foundation.errors import DomainError
from foundation.language import _, both
from foundation.workdays import is_past

NOT_SHARED = "not-shared"
UNCONDITIONAL = "unconditional"
NOT_ON_PLATFORM = "not-on-platform"
"""Class of requests for what the catalogue does not hold, or nothing brings, yet."""


class RequestInvalid(DomainError):
    code = "request-invalid"


class ScopeTooWide(DomainError):
    code = "scope-too-wide"


class DisputeNotOpen(DomainError):
    code = "dispute-not-open"


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is asked for, or granted.

    Args:
        clear_fields: sensitive fields that a query discloses unmasked.
        per_day: subjects a day.
        divisions: the subject's division begins with one of these (2, 4 or 6 digits); empty: anywhere.
        until: when it ends.
        per_minute: subjects a minute; None: as many as a day allows.
        hours: local time of day; None: always.
    """

    fields: frozenset[str]
    matters: frozenset[str]
    modes: frozenset[Mode]
    per_day: int
    until: datetime
    clear_fields: frozenset[str] = frozenset()
    divisions: frozenset[str] = frozenset()
    per_minute: int | None = None
    hours: Hours | None = None

    def excess(self, other: Scope) -> str | None:
        """Return the name of the first member in which this goes beyond another; None if in none."""
        for name in ("fields", "matters", "modes", "clear_fields"):
            if getattr(self, name) - getattr(other, name):
                return name
        if other.divisions and not (
            self.divisions and all(each.startswith(tuple(other.divisions)) for each in self.divisions)
        ):
            return "divisions"
        if self.per_day > other.per_day:
            return "per_day"
        if other.per_minute is not None and (self.per_minute is None or self.per_minute > other.per_minute):
            return "per_minute"
        if other.hours is not None and (self.hours is None or not self.hours.within(other.hours)):
            return "hours"
        return "until" if self.until > other.until else None

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "fields": sorted(self.fields),
            "matters": sorted(self.matters),
            "modes": sorted(self.modes),
            "per_day": self.per_day,
            "until": self.until.isoformat(),
            "clear_fields": sorted(self.clear_fields),
            "divisions": sorted(self.divisions),
            "per_minute": self.per_minute,
            "hours": None
            if self.hours is None
            else {"from": _spelled(self.hours.begin), "to": _spelled(self.hours.end)},
        }

    @classmethod
    def read(cls, document: dict[str, Any]) -> Scope:
        """Read what `document` wrote; what was written before requests had hours and quotas a minute has none."""
        hours = document.get("hours")
        return cls(
            frozenset(document["fields"]),
            frozenset(document["matters"]),
            frozenset(Mode(name) for name in document["modes"]),
            document["per_day"],
            datetime.fromisoformat(document["until"]),
            frozenset(document["clear_fields"]),
            frozenset(document["divisions"]),
            document.get("per_minute"),
            None
            if hours is None
            else Hours(time.fromisoformat(hours["from"]), time.fromisoformat(hours["to"])),
        )


def _spelled(at: time) -> str:
    return at.isoformat("auto" if at.second or at.microsecond else "minutes")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a department asks for.

    Args:
        resource: id in the catalogue; of what is not in there yet, the id that it might have.
        title: what it is, in words; needed where the catalogue does not hold it.
        owner: code of the department that has it; needed in the same case, else the catalogue's counts.
    """

    resource: str
    title: str | None
    owner: str | None
    scope: Scope
    purpose: str
    legal_basis: str


@dataclass(frozen=True, slots=True)
class ShareRequest:
    """A request and what became of it.

    Args:
        client_id: system that asks, for itself; `department`: its department's code.
        owner: code of the department that answers; empty where the catalogue names none, and then the sharing
            authority answers.
        sharing_class: of the resource when it was asked for, or `not-on-platform`.
        step_since: when the state began; `due_on`: the last day of the term of its step, None where none runs.
        overdue_at: when it was told that this term has passed.
        checked_at: when the term of the answer began.
        answer: `grant`, `grant-in-part`, `refuse` or None; `answer_days`: working days that it took.
        granted: what was granted, by the answer or by the decision on a dispute.
        grant_id: the grant that stands, or stood last.
    """

    id: uuid.UUID
    client_id: str
    department: str
    owner: str
    sharing_class: str
    asked: Asked
    state: State
    submitted_at: datetime
    step_since: datetime
    due_on: date | None
    overdue_at: datetime | None = None
    checked_at: datetime | None = None
    answer: str | None = None
    answered_at: datetime | None = None
    answered_in_time: bool | None = None
    answer_days: int | None = None
    reason: str | None = None
    legal_basis: str | None = None
    granted: Scope | None = None
    grant_id: uuid.UUID | None = None
    disputed_at: datetime | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does to a request.

    Args:
        asked: what is asked for now, where it is submitted again.
        scope: what is granted; None: all that was asked for.
        reason: why; needed where something is returned, refused, granted in part, disputed, decided or ended.
        legal_basis: that a refusal rests on.
        grant_id: of the grant that providing makes.
    """

    action: Action
    asked: Asked | None = None
    scope: Scope | None = None
    reason: str | None = None
    legal_basis: str | None = None
    grant_id: uuid.UUID | None = field(default=None, compare=False)

    def document(self) -> dict[str, Any]:
        """Return what was said with it, as JSON, without members that say nothing."""
        said: dict[str, Any] = {
            "scope": None if self.scope is None else self.scope.document(),
            "reason": self.reason,
            "legal_basis": self.legal_basis,
            "resource": None if self.asked is None else self.asked.resource,
            "asked": None if self.asked is None else self.asked.scope.document(),
            "purpose": None if self.asked is None else self.asked.purpose,
        }
        return {name: value for name, value in said.items() if value is not None}


_NEEDS_REASON = frozenset(
    {
        Action.RETURN,
        Action.REFUSE,
        Action.GRANT_IN_PART,
        Action.DISPUTE,
        Action.DECIDE_FOR_REQUESTER,
        Action.DECIDE_FOR_OWNER,
        Action.END,
    }
)


def submitted(
    request_id: uuid.UUID,
    client_id: str,
    department: str,
    asked: Asked,
    resource: Resource | None,
    deadlines: Deadlines,
    now: datetime,
) -> ShareRequest:
    """Return a new request.

    Args:
        resource: what the catalogue holds by the id that is asked for, if anything.

    Raises:
        FieldUnknown, RequestInvalid: what is asked for makes no sense.
    """
    owner, kind = _whose(asked, resource, now)
    return ShareRequest(
        id=request_id,
        client_id=client_id,
        department=department,
        owner=owner,
        sharing_class=kind,
        asked=asked,
        state=next_state(None, Action.SUBMIT, Actor.REQUESTER),
        submitted_at=now,
        step_since=now,
        due_on=deadlines.due_on(owner, kind, "check", now),
    )


def applied(
    request: ShareRequest,
    act: Act,
    actor: Actor,
    resource: Resource | None,
    deadlines: Deadlines,
    now: datetime,
) -> ShareRequest:
    """Return what a request is after an act.

    Args:
        resource: what the catalogue holds today by the id that is asked for, if anything.

    Raises:
        RequestStateWrong, RequestActorWrong: not now, or not by them.
        RequestInvalid: something is missing in what was said.
        ScopeTooWide: more would be granted than was asked for or than there is.
        DisputeNotOpen: there is nothing to dispute yet, or no more.
    """
    state = next_state(request.state, act.action, actor, _target(request, act))
    if act.action in _NEEDS_REASON and act.reason is None:
        raise RequestInvalid(_("a reason is needed"), pointer="/reason")
    after = replace(request, state=state, step_since=now, overdue_at=None)
    match act.action:
        case Action.RESUBMIT:
            assert act.asked is not None
            if act.asked.resource != request.asked.resource:
                raise RequestInvalid(_("another resource is another request"), pointer="/resource")
            owner, kind = _whose(act.asked, resource, now)
            after = replace(after, asked=act.asked, owner=owner, sharing_class=kind, submitted_at=now)
        case Action.CHECK:
            after = replace(after, checked_at=now)
        case Action.GRANT | Action.GRANT_IN_PART | Action.REFUSE:
            after = _answered(after, request, act, deadlines, now)
        case Action.PROVIDE:
            assert act.grant_id is not None
            after = replace(after, grant_id=act.grant_id)
        case Action.DISPUTE:
            _require_dispute(request, now)
            after = replace(after, disputed_at=now)
        case Action.DECIDE_FOR_REQUESTER:
            scope = act.scope or request.asked.scope
            _require_within(scope, request.asked.scope)
            after = replace(after, granted=scope, decided_at=now, reason=act.reason)
        case Action.DECIDE_FOR_OWNER:
            after = replace(after, decided_at=now, reason=act.reason)
        case Action.RETURN | Action.END | Action.WITHDRAW:
            after = replace(after, reason=act.reason)
    step = STEPS.get(state)
    due_on = None if step is None else deadlines.due_on(after.owner, after.sharing_class, step, now)
    return replace(after, due_on=due_on)


def followed_by(request: ShareRequest, action: Action, resource: Resource | None) -> Act | None:
    """Return what the exchange itself does next, where the class leaves no choice; None: nothing.

    Args:
        action: what was just done.
    """
    if request.sharing_class == NOT_SHARED and request.state is State.SUBMITTED:
        basis = None if resource is None else resource.legal_basis
        return Act(Action.REFUSE, reason=both(_("by law the resource is not shared")), legal_basis=basis)
    if request.sharing_class == UNCONDITIONAL:
        if action is Action.CHECK:
            return Act(Action.GRANT)
        if action is Action.GRANT:
            return Act(Action.PROVIDE, grant_id=uuid.uuid4())
    return None


def granted_scope(request: ShareRequest, resource: Resource) -> Scope:
    """Return what a grant may hold: what was granted, and no more than was asked for and than there is.

    Raises:
        FieldUnknown: the resource has lost a field, or never had it.
        ScopeTooWide, RequestInvalid: as they say.
    """
    scope = request.granted
    if scope is None:
        raise RequestInvalid(_("nothing was granted"))
    _require_within(scope, request.asked.scope)
    resource.require_fields(scope.fields, "/fields")
    return scope


def _target(request: ShareRequest, act: Act) -> State | None:
    if act.action is not Action.DECIDE_FOR_OWNER:
        return None
    if request.grant_id is not None:
        return State.PROVIDED
    return State.DECIDED_REFUSED if request.granted is None else State.DECIDED_GRANTED


def _whose(asked: Asked, resource: Resource | None, now: datetime) -> tuple[str, str]:
    if not asked.scope.clear_fields <= asked.scope.fields:
        raise RequestInvalid(_("fields in clear are fields that are asked for"), pointer="/clear_fields")
    if asked.scope.until <= now:
        raise RequestInvalid(_("it would have ended already"), pointer="/until")
    if resource is not None:
        resource.require_fields(asked.scope.fields, "/fields")
        nowhere = resource.reads_from == ReadsFrom.NOWHERE and resource.sharing_class != NOT_SHARED
        return resource.department, NOT_ON_PLATFORM if nowhere else resource.sharing_class
    if asked.title is None or asked.owner is None:
        raise RequestInvalid(
            _("the catalogue does not hold it: say what it is and which department has it"),
            pointer="/title" if asked.title is None else "/owner",
        )
    return asked.owner, NOT_ON_PLATFORM


def _answered(
    after: ShareRequest, before: ShareRequest, act: Act, deadlines: Deadlines, now: datetime
) -> ShareRequest:
    granted = None
    if act.action is Action.GRANT:
        granted = before.asked.scope
    elif act.action is Action.GRANT_IN_PART:
        if act.scope is None:
            raise RequestInvalid(_("say what is granted"), pointer="/scope")
        _require_within(act.scope, before.asked.scope)
        if act.scope == before.asked.scope:
            raise RequestInvalid(_("this is all that was asked for: grant it"), pointer="/scope")
        granted = act.scope
    began = before.checked_at or before.submitted_at
    days = deadlines.calendar.working_days_between(civil_date(began), civil_date(now))
    return replace(
        after,
        answer=act.action.value,
        answered_at=now,
        answered_in_time=before.due_on is None or not is_past(before.due_on, now),
        answer_days=days,
        granted=granted,
        reason=act.reason,
        legal_basis=act.legal_basis,
    )


def _require_within(scope: Scope, asked: Scope) -> None:
    if not (scope.fields and scope.matters and scope.modes and scope.per_day > 0):
        raise RequestInvalid(_("nothing would be granted"), pointer="/scope")
    name = scope.excess(asked)
    if name is None and not scope.clear_fields <= scope.fields:
        name = "clear_fields"
    if name is not None:
        raise ScopeTooWide(_("more than was asked for: {member}"), pointer=f"/scope/{name}", member=name)


def _require_dispute(request: ShareRequest, now: datetime) -> None:
    late = request.due_on is not None and is_past(request.due_on, now)
    answered_less = request.answer in {Action.REFUSE, Action.GRANT_IN_PART}
    if request.decided_at is not None or not (late or answered_less):
        raise DisputeNotOpen(
            _("only a refusal, a grant in part or a term that has passed can be disputed, once")
        )
