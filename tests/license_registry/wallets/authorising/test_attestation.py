"""Wallets that prove whose they are (attestation-based client authentication), and each reason to refuse them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from foundation.identity.principals import Role
from foundation.settings import Settings, SettingsError
from foundation.signing import (
    Algorithm,
    PublicKey,
    Signer,
    encode_base64url,
    generate_key,
    load_signer,
    new_signer,
)
from license_registry.credentials.sd_jwt_vc import verify_vc
from license_registry.wallets.attestation import ATTESTATION_TYPE, POP_TYPE, Said, check_attestation
from license_registry.wallets.attesters import load_attesters
from license_registry.wallets.errors import AttestationRefused, AttestationStale
from tests import npm
from tests.conftest import Service, free_port, fresh_database, serving
from tests.license_registry.conftest import issued, problem, published_keys
from tests.license_registry.wallets.authorising.conftest import BACK, CLIENTS, TYPE, Coming, answer
from tests.license_registry.wallets.authorising.test_authorising import refused
from tests.license_registry.wallets.authorising.test_npm_peer import BEGIN, FINISH
from tests.license_registry.wallets.conftest import signed
from tests.license_registry.wallets.test_dpop import at_token
from tests.license_registry.wallets.test_npm_peer import PACKAGES

ATTESTER = new_signer(Algorithm.ES256, "attester-1")
INSTANCE = new_signer(Algorithm.ES256, "")
OTHER = new_signer(Algorithm.ES256, "")
CLIENT = "city-wallet"


@dataclass
class Authority:
    """Issues certificates to attesters."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: x509.Name = field(
        default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Wallet authority")])
    )

    def certificate(
        self, key: ec.EllipticCurvePublicKey, subject: str, days: int, *, ca: bool
    ) -> x509.Certificate:
        start = datetime.now(UTC) - timedelta(days=10)
        name = self.name if ca else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        ) | {"encipher_only": False, "decipher_only": False}
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        return built.sign(self.key, SHA256())

    def root(self) -> bytes:
        return self.certificate(self.key.public_key(), "", 100, ca=True).public_bytes(Encoding.PEM)

    def attester(self, days: int = 100) -> tuple[Signer, list[str]]:
        """A key with its `x5c`."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self.certificate(key.public_key(), "Attester", days, ca=False)
        numbers = key.private_numbers()
        public = numbers.public_numbers
        jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": encode_base64url(public.x.to_bytes(32, "big")),
            "y": encode_base64url(public.y.to_bytes(32, "big")),
        }
        signer = load_signer(numbers.private_value.to_bytes(32, "big"), PublicKey.from_jwk(jwk))
        return signer, [base64.b64encode(made.public_bytes(Encoding.DER)).decode()]


def attestation(signer: Signer = ATTESTER, **changes: Any) -> str:
    """What the maker of a wallet attests; `header` changes its header, all else its claims."""
    header = {"typ": ATTESTATION_TYPE, "kid": "attester-1"} | changes.pop("header", {})
    now = int(time.time())
    claims = {
        "sub": CLIENT,
        "iat": now - 3600,
        "exp": now + 3600,
        "cnf": {"jwk": INSTANCE.public.to_jwk()},
    } | changes
    return signed(signer, {name: value for name, value in header.items() if value is not None}, claims)


def pop(audience: str, signer: Signer = INSTANCE, **changes: Any) -> str:
    header = {"typ": POP_TYPE} | changes.pop("header", {})
    claims = {
        "aud": audience,
        "iat": int(time.time()),
        "jti": encode_base64url(datetime.now(UTC).isoformat().encode()),
    } | changes
    return signed(signer, header, claims)


def fields(wallet: Coming, made: str | None = None, proof: str | None = None) -> list[tuple[str, str]]:
    return [
        ("OAuth-Client-Attestation", made or attestation()),
        ("OAuth-Client-Attestation-PoP", proof or pop(wallet.issuer)),
    ]


AUTHORITY = Authority()


def attesters_in(folder: Path) -> dict[str, Path]:
    keys = {"keys": [{**ATTESTER.public.to_jwk(), "kid": "attester-1"}]}
    (folder / "keys.json").write_bytes(orjson.dumps(keys))
    (folder / "root.pem").write_bytes(AUTHORITY.root())
    return {CLIENT: folder / "keys.json", "certified-wallet": folder / "root.pem"}


@pytest.fixture(scope="module")
def service(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A house that knows who attests one of its wallets."""
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=address,
            listen_port=free_port(),
            development_issuer=True,
            sequence_interval_seconds=0.05,
            holder_register="if-known",
            wallet_clients=CLIENTS,
            wallet_attesters=attesters_in(tmp_path_factory.mktemp("attesters")),
        )
        with serving(settings, address) as running:
            yield running


