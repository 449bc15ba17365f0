"""A licence goes into a wallet (OpenID4VCI 1.0): offer, token, nonce, proof, credential, and all that is refused."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy
import orjson
import pytest
import zxingcpp
from cryptography import x509

from demonstration.parties import System
from foundation.signing import Algorithm, decode_base64url, encode_base64url, new_signer
from license_registry.credentials.issuer_keys import chosen_by
from license_registry.credentials.key_binding import holder_key
from license_registry.credentials.sd_jwt_vc import status_reference, verify_vc
from license_registry.wallets.offers import PIN_TRIES
from tests.conftest import Service
from tests.license_registry.conftest import STRANGER, issued, operate, problem, published_keys
from tests.license_registry.wallets.conftest import Wallet, grant, proof


@pytest.fixture
def wallet(service: Service) -> Wallet:
    return Wallet(service)


@pytest.fixture(scope="module")
def licence(service: Service, authority: System) -> str:
    identifier: str = issued(service, authority)["identifier"]
    return identifier


def refused(reply: Any) -> tuple[int, str, str]:
    """Status, our code, and the error code that wallets read."""
    return (*problem(reply), reply.json()["error"])


def test_metadata_lead_a_wallet_to_every_endpoint(service: Service, wallet: Wallet) -> None:
    found = service.http.get("/.well-known/openid-credential-issuer/registry").json()
    assert found["credential_issuer"] == wallet.issuer
    assert found["authorization_servers"] == [wallet.issuer]
    server = service.http.get("/.well-known/oauth-authorization-server/registry").json()
    assert server["issuer"] == wallet.issuer
    for address in (found["credential_endpoint"], found["nonce_endpoint"], server["token_endpoint"]):
        assert service.http.get(address).status_code == 405, address
    configuration = found["credential_configurations_supported"]["business-licence"]
    assert (configuration["format"], configuration["credential_signing_alg_values_supported"]) == (
        "dc+sd-jwt",
        ["ES256"],
    )
    keys = service.http.get("/.well-known/jwt-vc-issuer/registry").json()
    assert keys["issuer"] == wallet.issuer
    assert keys["jwks"]["keys"]
    assert service.http.get("/.well-known/jwt-vc-issuer/other").status_code == 422


def test_a_licence_comes_bound_to_the_wallet_s_key(service: Service, wallet: Wallet, licence: str) -> None:
    credential = wallet.holding(licence)
    found = verify_vc(credential, published_keys(service), now=time.time())
    assert found.claims["licence_identifier"] == licence
    assert holder_key(found.claims) == wallet.signer.public
    assert found.disclosed["representative_name"] == "张三丰"
    uri, index = status_reference(found) or ("", -1)
    assert (uri, index) == (f"{wallet.issuer}/v1/status-lists/0", 0)
    assert service.sql(
        "SELECT count(*) FROM license_registry.event WHERE kind = 'issued-to-wallet' AND identifier = %s",
        licence,
    ) == [(1,)]


def test_a_verifier_who_holds_the_root_needs_no_key_of_ours(
    service: Service, wallet: Wallet, licence: str
) -> None:
    credential = wallet.holding(licence)
    header = orjson.loads(decode_base64url(credential.split(".")[0]))
    pem = service.http.get(f"/certificates/{header['kid']}.pem").text
    root = x509.load_pem_x509_certificates(pem.encode())[-1]
    trust = chosen_by({}, [root], datetime.now(UTC) + timedelta(seconds=2))
    assert verify_vc(credential, trust, now=time.time()).claims["licence_identifier"] == licence


def test_an_offer_is_for_its_holder_only(service: Service, licence: str) -> None:
    reply = service.http.post(
        f"/registry/v1/me/licences/{licence}/offers", json={}, headers=service.person(STRANGER)
    )
    assert problem(reply) == (404, "not-found")


def test_an_offer_says_what_the_wallet_asks_the_holder_for(wallet: Wallet, licence: str) -> None:
    with_pin, without = wallet.offered(licence), wallet.offered(licence, transaction_code=False)
    assert grant(with_pin)["tx_code"] == {"input_mode": "numeric", "length": 6}
    assert len(with_pin["transaction_code"]) == 6
    assert "tx_code" not in grant(without)
    assert without["transaction_code"] is None
    assert without["qr_svg"].startswith("<svg")
    assert wallet.token(without, tx_code=None).status_code == 200


def test_a_code_works_once(wallet: Wallet, licence: str) -> None:
    offered = wallet.offered(licence)
    assert wallet.token(offered).status_code == 200
    assert refused(wallet.token(offered)) == (400, "wallet-code-refused", "invalid_grant")


def test_a_transaction_code_cannot_be_tried_out(wallet: Wallet, licence: str) -> None:
    offered = wallet.offered(licence)
    wrong = f"{(int(offered['transaction_code']) + 1) % 10**6:06d}"
    assert refused(wallet.token(offered, tx_code=None))[2] == "invalid_grant"
    for _ in range(PIN_TRIES - 1):
        assert refused(wallet.token(offered, tx_code=wrong))[2] == "invalid_grant"
    assert refused(wallet.token(offered))[2] == "invalid_grant"  # the right one comes too late


def test_an_old_offer_and_an_old_token_give_nothing(service: Service, wallet: Wallet, licence: str) -> None:
    offered = wallet.offered(licence)
    token = wallet.token(wallet.offered(licence)).json()["access_token"]
    service.sql("UPDATE license_registry.wallet_offer SET expires_at = now()")
    service.sql("UPDATE license_registry.wallet_token SET expires_at = now()")
    assert refused(wallet.token(offered))[2] == "invalid_grant"
    assert refused(wallet.ask_for(token)) == (401, "wallet-token-refused", "invalid_token")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
        ({"pre-authorized_code": "x"}, "invalid_grant"),
        ({"pre-authorized_code": ""}, "invalid_grant"),
    ],
)
def test_other_grants_are_refused(wallet: Wallet, licence: str, changes: dict[str, str], error: str) -> None:
    assert refused(wallet.token(wallet.offered(licence), **changes))[2] == error


def test_a_credential_needs_the_right_token_and_type(service: Service, wallet: Wallet, licence: str) -> None:
    token = wallet.token(wallet.offered(licence)).json()["access_token"]
    assert refused(wallet.ask_for("x"))[:2] == (401, "wallet-token-refused")
    body = {"credential_configuration_id": "business-licence", "proofs": {"jwt": ["x"]}}
    bare = service.http.post("/registry/v1/wallets/credential", json=body)
    assert refused(bare)[2] == "invalid_token"
    assert refused(wallet.ask_for(token, configuration="other"))[2] == "unknown_credential_configuration"
    assert wallet.ask_for(token).status_code == 200


def test_proofs_that_do_not_hold_are_refused(wallet: Wallet, licence: str) -> None:
    token = wallet.token(wallet.offered(licence)).json()["access_token"]
    signer, other = wallet.signer, new_signer(Algorithm.ES256, "")
    now = int(time.time())
    nonce = wallet.nonce
    spent = nonce()
    assert wallet.ask_for(token, proof(signer, wallet.issuer, spent)).status_code == 200
    cut, own = nonce(), {"jwk": signer.public.to_jwk()}
    not_held = {
        "not a token": ("x", "invalid_proof"),
        "another audience": (proof(signer, "https://other", nonce()), "invalid_proof"),
        "another type": (proof(signer, wallet.issuer, nonce(), typ="JWT"), "invalid_proof"),
        "made long ago": (proof(signer, wallet.issuer, nonce(), iat=now - 1000), "invalid_proof"),
        "made tomorrow": (proof(signer, wallet.issuer, nonce(), iat=now + 1000), "invalid_proof"),
        "no time": (proof(signer, wallet.issuer, nonce(), iat="x"), "invalid_proof"),
        "key of another": (
            proof(signer, wallet.issuer, nonce(), header={"jwk": other.public.to_jwk()}),
            "invalid_proof",
        ),
        "no key": (proof(signer, wallet.issuer, nonce(), header={}), "invalid_proof"),
        "key by name": (proof(signer, wallet.issuer, nonce(), header={"kid": "x"}), "invalid_proof"),
        "half a key": (
            proof(signer, wallet.issuer, nonce(), header={"jwk": {"kty": "EC", "crv": "P-256"}}),
            "invalid_proof",
        ),
        "SM2, which is not offered": (
            proof(new_signer(Algorithm.SM2, ""), wallet.issuer, nonce()),
            "invalid_proof",
        ),
        "none": (proof(signer, wallet.issuer, nonce(), header={**own, "alg": "none"}), "invalid_proof"),
        "HS256": (proof(signer, wallet.issuer, nonce(), header={**own, "alg": "HS256"}), "invalid_proof"),
        "crit": (proof(signer, wallet.issuer, nonce(), header={**own, "crit": ["x"]}), "invalid_proof"),
        "no nonce": (proof(signer, wallet.issuer, None), "invalid_nonce"),
        "used nonce": (proof(signer, wallet.issuer, spent), "invalid_nonce"),
        "invented nonce": (proof(signer, wallet.issuer, encode_base64url(bytes(36))), "invalid_nonce"),
        "nonce that is none": (proof(signer, wallet.issuer, "+"), "invalid_nonce"),
        "nonce made longer to live": (
            proof(signer, wallet.issuer, encode_base64url(b"\xff" + decode_base64url(cut)[1:])),
            "invalid_nonce",
        ),
    }
    for name, (made, error) in not_held.items():
        assert refused(wallet.ask_for(token, made))[2] == error, name
    assert (
        wallet.ask_for(token, proof(new_signer(Algorithm.EDDSA, ""), wallet.issuer, nonce())).status_code
        == 200
    )


def test_a_licence_that_is_suspended_goes_into_no_wallet(
    service: Service, wallet: Wallet, authority: System
) -> None:
    identifier = issued(service, authority)["identifier"]
    token = wallet.token(wallet.offered(identifier)).json()["access_token"]
    assert operate(service, authority, identifier, "03").status_code == 200
    assert refused(wallet.ask_for(token)) == (
        400,
        "wallet-credential-denied",
        "credential_request_denied",
    )


def test_no_secret_of_a_wallet_stands_in_the_database(service: Service, wallet: Wallet, licence: str) -> None:
    offered = wallet.offered(licence)
    token = wallet.token(offered).json()["access_token"]
    rows = str(service.sql("SELECT * FROM license_registry.wallet_offer"))
    rows += str(service.sql("SELECT * FROM license_registry.wallet_token"))
    for secret in (grant(offered)["pre-authorized_code"], token, offered["transaction_code"]):
        assert secret not in rows
        assert secret.encode().hex() not in rows


def test_the_qr_code_holds_the_link(wallet: Wallet, licence: str) -> None:
    offered = wallet.offered(licence)
    (found,) = zxingcpp.read_barcodes(drawn(offered["qr_svg"]))
    assert found.text == offered["credential_offer_uri"]


def drawn(svg: str) -> Any:
    """The picture of an SVG of horizontal lines only, four pixels a module."""
    (side,) = re.findall(r'<svg[^>]* width="(\d+)"', svg)
    picture = numpy.full((int(side) // 4, int(side) // 4), 255, dtype=numpy.uint8)
    (path,) = re.findall(r' d="([^"]+)"', svg)
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        given = [float(number) for number in numbers.replace("-", " -").split()]
        if command == "h":
            picture[int(y), int(x) : int(x + given[0])] = 0
            x += given[0]
        else:
            x, y = (given[0], given[1]) if command == "M" else (x + given[0], y + given[1])
    return numpy.kron(picture, numpy.ones((4, 4), dtype=numpy.uint8))
