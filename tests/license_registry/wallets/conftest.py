"""A wallet as a test plays it: one key, and the steps of OpenID4VCI and OpenID4VP one by one."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import orjson

from foundation.signing import (
    Algorithm,
    Signer,
    encode_base64url,
    new_signer,
)
from license_registry.credentials.sd_jwt import bind, select
from license_registry.wallets.dpop import PROOF_TYPE as DPOP_TYPE
from license_registry.wallets.issuance import PROOF_TYPE
from license_registry.wallets.metadata import PRE_AUTHORISED
from tests.conftest import Service
from tests.license_registry.conftest import PERSON


def proof(signer: Signer, audience: str, nonce: str | None, **changes: Any) -> str:
    """A proof of possession; `header` and `typ` change its header, all else its claims."""
    header = {"jwk": signer.public.to_jwk()} if (given := changes.pop("header", None)) is None else given
    typ = changes.pop("typ", PROOF_TYPE)
    claims = {"aud": audience, "iat": int(time.time()), "nonce": nonce} | changes
    return signed(signer, {**header, "typ": typ}, claims)


def dpop(signer: Signer, address: str, nonce: str | None, token: str | None = None, **changes: Any) -> str:
    """A DPoP proof for a POST; `header` changes its header, all else its claims."""
    header = {"typ": DPOP_TYPE, "jwk": signer.public.to_jwk()} | changes.pop("header", {})
    claims = {
        "htm": "POST",
        "htu": address,
        "iat": int(time.time()),
        "jti": secrets.token_hex(8),
        "nonce": nonce,
        "ath": None if token is None else encode_base64url(hashlib.sha256(token.encode()).digest()),
    } | changes
    return signed(signer, header, claims)


def signed(signer: Signer, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """A compact JWS made by hand, since our own signing always adds `kid`; what is None is left out."""
    claims = {name: value for name, value in claims.items() if value is not None}
    parts = [{"alg": signer.algorithm.value, **header}, claims]
    text = ".".join(encode_base64url(orjson.dumps(part)) for part in parts)
    return f"{text}.{encode_base64url(signer.sign(text.encode()))}"


@dataclass
class Wallet:
    """Holds a key and credentials; knows of the house only what it publishes."""

    service: Service
    signer: Signer = field(default_factory=lambda: new_signer(Algorithm.ES256, ""))

    @property
    def issuer(self) -> str:
        return f"{self.service.settings.base_url}/registry"

    def offered(self, identifier: str, **body: Any) -> dict[str, Any]:
        """What the holder gets when they put a licence into their wallet."""
        path = f"/registry/v1/me/licences/{identifier}/offers"
        reply = self.service.http.post(path, json=body, headers=self.service.person(PERSON))
        assert reply.status_code == 201, reply.text
        made: dict[str, Any] = reply.json()
        return made

    def token(self, offered: dict[str, Any], *proofs: tuple[str, str], **changes: Any) -> httpx.Response:
        form = {
            "grant_type": PRE_AUTHORISED,
            "pre-authorized_code": grant(offered)["pre-authorized_code"],
            "tx_code": offered["transaction_code"],
        } | changes
        form = {name: value for name, value in form.items() if value is not None}
        return self.service.http.post("/registry/v1/wallets/token", data=form, headers=list(proofs))

    def nonce(self) -> str:
        said: str = self.service.http.post("/registry/v1/wallets/nonce").json()["c_nonce"]
        return said

    def ask_for(
        self, token: str, made: str | None = None, configuration: str = "business-licence"
    ) -> httpx.Response:
        made = made or proof(self.signer, self.issuer, self.nonce())
        return self.service.http.post(
            "/registry/v1/wallets/credential",
            json={"credential_configuration_id": configuration, "proofs": {"jwt": [made]}},
            headers={"Authorization": f"Bearer {token}"},
        )

    def holding(self, identifier: str) -> str:
        """The whole way: a credential bound to this wallet's key."""
        reply = self.ask_for(self.token(self.offered(identifier)).json()["access_token"])
        assert reply.status_code == 200, reply.text
        credential: str = reply.json()["credentials"][0]["credential"]
        return credential

    def read(self, uri: str) -> dict[str, Any]:
        """The claims of a request object, its signature checked with the key of its certificate."""
        asked = parse_qs(urlsplit(uri).query)
        reply = self.service.http.get(asked["request_uri"][0])
        assert reply.headers["content-type"] == "application/oauth-authz-req+jwt"
        found: dict[str, Any] = jwt.decode(reply.text, options={"verify_signature": False})
        assert found["client_id"] == asked["client_id"][0]
        return found

    def show(self, request: dict[str, Any], credential: str, names: list[str], **changes: Any) -> str:
        given = {
            "audience": request["client_id"],
            "nonce": request["nonce"],
            "now": int(time.time()),
        } | changes
        return bind(select(credential, names), self.signer, **given)

    def answer(self, request: dict[str, Any], vp_token: object, **changes: Any) -> httpx.Response:
        said = vp_token if isinstance(vp_token, str) else orjson.dumps(vp_token).decode()
        form = {"vp_token": said, "state": request["state"]} | changes
        return self.service.http.post(request["response_uri"], data=form)


def grant(offered: dict[str, Any]) -> dict[str, Any]:
    """The grant within an offer's link."""
    (said,) = parse_qs(urlsplit(offered["credential_offer_uri"]).query)["credential_offer"]
    found: dict[str, Any] = orjson.loads(said)["grants"][PRE_AUTHORISED]
    return found
