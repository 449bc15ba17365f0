"""npm `@openid4vc/oauth2` and `openid4vci` as the wallet that comes by itself; between its steps, a holder's browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from foundation.signing import Algorithm, encode_base64url, generate_key
from license_registry.credentials.sd_jwt_vc import verify_vc
from tests import npm
from tests.conftest import Service
from tests.license_registry.conftest import published_keys
from tests.license_registry.wallets.authorising.conftest import BACK, TYPE, Coming
from tests.license_registry.wallets.test_npm_peer import PACKAGES, SETUP

pytestmark = pytest.mark.thorough

CLIENT = (
    SETUP.replace("clientAuthenticationAnonymous", "clientAuthenticationNone").replace(
        "clientAuthenticationNone(),", "clientAuthenticationNone({ clientId: 'city-wallet' }),"
    )
    + """
import { Oauth2Client } from '@openid4vc/oauth2';
import { Openid4vciClient } from '@openid4vc/openid4vci';
const oauth = new Oauth2Client({ callbacks });
const client = new Openid4vciClient({ callbacks });
const issuerMetadata = await client.resolveIssuerMetadata(given.issuer);
const authorizationServerMetadata = issuerMetadata.authorizationServers[0];
"""
)
BEGIN = (
    CLIENT
    + """
const { authorizationRequestUrl, pkce } = await oauth.initiateAuthorization({
  dpop: given.privateKey ? { signer: { method: 'jwk', alg: 'ES256', publicJwk: given.publicKey } } : undefined,
  authorizationServerMetadata, clientId: 'city-wallet', redirectUri: given.back, state: 'its-state',
  scope: issuerMetadata.credentialIssuer.credential_configurations_supported[given.type].scope });
console.log(JSON.stringify({ url: authorizationRequestUrl, verifier: pkce.codeVerifier, method: pkce.codeChallengeMethod }));
"""
)
FINISH = (
    CLIENT
    + """
const bound = Boolean(given.privateKey);
if (!bound) {
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  given.privateKey = privateKey.export({ format: 'jwk' });
  given.publicKey = publicKey.export({ format: 'jwk' });
}
const dpop = bound ? { signer: { method: 'jwk', alg: 'ES256', publicJwk: given.publicKey } } : undefined;
const authorizationResponse = oauth.parseAuthorizationResponseRedirectUrl({ url: given.url });
oauth.verifyAuthorizationResponse({ authorizationServerMetadata, authorizationResponse });
const { accessTokenResponse } = await oauth.retrieveAuthorizationCodeAccessToken({
  dpop,
  authorizationServerMetadata, authorizationCode: authorizationResponse.code, pkceCodeVerifier: given.verifier,
  redirectUri: given.back });
const { c_nonce } = await client.requestNonce({ issuerMetadata });
const { jwt } = await client.createCredentialRequestJwtProof({
  issuerMetadata, credentialConfigurationId: given.type, nonce: c_nonce, issuedAt: new Date(),
  signer: { method: 'jwk', alg: 'ES256', publicJwk: given.publicKey } });
const { credentialResponse } = await client.retrieveCredentials({
  issuerMetadata, credentialConfigurationId: given.type, accessToken: accessTokenResponse.access_token,
  proofs: { jwt: [jwt] }, dpop });
console.log(JSON.stringify({
  credential: credentialResponse.credentials[0].credential, publicKey: given.publicKey,
  state: authorizationResponse.state, tokenType: accessTokenResponse.token_type }));
"""
)


@pytest.fixture(scope="module")
def peer() -> Path:
    return npm.installed(*PACKAGES)


@pytest.mark.parametrize("bound", [False, True], ids=["bearer", "dpop"])
def test_a_wallet_not_written_here_comes_by_itself(
    service: Service, wallet: Coming, licence: str, peer: Path, bound: bool
) -> None:
    told: dict[str, Any] = {"issuer": wallet.issuer, "back": BACK, "type": TYPE}
    if bound:
        private, public = generate_key(Algorithm.ES256)
        told["publicKey"] = public.to_jwk()
        told["privateKey"] = {**public.to_jwk(), "d": encode_base64url(private)}
    begun: dict[str, Any] = npm.run(peer, BEGIN, told)
    assert begun["method"] == "S256"
    assert "request_uri=" in begun["url"]  # it pushed, as our metadata say
    page = wallet.browser.get(wallet.signed_in(wallet.browser.get(begun["url"])))
    back = wallet.choose(page, licence).headers["location"]
    got = npm.run(peer, FINISH, {**told, "url": back, "verifier": begun["verifier"]})
    assert got["state"] == "its-state"
    assert got["tokenType"] == ("DPoP" if bound else "Bearer")
    held = verify_vc(got["credential"], published_keys(service), now=time.time())
    assert held.claims["licence_identifier"] == licence
    assert held.claims["cnf"]["jwk"]["x"] == got["publicKey"]["x"]
