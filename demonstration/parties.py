"""The people and systems of the story, each as an outside party: own keys, own tokens, HTTP only."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.identity.assertions import ASSERTION_TYPE, make_assertion
from foundation.identity.clients import Client
from foundation.identity.principals import Role
from foundation.signing import PublicKey

REDIRECT = "http://127.0.0.1/signed-in"


@dataclass(slots=True)
class System:
    """A department's system. The exchange knows only its public key; tokens are fetched when they are needed."""

    client_id: str
    name: str
    department: str
    roles: frozenset[Role]
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    def registration(self) -> Client:
        """Return what the operator registers."""
        jwk: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        jwks = {"keys": [{**jwk, "kid": "1", "alg": "ES256", "use": "sig"}]}
        return Client(self.client_id, self.name, self.department, self.roles, jwks)

    def token(self, http: httpx.Client, audience: str) -> str:
        """Return an access token for a service, fetched by `private_key_jwt` where none is at hand."""
        known = self.tokens.get(audience)
        if known is not None and known[1] > time.time() + 30:
            return known[0]
        base = str(http.base_url).rstrip("/")
        answer = http.post(
            "/oauth2/token",
            data={
                "grant_type": "client_credentials",
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": make_assertion(self.client_id, self.key, "1", base),
                "resource": audience,
            },
        )
        answer.raise_for_status()
        body = answer.json()
        self.tokens[audience] = (body["access_token"], time.time() + body["expires_in"])
        return str(body["access_token"])

    def call(
        self,
        http: httpx.Client,
        method: str,
        path: str,
        json: Any = None,
        further: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Call the exchange or the registry, by the first part of the path."""
        audience = (
            "urn:zhengtong:exchange" if path.startswith("/exchange/") else "urn:zhengtong:license-registry"
        )
        headers = {**(further or {}), "Authorization": f"Bearer {self.token(http, audience)}"}
        return http.request(method, path, json=json, headers=headers)


def sign_in(http: httpx.Client, citizen_id: str, name: str) -> str:
    """Sign a person in at the development issuer by authorisation code with PKCE; return the ID token."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    back = http.post(
        "/development-issuer/authorize",
        data={
            "client_id": "zhengtong",
            "redirect_uri": REDIRECT,
            "code_challenge": challenge,
            "citizen_id": citizen_id,
            "name": name,
        },
    )
    if back.status_code != 303:
        back.raise_for_status()
    code = parse_qs(urlsplit(back.headers["location"]).query)["code"][0]
    answer = http.post(
        "/development-issuer/token",
        data={
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "client_id": "zhengtong",
            "redirect_uri": REDIRECT,
        },
    )
    answer.raise_for_status()
    return str(answer.json()["id_token"])


def answer_keys(http: httpx.Client) -> dict[str, PublicKey]:
    """Return the keys that the service publishes, by their ids."""
    return {key["kid"]: PublicKey.from_jwk(key) for key in http.get("/jwks.json").json()["keys"]}


def unverified_claims(token: str) -> dict[str, Any]:
    """Return what a token or credential says, without asking whether it holds."""
    claims: dict[str, Any] = jwt.decode(token.split("~")[0], options={"verify_signature": False})
    return claims
