"""Putting a licence into a wallet: proof of the holder's key, the bound credential (OpenID4VCI 1.0 §7, §8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJwk,
    BadJws,
    CertificateAuthority,
    PublicKey,
    Signer,
    verify_chosen,
)
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.credentials import sd_jwt
from license_registry.credentials.issuer_keys import x5c
from license_registry.credentials.key_binding import CLOCK_SKEW_SECONDS, confirmation
from license_registry.issuing.errors import HolderEnded
from license_registry.lifecycle.states import State
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.linked_change.standing import require_standing
from license_registry.ports import Registry
from license_registry.presenting.present import lead_copy
from license_registry.wallets import tables
from license_registry.wallets.errors import (
    CredentialDenied,
    CredentialIdentifierUnknown,
    CredentialUnknown,
    NonceRefused,
    ProofRefused,
)
from license_registry.wallets.metadata import PROOF_ALGORITHMS
from license_registry.wallets.nonces import NONCE_SECONDS, NonceInvalid, Use, read_nonce
from license_registry.wallets.offers import digest_of, type_of, wallet_of
from license_registry.wallets.once import use_up
from license_registry.wallets.tokens import Right

PROOF_TYPE: Final = "openid4vci-proof+jwt"


@dataclass(frozen=True, slots=True)
class AskedFor:
    """Which credential a wallet asks for: by configuration, or by the identifier that came with its token."""

    configuration: str | None
    identifier: str | None


async def issue_to_wallet(
    registry: Registry, right: Right, asked: AskedFor, proof: str, now: datetime
) -> str:
    """Return the licence as a credential bound to the wallet's key.

    1. Look what the token is for, and check the proof that the wallet holds the private key.
    2. Use up the nonce and the token's proof and record the issue in one transaction: dying before its end, the wallet
       asks again.
    3. Sign what the lead copy says, with `cnf`, and with the certificate chain of the key where it has one.

    Raises:
        CredentialUnknown, CredentialIdentifierUnknown, ProofRefused, NonceRefused: as they say.
        TokenDpopRefused: the token's proof was used before.
        CredentialDenied: the licence is not valid now, its holder is no more, or the key that signed it was revoked.
        ObjectMissing, ObjectAltered: of the store.
    """
    access = right.access
    licence = await licences.find(registry.pool, access.identifier)
    assert licence is not None
    if access.by_identifier:
        if asked != AskedFor(None, licence.identifier):
            raise CredentialIdentifierUnknown(
                _("the token is for the credential_identifier that came with it")
            )
    elif asked != AskedFor(type_of(registry, licence).id, None):
        raise CredentialUnknown(_("the token is for another licence type"))
    if licence.state is not State.VALID:
        raise CredentialDenied(_("the licence is not valid now"))
    try:
        await require_standing(registry, licence)
    except HolderEnded as error:
        raise CredentialDenied(error.message) from error
    key, nonce = check_proof(proof, registry.issuer, now)
    until = _until(registry, nonce, now)
    try:
        lead = sd_jwt.verify(await lead_copy(registry, licence), registry.keys.verification_keys(PURPOSE))
    except sd_jwt.CredentialInvalid as error:
        # It came out of the store as it was put there: what no longer holds is the key that signed it.
        raise CredentialDenied(
            _("the key that signed the licence was revoked: it has to be issued anew")
        ) from error
    async with registry.pool.acquire() as connection, connection.transaction():
        await use_up(connection, right.proofs, now)
        if not await tables.use_nonce(connection, digest_of(nonce), until, now):
            raise NonceRefused(_("the nonce was used before"))
        await licences.add_event(
            connection,
            happened(
                "issued-to-wallet",
                licence.identifier,
                wallet_of(access.presenter),
                now,
                key=key.thumbprint(),
            ),
        )
    signer = registry.keys.signer(PURPOSE)
    claims = {**lead.claims, "iat": int(now.timestamp()), "cnf": confirmation(key)}
    return sd_jwt.issue(signer, claims, lead.disclosed, headers=chain_header(registry, signer))


def chain_header(registry: Registry, signer: Signer) -> dict[str, Any]:
    """Return `x5c` for a key that has a certificate; SM2 keys have none and go by their `kid`."""
    if signer.algorithm is Algorithm.SM2:
        return {}
    return {"x5c": x5c(CertificateAuthority(registry.keys).chain_pem(signer.kid))}


def check_proof(proof: str, audience: str, now: datetime) -> tuple[PublicKey, str]:
    """Return the key that a wallet proves to hold (OpenID4VCI 1.0 appendix F.1), and the nonce it signed.

    Raises:
        ProofRefused: the proof does not hold. NonceRefused: it has none.
    """
    brought: list[PublicKey] = []

    def own(header: Mapping[str, Any]) -> PublicKey | None:
        jwk = header.get("jwk")
        if not isinstance(jwk, dict) or "kid" in header or "x5c" in header:
            return None
        try:
            brought.append(PublicKey.from_jwk(jwk))
        except BadJwk:
            return None
        return brought[0]

    try:
        verified = verify_chosen(proof, own, PROOF_TYPE, frozenset(PROOF_ALGORITHMS))
        said = orjson.loads(verified.payload)
    except BadJws as error:
        raise ProofRefused(_("the proof does not hold: {reason}"), reason=error.code) from error
    except orjson.JSONDecodeError as error:
        raise ProofRefused(_("the proof does not hold: {reason}"), reason="malformed") from error
    match said:
        case {"aud": str(said_audience), "iat": int() | float() as made}:
            pass
        case _:
            raise ProofRefused(_("the proof does not hold: {reason}"), reason="malformed")
    if said_audience != audience:
        raise ProofRefused(_("the proof does not hold: {reason}"), reason="audience-differs")
    seconds = now.timestamp()
    if not seconds - NONCE_SECONDS - CLOCK_SKEW_SECONDS <= made <= seconds + CLOCK_SKEW_SECONDS:
        raise ProofRefused(_("the proof does not hold: {reason}"), reason="not-of-now")
    nonce = said.get("nonce")
    if not isinstance(nonce, str):
        raise NonceRefused(_("the proof carries no nonce of ours"))
    return brought[0], nonce


def _until(registry: Registry, nonce: str, now: datetime) -> datetime:
    try:
        # One second more: what was used stands longer than it holds.
        return read_nonce(registry.vault, Use.CREDENTIAL, nonce, now) + timedelta(seconds=1)
    except NonceInvalid as error:
        if error.expired:
            raise NonceRefused(_("the nonce has expired")) from error
        raise NonceRefused(_("the proof carries no nonce of ours")) from error