def test_metadata_say_that_attestations_are_taken(service: Service) -> None:
    server = service.http.get("/.well-known/oauth-authorization-server/registry").json()
    assert server["token_endpoint_auth_methods_supported"] == ["none", "attest_jwt_client_auth"]
    assert server["client_attestation_signing_alg_values_supported"] == ["ES256", "EdDSA"]
    assert server["client_attestation_pop_signing_alg_values_supported"] == ["ES256", "EdDSA"]
    assert server["pre-authorized_grant_anonymous_access_supported"] is True


def test_an_attested_wallet_comes_by_itself(wallet: Coming, licence: str) -> None:
    pushed = wallet.push(*fields(wallet))
    assert pushed.status_code == 201, pushed.text
    page = wallet.browser.get(wallet.signed_in(wallet.open(pushed.json()["request_uri"])))
    code = answer(wallet.choose(page, licence))["code"]
    # Without the attestation the code is good for nobody; with it the form need not name the client again.
    assert refused(wallet.redeem(code)) == ("wallet-attestation-needed", "invalid_client")
    assert refused(wallet.redeem(code, client_id=""))[1] == "invalid_grant"
    granted = wallet.redeem(code, *fields(wallet), client_id="")
    assert granted.status_code == 200, granted.text
    assert wallet.ask_for(granted.json()["access_token"]).status_code == 200


def test_nobody_is_a_wallet_that_is_attested_by_naming_it(wallet: Coming) -> None:
    assert refused(wallet.push()) == ("wallet-attestation-needed", "invalid_client")
    alone = fields(wallet)
    for half in (alone[:1], alone[1:], [*alone, alone[0]], [*alone, alone[1]]):
        reply = wallet.push(*half)
        assert refused(reply) == ("wallet-attestation-refused", "invalid_client_attestation")
        assert "not-one" in reply.json()["detail"]
    other = Coming(wallet.service, client_id="other-wallet", redirect_uri=CLIENTS["other-wallet"][0])
    assert other.push().status_code == 201  # nobody attests this one
    reply = other.push(*fields(other))  # and it is not the one that is attested
    assert "client-differs" in reply.json()["detail"]


def test_a_proof_is_good_once_over_all_endpoints(wallet: Coming, licence: str) -> None:
    made = fields(wallet)
    assert wallet.push(*made).status_code == 201
    again = wallet.push(*made)
    assert refused(again) == ("wallet-attestation-refused", "invalid_client_attestation")
    assert "proof-used" in again.json()["detail"]
    offered = wallet.offered(licence)
    assert refused(wallet.token(offered, *made))[0] == "wallet-attestation-refused"
    assert wallet.token(offered, *fields(wallet)).status_code == 200  # the offer was not lost by it
    made = fields(wallet)
    with ThreadPoolExecutor(5) as pool:
        replies = list(pool.map(lambda _: wallet.push(*made).status_code, range(5)))
    assert sorted(replies) == [201, 400, 400, 400, 400]


def test_an_attested_wallet_s_token_can_be_bound_to_another_key(wallet: Coming, licence: str) -> None:
    granted = wallet.token(wallet.offered(licence), *fields(wallet), at_token(wallet, OTHER))
    assert granted.json()["token_type"] == "DPoP", granted.text


def checked(folder: Path, made: str, proof: str, client_id: str = "") -> str | None:
    said = Said([made], [proof])
    try:
        check_attestation(
            load_attesters(attesters_in(folder)), said, "https://city.example", client_id, datetime.now(UTC)
        )
    except AttestationStale:
        return "stale"
    except AttestationRefused as error:
        return str(error.values["reason"])
    return None


