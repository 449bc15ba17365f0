"""What is remembered of an authorisation from step to step, sealed in its row."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from foundation.identity.signing_in import SignIn
from license_registry.ports import Registry
from license_registry.wallets.authorising.tables import Row, Step
from license_registry.wallets.offers import digest_of


@dataclass(frozen=True, slots=True)
class Authorisation:
    """What the wallet asked for, and what became of it so far.

    Args:
        state: of the wallet, given back as it came; None if it sent none.
        challenge: S256 (RFC 7636) of the secret that it redeems the code with.
        by_details: it asked by `authorization_details`, so it is told an identifier to ask for the credential by.
        browser: hexadecimal digest of the cookie of the browser that began; what another one brings is not taken.
        sign_in: our secrets towards the issuer of people.
        presenter: blind index of who signed in, hexadecimal.
        licence: identifier of the licence that they chose.
        bound_to: thumbprint of the key that the code is good with alone (RFC 9449 §10); None: with any, or without.
    """

    client_id: str
    redirect_uri: str
    state: str | None
    challenge: str
    licence_type: str
    by_details: bool
    browser: str = ""
    sign_in: SignIn | None = None
    presenter: str = ""
    licence: str = ""
    bound_to: str | None = None


def new_secret() -> str:
    """Return a secret for one step: 256 bits, in characters that need no escaping."""
    return secrets.token_urlsafe(32)


def opened(registry: Registry, row: Row) -> Authorisation:
    """Return what a row holds."""
    said: dict[str, Any] = orjson.loads(registry.vault.open(row.sealed, row.id.bytes))
    begun = said.pop("sign_in")
    return Authorisation(**said, sign_in=None if begun is None else SignIn(**begun))


def stepped(
    registry: Registry, row: Row, step: Step, secret: str, said: Authorisation, until: datetime
) -> Row:
    """Return the row of the next step, which comes with `secret`."""
    sealed = registry.vault.seal(orjson.dumps(said), row.id.bytes)
    return replace(row, handle_digest=digest_of(secret), step=step, sealed=sealed, expires_at=until)


def lasting(now: datetime, seconds: int) -> datetime:
    """Return until when something holds."""
    return now + timedelta(seconds=seconds)
