"""The code that a wallet came back with becomes its access token (RFC 6749 §4.1.3, PKCE by RFC 7636)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from foundation.identity.signing_in import challenge_of
from foundation.language import _
from license_registry.ports import Registry
from license_registry.wallets import tables as wallets
from license_registry.wallets.authorising import tables
from license_registry.wallets.authorising.authorisation import Authorisation, lasting, new_secret, opened
from license_registry.wallets.authorising.tables import Step
from license_registry.wallets.errors import WalletCodeRefused
from license_registry.wallets.offers import TOKEN_SECONDS, digest_of
from license_registry.wallets.once import use_up
from license_registry.wallets.proven import Proven
from license_registry.wallets.tables import Access

VERIFIER_CHARACTERS: Final = (43, 128)
"""Least and most of them (RFC 7636 §4.1)."""


@dataclass(frozen=True, slots=True)
class CodeForm:
    """What a wallet sends beside its code; what it leaves out is empty."""

    code: str
    client_id: str
    redirect_uri: str
    code_verifier: str


@dataclass(frozen=True, slots=True)
class Redeemed:
    """An access token; licence type and licence, where the wallet asked by `authorization_details`."""

    token: str
    details: tuple[str, str] | None


async def redeem_code(registry: Registry, form: CodeForm, proven: Proven, now: datetime) -> Redeemed:
    """Return an access token for a code, bound to the key that the wallet proved to hold, if any.

    1. Lock the authorisation, so that of two at once one gets the token.
    2. A code that comes again was in two hands: the token that it became is taken back (RFC 6749 §4.1.2). That is
       committed before the refusal.
    3. Mark proofs as used and the code as redeemed, and store the token, in one transaction: dying before its end, the
       code is good.

    What does not fit the code leaves it good, for whoever sent it is not the wallet.

    Raises:
        WalletCodeRefused: no such code, redeemed, expired, another client's, address's or key's, or the verifier is
            wrong.
        OAuthError: a proof was used before; the code stays good.
    """
    token = new_secret()
    granted: Authorisation | None = None
    async with registry.pool.acquire() as connection, connection.transaction():
        row = await tables.lock_granted(connection, digest_of(form.code))
        if row is not None and row.step is Step.REDEEMED:
            if row.token_digest is not None:
                await wallets.remove_access(connection, row.token_digest)
        elif row is not None and row.expires_at > now:
            said = opened(registry, row)
            if _fits(said, form, proven):
                granted = said
                await use_up(connection, proven.proofs, now)
                digest = digest_of(token)
                await tables.advance(connection, row, replace(row, step=Step.REDEEMED, token_digest=digest))
                await wallets.add_access(
                    connection,
                    Access(
                        digest,
                        said.licence,
                        bytes.fromhex(said.presenter),
                        lasting(now, TOKEN_SECONDS),
                        said.by_details,
                        proven.bound_to,
                    ),
                )
    if granted is None:
        raise WalletCodeRefused(_("the authorisation code is not good"))
    return Redeemed(token, (granted.licence_type, granted.licence) if granted.by_details else None)


def _fits(said: Authorisation, form: CodeForm, proven: Proven) -> bool:
    least, most = VERIFIER_CHARACTERS
    return (
        said.bound_to in {None, proven.bound_to}
        and (said.client_id, said.redirect_uri) == (form.client_id, form.redirect_uri)
        and least <= len(form.code_verifier) <= most
        and hmac.compare_digest(said.challenge, challenge_of(form.code_verifier))
    )