def test_attestations_that_do_not_hold_are_refused_for_their_reason(tmp_path: Path) -> None:
    here, now = "https://city.example", int(time.time())
    public, x = INSTANCE.public.to_jwk(), INSTANCE.public.to_jwk()["x"]
    signer, x5c = AUTHORITY.attester()
    late, late_x5c = AUTHORITY.attester(days=9)
    stranger, stranger_x5c = Authority().attester()
    chained: dict[str, Any] = {"kid": None, "x5c": x5c}
    certified = {"sub": "certified-wallet"}
    good = pop(here)
    wanted = {
        "": (attestation(), good, None),
        "an issuer and an end, as older drafts ask": (
            attestation(iss="https://attester.example"),
            pop(here, iss=CLIENT, exp=now + 60),
            None,
        ),
        "without a name, where there is one key": (attestation(header={"kid": None}), good, None),
        "by a certificate": (attestation(signer, header=chained, **certified), good, None),
        "by a certificate, of a wallet whose attester has a key": (
            attestation(signer, header=chained),
            good,
            "signature-wrong",
        ),
        "by a certificate that is over": (
            attestation(late, header={"kid": None, "x5c": late_x5c}, **certified),
            good,
            "chain-broken",
        ),
        "by a certificate of a stranger": (
            attestation(stranger, header={"kid": None, "x5c": stranger_x5c}, **certified),
            good,
            "chain-broken",
        ),
        "by another key than the certificate's": (
            attestation(stranger, header=chained, **certified),
            good,
            "signature-wrong",
        ),
        "by an attester of another wallet": (attestation(**certified), good, "key-unknown"),
        "of a wallet that nobody attests": (attestation(sub="other-wallet"), good, "attester-unknown"),
        "of nobody": (attestation(sub=None), good, "attester-unknown"),
        "no token": ("x", good, "malformed"),
        "no claims": ("a.b.c", good, "malformed"),
        "another key": (attestation(OTHER), good, "signature-wrong"),
        "unknown name": (attestation(header={"kid": "attester-2"}), good, "key-unknown"),
        "none": (attestation(header={"alg": "none"}), good, "algorithm-refused"),
        "HS256": (attestation(header={"alg": "HS256"}), good, "algorithm-refused"),
        "another type": (attestation(header={"typ": POP_TYPE}), good, "type-mismatch"),
        "no end": (attestation(exp=None), good, "malformed"),
        "over": (attestation(exp=now - 61), good, "stale"),
        "a clock that is slow": (attestation(exp=now - 50), good, None),
        "not begun": (attestation(nbf=now + 100), good, "not-yet-valid"),
        "made tomorrow": (attestation(iat=now + 100), good, "not-yet-valid"),
        "no key": (attestation(cnf=None), good, "malformed"),
        "a key by name": (attestation(cnf={"kid": "x"}), good, "malformed"),
        "a private key": (attestation(cnf={"jwk": {**public, "d": x}}), good, "instance-key-refused"),
        "too long": (attestation(more="x" * 17_000), good, "too-large"),
        "proof by another key": (attestation(), pop(here, OTHER), "proof-signature-wrong"),
        "proof by the attester": (attestation(), pop(here, ATTESTER), "proof-signature-wrong"),
        "proof of another type": (
            attestation(),
            pop(here, header={"typ": "dpop+jwt"}),
            "proof-type-mismatch",
        ),
        "proof by none": (attestation(), pop(here, header={"alg": "none"}), "proof-algorithm-refused"),
        "proof for another": (attestation(), pop("https://other.example"), "audience-differs"),
        "proof for two": (attestation(), pop(here, aud=[here, "https://other.example"]), "proof-malformed"),
        "proof for one in a list": (attestation(), pop(here, aud=[here]), None),
        "proof of another client": (attestation(), pop(here, iss="other-wallet"), "client-differs"),
        "proof without id": (attestation(), pop(here, jti=None), "proof-malformed"),
        "proof with an empty id": (attestation(), pop(here, jti=""), "proof-malformed"),
        "proof without time": (attestation(), pop(here, iat=None), "proof-malformed"),
        "proof made long ago": (attestation(), pop(here, iat=now - 365), "proof-not-of-now"),
        "proof made tomorrow": (attestation(), pop(here, iat=now + 65), "proof-not-of-now"),
        "proof that is over": (attestation(), pop(here, exp=now - 61), "proof-not-of-now"),
        "proof that ends as text": (attestation(), pop(here, exp="x"), "proof-malformed"),
    }
    for name, (made, proof, reason) in wanted.items():
        assert checked(tmp_path, made, proof) == reason, name
    assert checked(tmp_path, attestation(), good, "other-wallet") == "client-differs"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AA"}]}', b"-----BEGIN"]
)
def test_attesters_that_cannot_be_read_are_told_at_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SettingsError, match=CLIENT):
        load_attesters({CLIENT: tmp_path / "a.json"})
    with pytest.raises(SettingsError, match="none"):
        load_attesters({CLIENT: tmp_path / "none.json"})


