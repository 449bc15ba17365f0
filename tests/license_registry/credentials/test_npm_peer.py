"""npm `@sd-jwt/sd-jwt-vc` reads ours, status list and all, and we read theirs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from foundation.signing import Algorithm, PublicKey, new_signer
from license_registry.credentials.key_binding import ExpectedBinding, confirmation
from license_registry.credentials.sd_jwt import CredentialInvalid, bind, issue, select
from license_registry.credentials.sd_jwt_vc import verify_vc
from license_registry.credentials.status_list import Status, sign_list
from tests import npm

pytestmark = pytest.mark.thorough

PACKAGES = ("@sd-jwt/sd-jwt-vc@0.19.0", "@sd-jwt/crypto-nodejs@0.19.0")
SETUP = """
import { readFileSync } from 'node:fs';
import { SDJwtVcInstance } from '@sd-jwt/sd-jwt-vc';
import { digest, generateSalt, ES256 } from '@sd-jwt/crypto-nodejs';
const given = JSON.parse(readFileSync(0, 'utf8'));
const base = { hasher: digest, hashAlg: 'sha-256', saltGenerator: generateSalt, signAlg: 'ES256', kbSignAlg: 'ES256' };
"""
VERIFY = (
    SETUP
    + """
const verifier = await ES256.getVerifier(given.issuer);
const instance = new SDJwtVcInstance({
  ...base, verifier,
  kbVerifier: async (data, signature, payload) =>
    (await ES256.getVerifier(payload.cnf.jwk))(data, signature),
  statusListFetcher: async () => given.list,
  statusVerifier: verifier,
  statusValidator: async (status) => { if (status !== 0) throw new Error(`status ${status}`); },
});
try {
  const found = await instance.verify(given.text, { keyBindingNonce: given.nonce });
  console.log(JSON.stringify({ payload: found.payload, kb: found.kb?.payload ?? null }));
} catch (error) {
  console.log(JSON.stringify({ refused: String(error.message) }));
}
"""
)
ISSUE = (
    SETUP
    + """
const { privateKey, publicKey } = await ES256.generateKeyPair();
const holder = await ES256.generateKeyPair();
const instance = new SDJwtVcInstance({
  ...base, signer: await ES256.getSigner(privateKey), verifier: await ES256.getVerifier(publicKey),
  kbSigner: await ES256.getSigner(holder.privateKey),
});
const { crv, kty, x, y } = holder.publicKey;
const issued = await instance.issue(
  { ...given.claims, cnf: { jwk: { crv, kty, x, y } } }, given.frame, { header: { kid: 'peer' } });
const shown = await instance.present(issued, given.shown,
  { kb: { payload: { iat: given.now, aud: 'counter', nonce: 'n-1' } } });
console.log(JSON.stringify({ issued, shown, key: publicKey }));
"""
)
NOW = int(time.time())
URI = "https://registry.example/v1/status-lists/0"
ISSUER = new_signer(Algorithm.ES256, "issuer")
HOLDER = new_signer(Algorithm.ES256, "holder")
CLAIMS: dict[str, Any] = {
    "iss": "https://registry.example",
    "vct": "urn:example:licence",
    "iat": NOW,
    "exp": NOW + 86_400,  # the suite may take its time between here and the test
    "cnf": confirmation(HOLDER.public),
    "status": {"status_list": {"uri": URI, "idx": 5}},
}
FIELDS = {"name": "示范市东湖茶业有限公司", "address": "东湖路1号", "partners": [{"name": "张三丰"}]}


@pytest.fixture(scope="module")
def peer() -> Path:
    return npm.installed(*PACKAGES)


def read(peer: Path, text: str, status: Status = Status.VALID, nonce: str | None = None) -> dict[str, Any]:
    given = {
        "issuer": ISSUER.public.to_jwk(),
        "text": text,
        "nonce": nonce,
        "list": sign_list(ISSUER, URI, [(5, status), (6, Status.INVALID)], now=NOW, ttl=86_400, lives=86_400),
    }
    return npm.run(peer, VERIFY, {name: value for name, value in given.items() if value is not None})


def test_the_peer_reads_ours(peer: Path) -> None:
    found = read(peer, issue(ISSUER, CLAIMS, FIELDS))
    assert found == {"payload": CLAIMS | FIELDS, "kb": None}


def test_the_peer_reads_a_bound_presentation_of_ours(peer: Path) -> None:
    shown = select(issue(ISSUER, CLAIMS, FIELDS), ["name"])
    found = read(peer, bind(shown, HOLDER, audience="counter", nonce="n-1", now=NOW), nonce="n-1")
    assert found["payload"] == CLAIMS | {"name": FIELDS["name"]}
    assert (found["kb"]["aud"], found["kb"]["nonce"]) == ("counter", "n-1")
    thief = new_signer(Algorithm.ES256, "thief")
    stolen = bind(shown, thief, audience="counter", nonce="n-1", now=NOW)
    assert "refused" in read(peer, stolen, nonce="n-1")


@pytest.mark.parametrize("status", [Status.INVALID, Status.SUSPENDED])
def test_the_peer_finds_in_our_list_what_does_not_hold_any_more(peer: Path, status: Status) -> None:
    assert read(peer, issue(ISSUER, CLAIMS, FIELDS), status) == {"refused": f"status {int(status)}"}


def test_we_read_the_peer_s(peer: Path) -> None:
    made = npm.run(
        peer,
        ISSUE,
        {
            "claims": {"vct": "urn:example:licence", "iat": NOW, **FIELDS},
            "frame": {"_sd": ["name", "address"], "_sd_decoy": 2, "partners": {"0": {"_sd": ["name"]}}},
            "shown": {"name": True, "partners": {"0": {"name": True}}},
            "now": NOW,
        },
    )
    keys = {"peer": PublicKey.from_jwk(made["key"])}
    whole = verify_vc(made["issued"], keys, now=NOW, vct="urn:example:licence")
    assert {**whole.claims, **whole.disclosed}.items() >= FIELDS.items()
    asked = ExpectedBinding("counter", "n-1", NOW)
    shown = verify_vc(made["shown"], keys, now=NOW, binding=asked)
    assert (shown.bound, shown.disclosed) == (True, {"name": FIELDS["name"]})
    assert shown.claims["partners"] == FIELDS["partners"]
    assert shown.hidden == 3  # the address and two decoys
    with pytest.raises(CredentialInvalid, match="nonce-differs"):
        verify_vc(made["shown"], keys, now=NOW, binding=ExpectedBinding("counter", "n-2", NOW))
