"""Offering a licence to its holder's wallet, and redeeming the offer (OpenID4VCI 1.0 §4, §6)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from foundation.identity.principals import Principal, Role
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import LicenceType
from license_registry.linked_change.standing import require_standing
from license_registry.ports import Registry
from license_registry.presenting.present import own_licence
from license_registry.tables import Licence
from license_registry.wallets import tables
from license_registry.wallets.errors import CredentialDenied, WalletCodeRefused
from license_registry.wallets.metadata import PRE_AUTHORISED
from license_registry.wallets.once import use_up
from license_registry.wallets.proven import Proven
from license_registry.wallets.tables import Access, Offer

OFFER_SECONDS: Final = 600
TOKEN_SECONDS: Final = 600
PIN_DIGITS: Final = 6
PIN_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Offered:
    """The offer as a link for wallets, and the transaction code that the holder types there."""

    uri: str
    pin: str | None
    expires_at: datetime


def digest_of(secret: str) -> bytes:
    """Return what stands for a code or token in the database."""
    return hashlib.sha256(secret.encode()).digest()


def type_of(registry: Registry, licence: Licence) -> LicenceType:
    """Return the type of a licence as wallets know it: the newest with its code.

    Raises:
        CredentialDenied: the type is not in the catalogue any more.
    """
    known = [one for one in registry.types.values() if one.type_code == licence.type_code]
    if not known:
        raise CredentialDenied(_("no wallet can hold licences of this type"))
    return max(known, key=lambda one: one.version)


async def offer(
    registry: Registry, caller: Principal, identifier: str, with_pin: bool, now: datetime
) -> Offered:
    """Offer one's own licence to a wallet: a code that lives ten minutes and works once.

    Args:
        with_pin: also ask for a transaction code, which whoever photographs the QR code does not have.

    Raises:
        NotFound: not a licence of the caller's. CredentialDenied: its type is not known any more.
        HolderEnded: its holder is dead, struck off or merged into another.
    """
    licence = await own_licence(registry, caller, identifier)
    await require_standing(registry, licence)
    configuration = type_of(registry, licence).id
    assert caller.subject is not None
    code = secrets.token_urlsafe(24)
    pin = f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}" if with_pin else None
    grant: dict[str, object] = {"pre-authorized_code": code}
    if pin is not None:
        grant["tx_code"] = {"input_mode": "numeric", "length": PIN_DIGITS}
    said = {
        "credential_issuer": registry.issuer,
        "credential_configuration_ids": [configuration],
        "grants": {PRE_AUTHORISED: grant},
    }
    expires_at = now + timedelta(seconds=OFFER_SECONDS)
    digest = digest_of(code)
    new = Offer(
        digest,
        identifier,
        caller.subject,
        None if pin is None else _pin_digest(registry, digest, pin),
        PIN_TRIES,
        expires_at,
        None,
    )
    async with registry.pool.acquire() as connection, connection.transaction():
        await tables.add_offer(connection, new)
        await licences.add_event(connection, happened("offered-to-wallet", identifier, caller, now))
    link = json.dumps(said, separators=(",", ":"))
    return Offered(f"openid-credential-offer://?credential_offer={quote(link, safe='')}", pin, expires_at)


async def redeem(registry: Registry, code: str, pin: str | None, proven: Proven, now: datetime) -> str:
    """Return an access token for a pre-authorised code, bound to the key that the wallet proved to hold, if any.

    1. Lock the offer, so that of two at once one gets the token.
    2. A wrong transaction code costs a try; the last one costs the offer. That is committed before the refusal.
    3. Mark proofs and offer as used and store the token, in one transaction: dying before its end, the offer is unused.

    Raises:
        OAuthError: a proof was used before; the offer stays good.
        WalletCodeRefused: no such code, used, expired, or the transaction code is wrong.
    """
    token = secrets.token_urlsafe(32)
    digest = digest_of(code)
    async with registry.pool.acquire() as connection, connection.transaction():
        found = await tables.lock_offer(connection, digest)
        if found is None or found.used_at is not None or found.expires_at <= now or not found.tries_left:
            granted = False
        elif found.pin_digest is not None and (
            pin is None or not hmac.compare_digest(found.pin_digest, _pin_digest(registry, digest, pin))
        ):
            await tables.count_try(connection, digest)
            granted = False
        else:
            await use_up(connection, proven.proofs, now)
            await tables.use_offer(connection, digest, now)
            expires_at = now + timedelta(seconds=TOKEN_SECONDS)
            access = Access(
                digest_of(token),
                found.identifier,
                found.presenter,
                expires_at,
                bound_to=proven.bound_to,
            )
            await tables.add_access(connection, access)
            granted = True
    if not granted:
        raise WalletCodeRefused(
            _("the code, or the transaction code beside it, is not good; ask for a new offer")
        )
    return token


def wallet_of(presenter: bytes) -> Principal:
    """Return the person behind a wallet as a caller."""
    return Principal("wallet", "", frozenset({Role.PERSON}), presenter)


def _pin_digest(registry: Registry, code_digest: bytes, pin: str) -> bytes:
    # Keyed: six digits are quickly tried by whoever has a dump of the database.
    return registry.vault.fingerprint(b"wallet pin\0" + code_digest + pin.encode())
