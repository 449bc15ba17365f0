"""Asking a wallet to show a licence (OpenID4VP 1.0): DCQL query, signed request object, what was answered."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.signing import CertificateAuthority, Signer, canonical_json, encode_base64url, sign_compact
from license_registry.catalog.types import LicenceFieldsInvalid, LicenceType, require_type
from license_registry.credentials.issuer_keys import x5c
from license_registry.credentials.sd_jwt import ALLOWED
from license_registry.ports import Registry
from license_registry.wallets import tables
from license_registry.wallets.encryption import CIPHERS, new_key, public_half
from license_registry.wallets.metadata import FORMAT, PROOF_ALGORITHMS
from license_registry.wallets.tables import AskedOfWallet

PURPOSE: Final = "presentation-request"
"""Purpose of the key that signs request objects; of P-256, so that it has a certificate and wallets know it."""
REQUEST_TYPE: Final = "oauth-authz-req+jwt"
REQUEST_SECONDS: Final = 300
QUERY_ID: Final = "licence"
WALLETS_AUDIENCE: Final = "https://self-issued.me/v2"
"""`aud` of a request to a wallet that is not known beforehand (OpenID4VP 1.0 §5.8)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a link for wallets, to be shown as QR code."""

    id: str
    uri: str
    expires_at: datetime


async def ask(
    registry: Registry,
    caller: Principal,
    licence_type: str,
    fields: Sequence[str],
    purpose: str,
    matter: str,
    case: str,
    encrypted: bool,
    now: datetime,
) -> Asked:
    """Make a request that one wallet can answer, within five minutes; `encrypted`: to a key of this request alone.

    Raises:
        LicenceTypeUnknown: no such type. LicenceFieldsInvalid: the type has no such field.
    """
    wanted = require_type(registry.types, licence_type)
    for place, name in enumerate(fields):
        if name not in wanted.schema["properties"]:
            raise LicenceFieldsInvalid(_("the licence type has no such field"), pointer=f"/fields/{place}")
    request_id = secrets.token_urlsafe(20)
    request = AskedOfWallet(
        id=request_id,
        client_id=caller.id,
        department=caller.department,
        licence_type=licence_type,
        fields=list(dict.fromkeys(fields)),
        purpose=purpose,
        matter=matter,
        case=case,
        nonce=secrets.token_urlsafe(24),
        expires_at=now + timedelta(seconds=REQUEST_SECONDS),
        answered_at=None,
        sealed=None,
        response_key=(
            registry.vault.seal(new_key(secrets.token_urlsafe(12)), key_context(request_id))
            if encrypted
            else None
        ),
    )
    await tables.add_request(registry.pool, request)
    link = urlencode(
        {"client_id": client_id(registry), "request_uri": f"{_address(registry, request.id)}/object"}
    )
    return Asked(request.id, f"openid4vp://authorize?{link}", request.expires_at)


async def open_request(registry: Registry, request_id: str, now: datetime) -> AskedOfWallet:
    """Return a request that waits for its answer, or raise NotFound."""
    found = await tables.find_request(registry.pool, request_id)
    if found is None or found.answered_at is not None or found.expires_at <= now:
        raise NotFound(_("no such request, or it was answered, or it has expired"))
    return found


def client_id(registry: Registry) -> str:
    """Return what wallets know this verifier by: the digest of its certificate (OpenID4VP 1.0 §5.9.3)."""
    chain = x509.load_pem_x509_certificates(_chain(registry).encode("ascii"))
    return f"x509_hash:{encode_base64url(hashlib.sha256(chain[0].public_bytes(Encoding.DER)).digest())}"


def request_object(registry: Registry, request: AskedOfWallet, now: datetime) -> str:
    """Return the signed request object (OpenID4VP 1.0 §5, RFC 9101)."""
    own = client_id(registry)
    claims = {
        "iss": own,
        "aud": WALLETS_AUDIENCE,
        "client_id": own,
        "response_type": "vp_token",
        "response_mode": "direct_post" if request.response_key is None else "direct_post.jwt",
        "response_uri": f"{_address(registry, request.id)}/answer",
        "nonce": request.nonce,
        "state": request.id,
        "iat": int(now.timestamp()),
        "exp": int(request.expires_at.timestamp()),
        "dcql_query": query(require_type(registry.types, request.licence_type), request.fields),
        "client_metadata": {
            "vp_formats_supported": {
                FORMAT: {
                    "sd-jwt_alg_values": sorted(ALLOWED),
                    "kb-jwt_alg_values": [one.value for one in PROOF_ALGORITHMS],
                }
            },
            **_encrypted_to(registry, request),
        },
    }
    return sign_compact(
        _signer(registry), canonical_json(claims), REQUEST_TYPE, {"x5c": x5c(_chain(registry))}
    )


def _encrypted_to(registry: Registry, request: AskedOfWallet) -> dict[str, Any]:
    """Return what the client metadata say of encrypting (OpenID4VP 1.0 §5.1), if the answer is to be encrypted."""
    private = response_key(registry, request)
    if private is None:
        return {}
    return {
        "jwks": {"keys": [public_half(private)]},
        "encrypted_response_enc_values_supported": list(CIPHERS),
    }


def response_key(registry: Registry, request: AskedOfWallet) -> bytes | None:
    """Return the private key that the answer to a request is encrypted to, or None where it comes in clear."""
    if request.response_key is None:
        return None
    return registry.vault.open(request.response_key, key_context(request.id))


def key_context(request_id: str) -> bytes:
    """Return what the sealed key of a request is bound to; another context than the outcome's."""
    return b"response key\0" + request_id.encode()


def query(licence_type: LicenceType, fields: Sequence[str]) -> dict[str, Any]:
    """Return the DCQL query for fields of one licence (OpenID4VP 1.0 §6)."""
    wanted: dict[str, Any] = {
        "id": QUERY_ID,
        "format": FORMAT,
        "meta": {"vct_values": [licence_type.vct]},
    }
    if fields:
        wanted["claims"] = [{"path": [name]} for name in fields]
    return {"credentials": [wanted]}


async def answer_of(registry: Registry, caller: Principal, request_id: str, now: datetime) -> dict[str, Any]:
    """Return what a wallet answered to a request of the caller's department.

    Raises:
        NotFound: no such request of this department's.
    """
    found = await tables.find_request(registry.pool, request_id)
    if found is None or found.department != caller.department:
        raise NotFound(_("no such request of yours"))
    if found.sealed is None:
        return {"status": "expired" if found.expires_at <= now else "waiting"}
    said: dict[str, Any] = orjson.loads(registry.vault.open(found.sealed, request_id.encode()))
    return {"status": "answered", "purpose": found.purpose, "matter": found.matter, **said}


def _address(registry: Registry, request_id: str) -> str:
    return f"{registry.issuer}/v1/wallets/requests/{request_id}"


def _signer(registry: Registry) -> Signer:
    return registry.keys.signer(PURPOSE)


def _chain(registry: Registry) -> str:
    return CertificateAuthority(registry.keys).chain_pem(_signer(registry).kid)
