"""The holder's part, in their browser: from the wallet to their issuer, back, a choice, and back to the wallet.

The browser that begins carries a cookie through all steps. So a link that somebody else began, and sends on, ends in
a refusal and not in another's wallet.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from foundation.identity.errors import SignInRefused
from foundation.identity.signing_in import new_sign_in
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import require_type
from license_registry.identities import presentable_by
from license_registry.lifecycle.states import State
from license_registry.linked_change.standing import require_standing
from license_registry.ports import Registry
from license_registry.presenting.present import own_licence
from license_registry.tables import Licence
from license_registry.wallets.authorising import tables
from license_registry.wallets.authorising.authorisation import (
    Authorisation,
    lasting,
    new_secret,
    opened,
    stepped,
)
from license_registry.wallets.authorising.push import REQUEST_URI
from license_registry.wallets.authorising.tables import Row, Step
from license_registry.wallets.errors import CredentialDenied, WalletRequestUriRefused
from license_registry.wallets.offers import digest_of, type_of, wallet_of

SIGN_IN_SECONDS: Final = 600
CHOICE_SECONDS: Final = 600
CODE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes to sign in, and the cookie that it keeps."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What the holder is asked: which licence goes to which wallet.

    Args:
        ticket: secret that the choice comes with.
        licences: of theirs, valid, of the type that the wallet asks for.
    """

    ticket: str
    licence_type: str
    client_id: str
    redirect_uri: str
    licences: Sequence[Licence]


@dataclass(frozen=True, slots=True)
class Returned:
    """What the issuer of people says by the person's browser; `issuer` is `iss` of RFC 9207."""

    state: str
    code: str
    error: str
    issuer: str | None


def back_at(registry: Registry) -> str:
    """Return where people come back from their issuer; the issuer of people has to know it."""
    return f"{registry.issuer}/v1/wallets/signed-in"


async def begin(registry: Registry, client_id: str, request_uri: str, now: datetime) -> Begun:
    """Send a browser that a wallet opened to where its holder signs in.

    1. Find the pushed request; it is this client's.
    2. Ask where people sign in: if that cannot be said, the request stays good.
    3. Take the step, once: whoever opens the same link again, or at the same time, is refused.

    Raises:
        WalletRequestUriRefused: no such request, used, expired, or another client's.
        PeopleIssuerUnavailable: come again.
    """
    secret = request_uri.removeprefix(REQUEST_URI)
    row = await tables.find(registry.pool, digest_of(secret), Step.PUSHED, now)
    if row is None or secret == request_uri:
        raise WalletRequestUriRefused(_("the request_uri is not known, was used, or has expired"))
    asked = opened(registry, row)
    if asked.client_id != client_id:
        raise WalletRequestUriRefused(_("the request_uri is another client's"))
    assert registry.signing_in is not None
    sign_in, state, cookie = new_sign_in(back_at(registry)), new_secret(), new_secret()
    address = await registry.signing_in.address(sign_in, state)
    said = replace(asked, browser=digest_of(cookie).hex(), sign_in=sign_in)
    until = lasting(now, SIGN_IN_SECONDS)
    if not await tables.advance(
        registry.pool, row, stepped(registry, row, Step.SIGNING_IN, state, said, until)
    ):
        raise WalletRequestUriRefused(_("the request_uri is not known, was used, or has expired"))
    return Begun(address, cookie)


