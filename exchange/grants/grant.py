"""What a grant is, and the rule whether it covers a request."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.registers.lookup import GrantRow
from foundation.errors import DomainError
from foundation.language import _


class NotGranted(DomainError):
    code = "not-granted"


class FieldNotGranted(DomainError):
    code = "field-not-granted"


class MatterNotGranted(DomainError):
    code = "matter-not-granted"


class GrantNotInForce(DomainError):
    code = "grant-not-in-force"


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as the sharing authority gives it. `ended_at` is set when it is withdrawn."""

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


def covering_grant(
    grants: Sequence[GrantRow], fields: frozenset[str], matter: str, now: datetime
) -> GrantRow:
    """Return the grant that covers a request: these fields, this matter, now.

    The refusal names the first thing that no grant has, from wide to narrow, so that a department knows what to
    ask the sharing authority for. It depends on the grants alone and never on the subject.

    Raises:
        NotGranted, GrantNotInForce, MatterNotGranted, FieldNotGranted: as they say.
    """
    if not grants:
        raise NotGranted(_("no grant for this resource"))
    in_force = [grant for grant in grants if grant.valid_from <= now < grant.valid_until]
    if not in_force:
        raise GrantNotInForce(_("the grant for this resource is not in force now"))
    for_matter = [grant for grant in in_force if matter in grant.matters]
    if not for_matter:
        raise MatterNotGranted(_("no grant for this resource names this matter"), pointer="/matter")
    for grant in for_matter:
        if fields <= grant.fields:
            return grant
    best = max(for_matter, key=lambda grant: len(fields & grant.fields))
    missing = sorted(fields - best.fields)
    raise FieldNotGranted(
        _("field {field} is not in the grant"), pointer=f"/claims/{missing[0]}", field=missing[0]
    )
