"""The guard at each route: who is calling, and may they.

Every route names its authorisation by `requires(...)` or `PUBLIC`, and its audit event by `audited(...)`; a test
walks the syntax trees of all `routes.py` and refuses a route that does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import jwt
from fastapi import Request

from foundation.identity.errors import RoleMissing, TokenMissing
from foundation.identity.people import PeopleVerifier
from foundation.identity.principals import Principal, Role
from foundation.identity.tokens import TokenVerifier
from foundation.language import _

PUBLIC = None
"""Stands where `requires(...)` would: this route is open to anybody, on purpose."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Verifiers of one service; put into `app.state.guard`."""

    systems: TokenVerifier
    people: PeopleVerifier | None

    async def principal(self, request: Request) -> Principal:
        """Return the caller.

        Raises:
            TokenMissing, TokenUnknown, TokenExpired, TokenWrongAudience: as they say.
        """
        header = request.headers.get("authorization", "")
        scheme, _space, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenMissing(_("send it as `Authorization: Bearer ...`"))
        if (
            self.people is not None
            and not self.systems.remembers(token)
            and _issuer(token) == self.people.issuer
        ):
            return await self.people.verify(token)
        return self.systems.verify(token)


def requires(*roles: Role) -> Callable[[Request], Awaitable[Principal]]:
    """Return a dependency that lets through callers with at least one of the roles."""
    wanted = frozenset(roles)

    async def check(request: Request) -> Principal:
        guard: Guard = request.app.state.guard
        principal = await guard.principal(request)
        if wanted.isdisjoint(principal.roles):
            raise RoleMissing(_("one of these is needed: {roles}"), roles=", ".join(sorted(wanted)))
        return principal

    check.roles = wanted  # type: ignore[attr-defined]
    return check


def roles_of(dependency: object) -> frozenset[Role]:
    """Return the roles that a dependency made by `requires` lets through; none for any other."""
    found = getattr(dependency, "roles", None)
    return found if isinstance(found, frozenset) else frozenset()


def audited(event: str) -> dict[str, Any]:
    """Name the audit event of a route, in its OpenAPI too; `none` for what discloses nothing of anybody."""
    return {"x-audit-event": event}


def _issuer(token: str) -> str | None:
    # Tokens of systems are the hot path: they are told from people's by the header alone, without decoding claims.
    try:
        if str(jwt.get_unverified_header(token).get("typ", "")).lower() == "at+jwt":
            return None
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.InvalidTokenError, UnicodeError):
        return None
    return issuer if isinstance(issuer, str) else None
