"""Events of the registry: who did what to which licence, as a salted record for the log."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from foundation.identity.principals import Principal
from foundation.ledger import commit, new_salt
from foundation.signing import canonical_json
from license_registry.tables import Event


def happened(kind: str, identifier: str | None, caller: Principal, now: datetime, **facts: Any) -> Event:
    """Make an event; `facts` are JSON without fractions and hold no identifier of a person."""
    event_id = uuid.uuid4()
    content = canonical_json(
        {
            "id": str(event_id),
            "at": now.isoformat(),
            "event": kind,
            "licence": identifier,
            "client": None if caller.subject is not None else caller.id,
            "department": caller.department,
            "subject": None if caller.subject is None else caller.subject.hex(),
            **facts,
        }
    )
    salt = new_salt()
    return Event(event_id, identifier, kind, now, commit(salt, content), salt, content)


def stated(use_cause: str | None) -> dict[str, str]:
    """Return the fact of what a licence is used for (用证事由), as its user states it; nothing if they need not."""
    return {} if use_cause is None else {"use_cause": use_cause}
