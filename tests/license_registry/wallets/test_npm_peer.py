"""npm `@openid4vc/*` as the wallet: it finds its way by metadata alone, gets a licence, and shows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from demonstration.parties import System
from license_registry.credentials.sd_jwt_vc import verify_vc
from tests import npm
from tests.conftest import Service
from tests.license_registry.conftest import issued, published_keys
from tests.license_registry.wallets.conftest import Wallet
from tests.license_registry.wallets.test_presentation import ask, outcome

pytestmark = pytest.mark.thorough

PACKAGES = (
    "@openid4vc/oauth2@0.4.6",
    "@openid4vc/openid4vci@0.4.6",
    "@openid4vc/openid4vp@0.4.6",
    "@sd-jwt/sd-jwt-vc@0.19.0",
    "@sd-jwt/crypto-nodejs@0.19.0",
)
SETUP = """
import { readFileSync } from 'node:fs';
import crypto from 'node:crypto';
import { clientAuthenticationAnonymous, setGlobalConfig } from '@openid4vc/oauth2';
const given = JSON.parse(readFileSync(0, 'utf8'));
setGlobalConfig({ allowInsecureUrls: true });
const b64 = (value) => Buffer.from(value).toString('base64url');
const sign = (privateKey, header, payload) => {
  const text = `${b64(JSON.stringify(header))}.${b64(JSON.stringify(payload))}`;
  const key = crypto.createPrivateKey({ key: privateKey, format: 'jwk' });
  return `${text}.${b64(crypto.sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }))}`;
};
const hash = (data, name) => crypto.createHash(name.replace('-', '')).update(data).digest();
const callbacks = {
  hash, generateRandom: (size) => crypto.randomBytes(size), clientAuthentication: clientAuthenticationAnonymous(),
  signJwt: async (signer, { header, payload }) =>
    ({ jwt: sign(given.privateKey, header, payload), signerJwk: given.publicKey }),
  verifyJwt: async (signer, { compact }) => {
    const [header, payload, signature] = compact.split('.');
    const certificate = new crypto.X509Certificate(Buffer.from(signer.x5c[0], 'base64'));
    const verified = crypto.verify('sha256', Buffer.from(`${header}.${payload}`),
      { key: certificate.publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
    return { verified, signerJwk: certificate.publicKey.export({ format: 'jwk' }) };
  },
  getX509CertificateMetadata: () => ({ sanDnsNames: [], sanUriNames: [] }),
  decryptJwe: async () => { throw new Error('nothing is encrypted here'); },
  encryptJwe: async () => { throw new Error('nothing is encrypted here'); },
};
"""
RECEIVE = (
    SETUP
    + """
import { Openid4vciClient } from '@openid4vc/openid4vci';
const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
given.privateKey = privateKey.export({ format: 'jwk' });
given.publicKey = publicKey.export({ format: 'jwk' });
const client = new Openid4vciClient({ callbacks });
const credentialOffer = await client.resolveCredentialOffer(given.offer);
const issuerMetadata = await client.resolveIssuerMetadata(credentialOffer.credential_issuer);
const dpop = given.dpop ? { signer: { method: 'jwk', alg: 'ES256', publicJwk: given.publicKey } } : undefined;
const told = await client.retrievePreAuthorizedCodeAccessTokenFromOffer({
  credentialOffer, issuerMetadata, txCode: given.pin, dpop });
const { accessTokenResponse } = told;
const { c_nonce } = await client.requestNonce({ issuerMetadata });
const credentialConfigurationId = credentialOffer.credential_configuration_ids[0];
const { jwt } = await client.createCredentialRequestJwtProof({
  issuerMetadata, credentialConfigurationId, nonce: c_nonce, issuedAt: new Date(),
  signer: { method: 'jwk', alg: 'ES256', publicJwk: given.publicKey } });
const { credentialResponse } = await client.retrieveCredentials({
  issuerMetadata, credentialConfigurationId, accessToken: accessTokenResponse.access_token, proofs: { jwt: [jwt] },
  // Without the nonce that came with the token: it has to find its way by `use_dpop_nonce` here, too.
  dpop: given.dpop ? dpop : undefined });
console.log(JSON.stringify({
  credential: credentialResponse.credentials[0].credential, privateKey: given.privateKey,
  publicKey: given.publicKey, draft: issuerMetadata.originalDraftVersion,
  tokenType: accessTokenResponse.token_type, nonce: told.dpop?.nonce }));
"""
)
SHOW = (
    SETUP
    + """
import { Openid4vpClient } from '@openid4vc/openid4vp';
import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc';
import { digest, generateSalt, ES256 } from '@sd-jwt/crypto-nodejs';
const client = new Openid4vpClient({ callbacks });
const parsed = client.parseOpenid4vpAuthorizationRequest({ authorizationRequest: given.request });
const resolved = await client.resolveOpenId4vpAuthorizationRequest({ authorizationRequestPayload: parsed.params });
const authorizationRequestPayload = resolved.authorizationRequestPayload;
const [wanted] = resolved.dcql.query.credentials;
const instance = new SDJwtVcInstance({
  hasher: digest, hashAlg: 'sha-256', saltGenerator: generateSalt, signAlg: 'ES256', kbSignAlg: 'ES256',
  kbSigner: await ES256.getSigner(given.privateKey) });
const available = await instance.presentableKeys(given.credential);
const names = wanted.claims.map((claim) => claim.path[0]).filter((name) => available.includes(name));
const shown = await instance.present(given.credential, Object.fromEntries(names.map((name) => [name, true])),
  { kb: { payload: { iat: Math.floor(Date.now() / 1000), aud: resolved.client.effective,
    nonce: authorizationRequestPayload.nonce } } });
const { authorizationResponsePayload } = await client.createOpenid4vpAuthorizationResponse({
  authorizationRequestPayload, authorizationResponsePayload: { vp_token: { [wanted.id]: [shown] } } });
const { response } = await client.submitOpenid4vpAuthorizationResponse({
  authorizationRequestPayload, authorizationResponsePayload });
console.log(JSON.stringify({ status: response.status, version: resolved.version, names }));
"""
)


@pytest.fixture(scope="module")
def peer() -> Path:
    return npm.installed(*PACKAGES)


def test_a_wallet_not_written_here_gets_a_licence_and_shows_it(
    service: Service, authority: System, counter: System, peer: Path
) -> None:
    identifier = issued(service, authority)["identifier"]
    offered = Wallet(service).offered(identifier)
    got: dict[str, Any] = npm.run(
        peer, RECEIVE, {"offer": offered["credential_offer_uri"], "pin": offered["transaction_code"]}
    )
    assert got["draft"] == "V1"  # it takes ours for the final version, by our metadata
    held = verify_vc(got["credential"], published_keys(service), now=time.time())
    assert held.claims["cnf"]["jwk"]["x"] == got["publicKey"]["x"]

    made = ask(service, counter, fields=["holder_name", "representative_name"]).json()
    told = npm.run(
        peer,
        SHOW,
        {
            "request": made["request_uri"],
            "credential": got["credential"],
            "privateKey": got["privateKey"],
            "publicKey": got["publicKey"],
        },
    )
    assert told["status"] == 200
    assert told["version"] == 100  # 1.0
    found = outcome(service, counter, made)
    assert (found["status"], found["result"], found["identifier"]) == ("answered", 0, identifier)
    assert found["fields"]["representative_name"] == "张三丰"
    assert "business_scope" not in found["fields"]


def test_a_wallet_not_written_here_binds_its_token_to_a_key(
    service: Service, authority: System, peer: Path
) -> None:
    identifier = issued(service, authority)["identifier"]
    offered = Wallet(service).offered(identifier)
    got: dict[str, Any] = npm.run(
        peer,
        RECEIVE,
        {"offer": offered["credential_offer_uri"], "pin": offered["transaction_code"], "dpop": True},
    )
    assert got["tokenType"] == "DPoP"
    assert got["nonce"]
    assert verify_vc(got["credential"], published_keys(service), now=time.time()).claims["cnf"]
    assert service.sql("SELECT count(*) FROM license_registry.wallet_proof") == [(2,)]
