"""A code that is bound to the key of the wallet that asked for it (RFC 9449 §10)."""

from __future__ import annotations

from foundation.signing import Algorithm, new_signer
from tests.license_registry.wallets.authorising.conftest import Coming, answer
from tests.license_registry.wallets.authorising.test_authorising import refused
from tests.license_registry.wallets.conftest import dpop
from tests.license_registry.wallets.test_dpop import ask, at_credential, at_token, nonce_of

SIGNER = new_signer(Algorithm.ES256, "")
OTHER = new_signer(Algorithm.ES256, "")


def at_push(wallet: Coming) -> tuple[str, str]:
    address = f"{wallet.issuer}/v1/wallets/pushed-requests"
    return "DPoP", dpop(SIGNER, address, nonce_of(wallet.service))


def code_of(wallet: Coming, request_uri: str, licence: str) -> str:
    page = wallet.browser.get(wallet.signed_in(wallet.open(request_uri)))
    return answer(wallet.choose(page, licence))["code"]


def test_who_pushes_with_a_proof_redeems_with_the_same_key(wallet: Coming, licence: str) -> None:
    made = at_push(wallet)
    pushed = wallet.push(made)
    assert pushed.status_code == 201, pushed.text
    assert pushed.headers["dpop-nonce"]
    code, reason = refused(wallet.push(made))
    assert (code, reason) == ("wallet-dpop-refused", "invalid_dpop_proof")
    given = code_of(wallet, pushed.json()["request_uri"], licence)
    assert refused(wallet.redeem(given))[1] == "invalid_grant"
    assert refused(wallet.redeem(given, at_token(wallet, OTHER)))[1] == "invalid_grant"
    granted = wallet.redeem(given, at_token(wallet, SIGNER))
    assert granted.json()["token_type"] == "DPoP", granted.text
    token = granted.json()["access_token"]
    assert ask(wallet, token, at_credential(wallet, token, OTHER)).status_code == 401
    assert ask(wallet, token, at_credential(wallet, token, SIGNER)).status_code == 200


def test_the_key_can_be_named_instead(wallet: Coming, licence: str) -> None:
    given = code_of(wallet, wallet.pushed(dpop_jkt=SIGNER.public.thumbprint()), licence)
    assert refused(wallet.redeem(given, at_token(wallet, OTHER)))[1] == "invalid_grant"
    assert wallet.redeem(given, at_token(wallet, SIGNER)).status_code == 200


def test_what_is_said_of_the_key_has_to_agree(wallet: Coming) -> None:
    other = OTHER.public.thumbprint()
    assert refused(wallet.push(at_push(wallet), dpop_jkt=other))[0] == "wallet-dpop-refused"
    assert refused(wallet.push(dpop_jkt="x"))[0] == "wallet-request-refused"
    assert (
        refused(wallet.push(at_token(wallet, SIGNER)))[0] == "wallet-dpop-refused"
    )  # made for another endpoint


def test_a_code_that_was_bound_to_nothing_can_become_a_bound_token(wallet: Coming, licence: str) -> None:
    given = wallet.code(licence)
    assert wallet.redeem(given, at_token(wallet, SIGNER)).json()["token_type"] == "DPoP"
