"""What a grant is, and the rules whether it makes sense and covers a request."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from typing import Any

from exchange.catalog.resources import Catalogue, require_resource
from foundation.civil import CHINA
from foundation.errors import DomainError
from foundation.language import _


class NotGranted(DomainError):
    code = "not-granted"


class FieldNotGranted(DomainError):
    code = "field-not-granted"


class MatterNotGranted(DomainError):
    code = "matter-not-granted"


class ModeNotGranted(DomainError):
    code = "mode-not-granted"


class GrantNotInForce(DomainError):
    code = "grant-not-in-force"


class OutsideHours(DomainError):
    code = "outside-hours"


class SubjectNotCovered(DomainError):
    """The grant is limited to divisions, and the subject is not there: known and elsewhere, or not known at all."""

    code = "subject-not-covered"


class GrantMalformed(DomainError):
    code = "grant-malformed"


class Mode(StrEnum):
    """How a client may ask."""

    VERIFY = "verify"
    QUERY = "query"
    BATCH = "batch"
    SUBSCRIBE = "subscribe"


_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Hours:
    """Local time of day, from (inclusive) to (exclusive); over midnight where it begins later than it ends."""

    begin: time
    end: time

    def holds(self, at: time) -> bool:
        """True when a local time of day lies in these hours."""
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end

    def within(self, other: Hours) -> bool:
        """True when these hours hold at no time at which others do not."""
        begins = (_seconds(self.begin) - _seconds(other.begin)) % _DAY
        return begins + self._long() <= other._long()

    def _long(self) -> int:
        return (_seconds(self.end) - _seconds(self.begin)) % _DAY


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as the sharing authority gives it. `ended_at` is set when it is withdrawn.

    Args:
        modes: how the client may ask.
        clear_fields: sensitive fields that a query discloses unmasked.
        quota_per_day: subjects a day, by the clock on the wall; None: no limit.
        quota_per_minute: subjects a minute; None: no limit.
        hours: when the client may ask; None: always.
        divisions: the subject's division must begin with one of these (2, 4 or 6 digits); empty: anywhere.
        request: the share request that the grant came from, if it came from one.
    """

    id: uuid.UUID
    client_id: str
    resource: str
    fields: frozenset[str]
    matters: frozenset[str]
    purpose: str
    legal_basis: str
    valid_from: datetime
    valid_until: datetime
    granted_by: str
    granted_at: datetime
    ended_at: datetime | None = None
    modes: frozenset[Mode] = frozenset({Mode.VERIFY})
    clear_fields: frozenset[str] = frozenset()
    quota_per_day: int | None = None
    quota_per_minute: int | None = None
    hours: Hours | None = None
    divisions: frozenset[str] = frozenset()
    request: uuid.UUID | None = None


def covering_grants(
    grants: Sequence[Grant], mode: Mode, fields: frozenset[str], matter: str, now: datetime
) -> tuple[Grant, ...]:
    """Return the grants that cover a request, at least one: by this mode, these fields, this matter, now.

    The refusal names the first thing that no grant has, from wide to narrow, so that a department knows what to
    ask the sharing authority for. It depends on the grants alone and never on the subject; whether the subject is in
    the divisions of a grant is asked later (`for_subject`).

    Args:
        grants: of one client for one resource.

    Raises:
        NotGranted, GrantNotInForce, ModeNotGranted, MatterNotGranted, FieldNotGranted, OutsideHours: as they say.
    """
    standing = [grant for grant in grants if grant.ended_at is None]
    if not standing:
        raise NotGranted(_("no grant for this resource"))
    in_force = [grant for grant in standing if grant.valid_from <= now < grant.valid_until]
    if not in_force:
        raise GrantNotInForce(_("the grant for this resource is not in force now"))
    by_mode = [grant for grant in in_force if mode in grant.modes]
    if not by_mode:
        raise ModeNotGranted(_("no grant for this resource allows to {mode}"), mode=mode.value)
    for_matter = [grant for grant in by_mode if matter in grant.matters]
    if not for_matter:
        raise MatterNotGranted(_("no grant for this resource names this matter"), pointer="/matter")
    with_fields = [grant for grant in for_matter if fields <= grant.fields]
    if not with_fields:
        best = max(for_matter, key=lambda grant: len(fields & grant.fields))
        missing = sorted(fields - best.fields)
        raise FieldNotGranted(_("field {field} is not in the grant"), field=missing[0])
    covering = tuple(grant for grant in with_fields if grant.hours is None or _open(grant.hours, now))
    if not covering:
        hours = with_fields[0].hours
        assert hours is not None
        raise OutsideHours(
            _("the grant holds from {begin} to {end} only"),
            begin=f"{hours.begin:%H:%M}",
            end=f"{hours.end:%H:%M}",
        )
    return covering


def covering_grant(
    grants: Sequence[Grant], mode: Mode, fields: frozenset[str], matter: str, now: datetime
) -> Grant:
    """Return the first of the grants that cover a request; raises as `covering_grants`."""
    return covering_grants(grants, mode, fields, matter, now)[0]


def for_subject(grants: Iterable[Grant], division: str | None) -> tuple[Grant, ...]:
    """Return the grants that hold for a subject.

    Args:
        division: where the subject lives or is registered (6 digits); None when it is not known, or has none.

    Raises:
        SubjectNotCovered: none; in the same words for a subject that lives elsewhere and for one that is not known.
    """
    found = tuple(
        grant
        for grant in grants
        if not grant.divisions
        or (division is not None and any(division.startswith(prefix) for prefix in grant.divisions))
    )
    if not found:
        raise SubjectNotCovered(_("the grant does not cover this subject"), pointer="/subject")
    return found


def require_sense(grant: Grant, catalogue: Catalogue) -> None:
    """Refuse a grant that could never hold as it reads.

    Raises:
        ResourceUnknown, FieldUnknown, GrantMalformed: as they say.
    """
    resource = require_resource(catalogue, grant.resource)
    resource.require_fields(grant.fields, "/fields")
    beyond = sorted(grant.clear_fields - grant.fields)
    if beyond:
        raise GrantMalformed(
            _("{field} is to be disclosed in clear and is not granted"),
            pointer="/clear_fields",
            field=beyond[0],
        )


def shown(grant: Grant) -> dict[str, Any]:
    """Return a grant as it stands in replies and records."""
    return {
        "id": str(grant.id),
        "client_id": grant.client_id,
        "resource": grant.resource,
        "fields": sorted(grant.fields),
        "matters": sorted(grant.matters),
        "purpose": grant.purpose,
        "legal_basis": grant.legal_basis,
        "valid_from": grant.valid_from.isoformat(),
        "valid_until": grant.valid_until.isoformat(),
        "modes": sorted(grant.modes),
        "clear_fields": sorted(grant.clear_fields),
        "quota_per_day": grant.quota_per_day,
        "quota_per_minute": grant.quota_per_minute,
        "hours": None
        if grant.hours is None
        else {"from": f"{grant.hours.begin:%H:%M}", "to": f"{grant.hours.end:%H:%M}"},
        "divisions": sorted(grant.divisions),
        "request": None if grant.request is None else str(grant.request),
        "granted_by": grant.granted_by,
        "ended_at": None if grant.ended_at is None else grant.ended_at.isoformat(),
    }


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second


def _open(hours: Hours, now: datetime) -> bool:
    return hours.holds(now.astimezone(CHINA).time())
