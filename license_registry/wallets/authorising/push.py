"""What a wallet asks for, pushed before anybody's browser is involved (RFC 9126): checked whole, kept sealed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from foundation.language import _
from license_registry.ports import Registry
from license_registry.wallets.authorising import tables
from license_registry.wallets.authorising.authorisation import Authorisation, lasting, new_secret
from license_registry.wallets.authorising.tables import Row, Step
from license_registry.wallets.errors import (
    DpopRefused,
    WalletClientUnknown,
    WalletDetailsRefused,
    WalletRequestRefused,
    WalletResponseUnsupported,
    WalletScopeUnknown,
)
from license_registry.wallets.metadata import DETAILS_TYPE
from license_registry.wallets.offers import digest_of
from license_registry.wallets.once import use_up
from license_registry.wallets.proven import Proven

PUSHED_SECONDS: Final = 120
REQUEST_URI: Final = "urn:ietf:params:oauth:request_uri:"
LONGEST_STATE: Final = 2000

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_THUMBPRINT = _CHALLENGE  # both are SHA-256 in base64url


@dataclass(frozen=True, slots=True)
class PushedForm:
    """The form that a wallet sends; what it leaves out is empty."""

    client_id: str
    response_type: str
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str
    scope: str
    authorization_details: str
    state: str
    request_uri: str
    dpop_jkt: str


async def push(registry: Registry, form: PushedForm, proven: Proven, now: datetime) -> str:
    """Keep what a wallet asks for, and return the `request_uri` that stands for it, for two minutes and one use.

    Raises:
        WalletClientUnknown: the wallet is not registered. WalletResponseUnsupported: another flow than that of codes.
        WalletRequestRefused: an address that is not registered, no PKCE by S256, or another mistake.
        WalletScopeUnknown, WalletDetailsRefused: it does not ask for one licence type.
        OAuthError: a proof was used before.
    """
    addresses = registry.settings.wallet_clients.get(form.client_id)
    if addresses is None or registry.signing_in is None:
        raise WalletClientUnknown(_("the wallet is not registered here"))
    if form.request_uri:
        raise WalletRequestRefused(_("a pushed request stands for itself: it has no request_uri"))
    if form.response_type != "code":
        raise WalletResponseUnsupported(_("wallets come with response_type=code"))
    if form.redirect_uri not in addresses:
        raise WalletRequestRefused(_("redirect_uri is none of those that the wallet is registered with"))
    if form.code_challenge_method != "S256" or not _CHALLENGE.fullmatch(form.code_challenge):
        raise WalletRequestRefused(_("a code_challenge by S256 is needed"))
    if len(form.state) > LONGEST_STATE:
        raise WalletRequestRefused(_("state is longer than {most} characters"), most=LONGEST_STATE)
    if proven.bound_to is not None and form.dpop_jkt not in {"", proven.bound_to}:
        raise DpopRefused(_("the DPoP proof does not hold: {reason}"), reason="key-differs")
    if form.dpop_jkt and not _THUMBPRINT.fullmatch(form.dpop_jkt):
        raise WalletRequestRefused(_("dpop_jkt is no thumbprint of a key"))
    asked = Authorisation(
        client_id=form.client_id,
        redirect_uri=form.redirect_uri,
        state=form.state or None,
        challenge=form.code_challenge,
        licence_type=_licence_type(registry, form),
        by_details=bool(form.authorization_details),
        bound_to=proven.bound_to or form.dpop_jkt or None,
    )
    secret, row_id = new_secret(), uuid.uuid4()
    sealed = registry.vault.seal(orjson.dumps(asked), row_id.bytes)
    row = Row(row_id, digest_of(secret), Step.PUSHED, sealed, lasting(now, PUSHED_SECONDS))
    async with registry.pool.acquire() as connection, connection.transaction():
        await use_up(connection, proven.proofs, now)
        await tables.add(connection, row)
    return REQUEST_URI + secret


def once(names: Iterable[str]) -> None:
    """Raise WalletRequestRefused if a parameter comes twice: which of the two holds would be anybody's guess."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise WalletRequestRefused(_("a parameter comes twice"))
        seen.add(name)


def _licence_type(registry: Registry, form: PushedForm) -> str:
    # OpenID4VCI 1.0 §5.1.2: scopes that are not known here are ignored.
    scopes = {each for each in form.scope.split(" ") if each in registry.types}
    if not form.authorization_details:
        if len(scopes) != 1:
            raise WalletScopeUnknown(_("scope, or authorization_details, names one licence type"))
        return scopes.pop()
    wanted = _detailed(registry, form.authorization_details)
    if scopes - {wanted}:
        raise WalletScopeUnknown(_("scope and authorization_details name different licence types"))
    return wanted


def _detailed(registry: Registry, text: str) -> str:
    try:
        said: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise WalletDetailsRefused(_("authorization_details is not JSON")) from error
    match said:
        case [{"type": str(kind), "credential_configuration_id": str(wanted)}] if kind == DETAILS_TYPE:
            pass
        case _:
            raise WalletDetailsRefused(
                _("authorization_details asks for one credential by its configuration")
            )
    if wanted not in registry.types:
        raise WalletDetailsRefused(_("authorization_details names a licence type that is not known here"))
    locations = said[0].get("locations", [registry.issuer])
    if locations != [registry.issuer]:
        raise WalletDetailsRefused(_("authorization_details is for another issuer"))
    return wanted