@pytest.fixture(scope="module")
def strict(server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A house that takes attested wallets alone, and bound tokens alone."""
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=tmp_path_factory.mktemp("home"),
            database_url=address,
            listen_port=free_port(),
            development_issuer=True,
            sequence_interval_seconds=0.05,
            holder_register="if-known",
            wallet_attesters=attesters_in(tmp_path_factory.mktemp("attesters")),
            wallet_attestation="required",
            wallet_dpop="required",
        )
        with serving(settings, address) as running:
            yield running


def test_a_house_can_demand_both(strict: Service) -> None:
    server = strict.http.get("/.well-known/oauth-authorization-server/registry").json()
    assert server["token_endpoint_auth_methods_supported"] == ["attest_jwt_client_auth"]
    assert server["pre-authorized_grant_anonymous_access_supported"] is False
    wallet = Coming(strict)
    identifier = issued(strict, strict.system("market-regulator", Role.ISSUING_AUTHORITY))["identifier"]
    offered = wallet.offered(identifier)
    assert refused(wallet.token(offered, at_token(wallet))) == (
        "wallet-attestation-needed",
        "invalid_client",
    )
    assert refused(wallet.token(offered, *fields(wallet))) == ("wallet-dpop-refused", "invalid_dpop_proof")
    assert wallet.token(offered, *fields(wallet), at_token(wallet)).json()["token_type"] == "DPoP"
    token = wallet.token(wallet.offered(identifier), *fields(wallet), at_token(wallet)).json()["access_token"]
    strict.sql("UPDATE license_registry.wallet_token SET bound_to = NULL")  # as before the house demanded it
    assert problem(wallet.ask_for(token)) == (401, "wallet-token-refused")


ATTESTED = "clientAuthenticationClientAttestationJwt"


def by_attestation(program: str) -> str:
    """The same wallet, which authenticates by an attestation instead of its name."""
    named = "clientAuthenticationNone({ clientId: 'city-wallet' }),"
    assert named in program
    attested = f"(told) => {ATTESTED}({{ callbacks, clientAttestationJwt: given.attestation }})(told),"
    return program.replace(named, attested).replace("clientAuthenticationNone,", f"{ATTESTED},")


@pytest.mark.thorough
def test_a_wallet_not_written_here_is_attested(service: Service, wallet: Coming, licence: str) -> None:
    peer = npm.installed(*PACKAGES)
    private, public = generate_key(Algorithm.ES256)
    told: dict[str, Any] = {
        "issuer": wallet.issuer,
        "back": BACK,
        "type": TYPE,
        "attestation": attestation(iss="https://attester.example", cnf={"jwk": public.to_jwk()}),
        "publicKey": public.to_jwk(),
        "privateKey": {**public.to_jwk(), "d": encode_base64url(private)},
    }
    ((before,),) = service.sql("SELECT count(*) FROM license_registry.wallet_proof")
    begun = npm.run(peer, by_attestation(BEGIN), told)
    page = wallet.browser.get(wallet.signed_in(wallet.browser.get(begun["url"])))
    back = wallet.choose(page, licence).headers["location"]
    got = npm.run(peer, by_attestation(FINISH), {**told, "url": back, "verifier": begun["verifier"]})
    assert got["tokenType"] == "DPoP"
    held = verify_vc(got["credential"], published_keys(service), now=time.time())
    assert held.claims["licence_identifier"] == licence
    # Two proofs each for the pushed request and the token, one for the credential.
    ((after,),) = service.sql("SELECT count(*) FROM license_registry.wallet_proof")
    assert after - before == 5
