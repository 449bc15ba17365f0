"""A presented code says who presents it, to somebody who asks for no more than that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.ports import Registry
from license_registry.presenting import tables
from license_registry.presenting.errors import CodeExpired, CodeUsed
from license_registry.presenting.present import QR_PREFIX, code_digest

TRIES = 3


@dataclass(frozen=True, slots=True)
class Presenter:
    """Who has made a code, and what for.

    Args:
        subject: blind index of the citizen ID; of the holder, where an agent has made it.
        by_agent: somebody else has made it, by a delegation.
    """

    subject: bytes
    purpose: str
    matter: str
    by_agent: bool


async def identify(
    registry: Registry,
    caller: Principal,
    code: str,
    case: str,
    require: Callable[[Presenter], None],
    now: datetime,
) -> Presenter:
    """Tell who presents a code, and use it up.

    1. Find it; used or late, it says nothing.
    2. Ask `require`; what it refuses is recorded with each licence that the code shows, and leaves the code unused.
    3. Use the code up, with a record that its presenter was identified, in one statement. Dying before, it is unused.

    No field of a licence is opened. A signed code (`ZT2:`) names no presenter, and is none here.

    Args:
        require: raises what speaks against it.

    Raises:
        NotFound, CodeUsed, CodeExpired: the code says nothing.
    """
    digest = code_digest(code.removeprefix(QR_PREFIX))
    for _try in range(TRIES):
        shown = await tables.find_shown(registry.pool, digest)
        if shown is None:
            raise NotFound(_("no such code"))
        presentation = shown.presentation
        if presentation.used_at is not None:
            raise CodeUsed(_("a code works once; ask the holder for a new one"))
        if presentation.expires_at <= now:
            raise CodeExpired(_("ask the holder for a new code"))
        presenter = Presenter(
            presentation.presenter,
            presentation.purpose,
            presentation.matter,
            presentation.agent is not None,
        )
        told: dict[str, Any] = {"purpose": presenter.purpose, "matter": presenter.matter, "case": case}
        if presentation.agent is not None:
            told |= {"holder": presentation.presenter.hex(), "agent": presentation.agent.hex()}
        try:
            require(presenter)
        except DomainError as refusal:
            async with registry.pool.acquire() as connection, connection.transaction():
                for part in shown.parts:
                    event = happened(
                        "presentation-refused", part.identifier, caller, now, reason=refusal.code, **told
                    )
                    await licences.add_event(connection, event)
            raise
        events = tuple(
            happened("presenter-identified", part.identifier, caller, now, **told) for part in shown.parts
        )
        if (await tables.use_many(registry.pool, [tables.Use(shown, now, events)]))[0]:
            return presenter
    raise CodeUsed(_("a code works once; ask the holder for a new one"))
