"""Putting a licence into a wallet: nonces, proof of the holder's key, the bound credential (OpenID4VCI 1.0 §7, §8)."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    decode_base64url,
    encode_base64url,
    verify_chosen,
)
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.credentials import sd_jwt
from license_registry.credentials.issuer_keys import x5c
from license_registry.credentials.key_binding import CLOCK_SKEW_SECONDS, confirmation
from license_registry.lifecycle.states import State
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.presenting.present import lead_copy
from license_registry.wallets import tables
from license_registry.wallets.errors import (
    CredentialDenied,
    CredentialIdentifierUnknown,
    CredentialUnknown,
    NonceRefused,
    ProofRefused,
    WalletTokenRefused,
)
from license_registry.wallets.metadata import PROOF_ALGORITHMS
from license_registry.wallets.offers import digest_of, type_of, wallet_of

PROOF_TYPE: Final = "openid4vci-proof+jwt"
NONCE_SECONDS: Final = 300
_NONCE_BYTES = 4 + 16  # until when in seconds, then chance
_MARK_BYTES = 16


def new_nonce(registry: Registry, now: datetime) -> str:
    """Return a nonce that says itself until when it holds: asking for one writes nothing."""
    until = int(now.timestamp()) + NONCE_SECONDS
    said = until.to_bytes(4, "big") + secrets.token_bytes(16)
    return encode_base64url(said + _mark(registry, said))


@dataclass(frozen=True, slots=True)
class AskedFor:
    """Which credential a wallet asks for: by configuration, or by the identifier that came with its token."""

    configuration: str | None
    identifier: str | None


async def issue_to_wallet(registry: Registry, token: str, asked: AskedFor, proof: str, now: datetime) -> str:
    """Return the licence as a credential bound to the wallet's key.

    1. Find what the token is for, and check the proof that the wallet holds the private key.
    2. Use up the nonce and record the issue in one transaction: dying before its end, the wallet asks again.
    3. Sign what the lead copy says, with `cnf`, and with the certificate chain of the key where it has one.

    Raises:
        WalletTokenRefused, CredentialUnknown, CredentialIdentifierUnknown, ProofRefused, NonceRefused: as they say.
        CredentialDenied: the licence is not valid now. ObjectMissing, ObjectAltered: of the store.
    """
    access = await tables.find_access(registry.pool, digest_of(token), now)
    if access is None:
        raise WalletTokenRefused(_("the access token is not known, or has expired"))
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
    key, nonce = check_proof(proof, registry.issuer, now)
    until = _read_nonce(registry, nonce, now)
    lead = sd_jwt.verify(await lead_copy(registry, licence), registry.keys.verification_keys(PURPOSE))
    async with registry.pool.acquire() as connection, connection.transaction():
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


def _read_nonce(registry: Registry, nonce: str, now: datetime) -> datetime:
    try:
        read = decode_base64url(nonce)
    except ValueError as error:
        raise NonceRefused(_("the proof carries no nonce of ours")) from error
    said, mark = read[:_NONCE_BYTES], read[_NONCE_BYTES:]
    if len(mark) != _MARK_BYTES or not hmac.compare_digest(mark, _mark(registry, said)):
        raise NonceRefused(_("the proof carries no nonce of ours"))
    until = datetime.fromtimestamp(int.from_bytes(said[:4], "big"), UTC)
    if until <= now:
        raise NonceRefused(_("the nonce has expired"))
    return until + timedelta(seconds=1)


def _mark(registry: Registry, said: bytes) -> bytes:
    return registry.vault.fingerprint(b"wallet nonce\0" + said)