async def come_back(registry: Registry, cookie: str, returned: Returned, now: datetime) -> Choice | str:
    """Take a person back from their issuer, and ask them which licence; or return where they go without one.

    1. Find the authorisation by state; the browser is the one that began it.
    2. Redeem the code at the issuer. If the issuer does not answer, everything stays as it is.
    3. Take the step: the state is good for nothing from now on. What did not become a sign-in ends here, and the
       wallet is told `access_denied`.

    Raises:
        SignInRefused: no such sign-in, over, or begun in another browser. PeopleIssuerUnavailable: come again.
    """
    row, said = await _at(registry, returned.state, Step.SIGNING_IN, cookie, now)
    assert registry.signing_in is not None
    assert said.sign_in is not None
    try:
        if returned.error or not returned.code:
            raise SignInRefused(_("the issuer of people gave no token that holds"))
        person = await registry.signing_in.finish(said.sign_in, returned.code, returned.issuer)
    except SignInRefused:
        # Told to the wallet, by the address.
        return await _end(registry, row, said, now)
    assert person.subject is not None
    ticket = new_secret()
    known = replace(said, sign_in=None, presenter=person.subject.hex())
    await _advance(
        registry,
        row,
        stepped(registry, row, Step.CHOOSING, ticket, known, lasting(now, CHOICE_SECONDS)),
    )
    wanted = require_type(registry.types, said.licence_type)
    theirs = [
        each
        for each in await presentable_by(registry, person.subject)
        if each.state is State.VALID and each.type_code == wanted.type_code
    ]
    return Choice(ticket, said.licence_type, said.client_id, said.redirect_uri, theirs)


async def choose(registry: Registry, cookie: str, ticket: str, identifier: str, now: datetime) -> str:
    """Take the holder's choice, and return the address that brings the wallet its code, or their refusal.

    The code and the event are stored in one transaction: dying before its end, the holder chooses again.

    Args:
        identifier: of the licence that they chose; empty if none.

    Raises:
        SignInRefused: no such choice, over, or in another browser.
        NotFound: not a licence of theirs. CredentialDenied: not valid now, or not what the wallet asked for.
        HolderEnded: its holder is dead, struck off or merged into another.
    """
    row, said = await _at(registry, ticket, Step.CHOOSING, cookie, now)
    if not identifier:
        return await _end(registry, row, said, now)
    holder = wallet_of(bytes.fromhex(said.presenter))
    licence = await own_licence(registry, holder, identifier)
    if type_of(registry, licence).id != said.licence_type:
        raise CredentialDenied(_("the wallet asked for another licence type"))
    if licence.state is not State.VALID:
        raise CredentialDenied(_("the licence is not valid now"))
    await require_standing(registry, licence)
    code = new_secret()
    granted = stepped(
        registry, row, Step.GRANTED, code, replace(said, licence=identifier), lasting(now, CODE_SECONDS)
    )
    event = happened("authorised-for-wallet", identifier, holder, now, wallet=said.client_id)
    async with registry.pool.acquire() as connection, connection.transaction():
        if not await tables.advance(connection, row, granted):
            raise SignInRefused(_("the sign-in is not known, is over, or was begun in another browser"))
        await licences.add_event(connection, event)
    return answer_to(registry, said, {"code": code})


def answer_to(registry: Registry, said: Authorisation, members: Mapping[str, str]) -> str:
    """Return the wallet's address with an answer, which names who answers (`iss`, RFC 9207)."""
    answer = {**members, "iss": registry.issuer}
    if said.state is not None:
        answer["state"] = said.state
    parts = urlsplit(said.redirect_uri)
    return f"{said.redirect_uri}{'&' if parts.query else '?'}{urlencode(answer)}"


async def _at(
    registry: Registry, secret: str, step: Step, cookie: str, now: datetime
) -> tuple[Row, Authorisation]:
    row = await tables.find(registry.pool, digest_of(secret), step, now)
    said = None if row is None else opened(registry, row)
    if row is None or said is None or not hmac.compare_digest(said.browser, digest_of(cookie).hex()):
        raise SignInRefused(_("the sign-in is not known, is over, or was begun in another browser"))
    return row, said


async def _advance(registry: Registry, row: Row, becomes: Row) -> None:
    if not await tables.advance(registry.pool, row, becomes):
        raise SignInRefused(_("the sign-in is not known, is over, or was begun in another browser"))


async def _end(registry: Registry, row: Row, said: Authorisation, now: datetime) -> str:
    await _advance(registry, row, stepped(registry, row, Step.ENDED, new_secret(), said, now))
    return answer_to(registry, said, {"error": "access_denied"})
