"""What a wallet may do with the token that it shows: a bound one is good with its key alone (RFC 9449 §7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from foundation.language import _
from license_registry.ports import Registry
from license_registry.wallets import tables
from license_registry.wallets.dpop import Request, check_proof
from license_registry.wallets.errors import TokenDpopRefused, WalletTokenRefused
from license_registry.wallets.offers import digest_of
from license_registry.wallets.once import Once
from license_registry.wallets.tables import Access


@dataclass(frozen=True, slots=True)
class Shown:
    """A token as it came to the credential endpoint.

    Args:
        bound: it came under the scheme `DPoP`, not `Bearer`.
        proofs: values of the header fields `DPoP`.
    """

    token: str
    bound: bool
    proofs: Sequence[str]


@dataclass(frozen=True, slots=True)
class Right:
    """What a token is for, and the proofs to be used up with it."""

    access: Access
    proofs: tuple[Once, ...]


async def right_of(registry: Registry, shown: Shown, now: datetime) -> Right:
    """Return what a wallet may have by its token.

    Raises:
        WalletTokenRefused: not known, expired, bound and shown as if it were not, or the other way round; or not bound
            where the house demands it.
        TokenDpopRefused, TokenDpopNonceNeeded: the proof does not hold, or is by another key.
    """
    access = await tables.find_access(registry.pool, digest_of(shown.token), now)
    if access is None:
        raise WalletTokenRefused(_("the access token is not known, or has expired"))
    if access.bound_to is None:
        if shown.bound or registry.settings.wallet_dpop == "required":
            raise WalletTokenRefused(_("the access token is bound to no key"))
        return Right(access, ())
    if not shown.bound:
        raise WalletTokenRefused(
            _("the access token is bound to a key: send it as `Authorization: DPoP ...`")
        )
    request = Request("POST", f"{registry.issuer}/v1/wallets/credential", shown.token)
    bound = check_proof(registry.vault, shown.proofs, request, now)
    if bound.thumbprint != access.bound_to:
        raise TokenDpopRefused(_("the DPoP proof does not hold: {reason}"), reason="key-differs")
    return Right(access, (bound.proof,))
