"""A wallet comes by itself (OpenID4VCI 1.0 §5, RFC 9126, RFC 7636, RFC 9207), and all that is refused on the way."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.identifiers import Uscc
from foundation.identity.principals import Role
from foundation.identity.signing_in import challenge_of
from license_registry.credentials.key_binding import holder_key
from license_registry.credentials.sd_jwt_vc import verify_vc
from license_registry.wallets.metadata import PRE_AUTHORISED
from tests.conftest import Service
from tests.license_registry.conftest import STRANGER, body, issued, operate, problem, published_keys
from tests.license_registry.wallets.authorising.conftest import BACK, OTHER_BACK, TYPE, Coming, answer
from tests.license_registry.wallets.conftest import proof

DETAILS = [{"type": "openid_credential", "credential_configuration_id": TYPE}]


def refused(reply: httpx.Response) -> tuple[str, str]:
    """Our code, and the error code that wallets read."""
    status, code = problem(reply)
    assert status == 400, reply.text
    return code, reply.json().get("error", "")


def details(**changes: Any) -> str:
    return orjson.dumps([DETAILS[0] | changes]).decode()


def test_metadata_say_how_a_wallet_comes_by_itself(service: Service, wallet: Coming) -> None:
    server = service.http.get("/.well-known/oauth-authorization-server/registry").json()
    assert server["pushed_authorization_request_endpoint"] == f"{wallet.issuer}/v1/wallets/pushed-requests"
    assert server["authorization_endpoint"] == f"{wallet.issuer}/v1/wallets/authorise"
    assert server["require_pushed_authorization_requests"] is True
    assert server["authorization_response_iss_parameter_supported"] is True
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert server["response_types_supported"] == ["code"]
    assert "authorization_code" in server["grant_types_supported"]
    found = service.http.get("/.well-known/openid-credential-issuer/registry").json()
    assert found["credential_configurations_supported"][TYPE]["scope"] == TYPE
    assert TYPE in server["scopes_supported"]


def test_the_whole_way_by_scope(service: Service, wallet: Coming, licence: str) -> None:
    opened = wallet.open(wallet.pushed())
    assert "HttpOnly" in opened.headers["set-cookie"]
    assert "SameSite=lax" in opened.headers["set-cookie"]
    page = wallet.browser.get(wallet.signed_in(opened))
    assert "city-wallet" in page.text
    assert "wallet.example" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    told = answer(wallet.choose(page, licence))
    assert (told["app"], told["state"], told["iss"]) == ("1", "s-1", wallet.issuer)
    granted = wallet.redeem(told["code"])
    assert granted.status_code == 200, granted.text
    assert granted.json().keys() == {"access_token", "token_type", "expires_in"}
    reply = wallet.ask_for(granted.json()["access_token"])
    assert reply.status_code == 200, reply.text
    found = verify_vc(reply.json()["credentials"][0]["credential"], published_keys(service), now=time.time())
    assert found.claims["licence_identifier"] == licence
    assert holder_key(found.claims) == wallet.signer.public
    events = service.sql(
        "SELECT kind, convert_from(content, 'UTF8')::json->>'wallet' FROM license_registry.event"
        " WHERE identifier = %s AND kind LIKE '%%wallet' ORDER BY recorded_at",
        licence,
    )
    assert events == [("authorised-for-wallet", "city-wallet"), ("issued-to-wallet", None)]


def test_by_details_the_credential_is_asked_for_by_its_identifier(wallet: Coming, licence: str) -> None:
    given = details(locations=[wallet.issuer], claims=[{"path": ["holder_name"]}])
    reply = wallet.redeem(wallet.code(licence, authorization_details=given, scope=None)).json()
    (told,) = reply["authorization_details"]
    assert told == DETAILS[0] | {"credential_identifiers": [licence]}
    by_type = wallet.ask_for(reply["access_token"])
    assert refused(by_type) == ("wallet-credential-identifier-unknown", "unknown_credential_identifier")

    def ask(identifier: str) -> httpx.Response:
        made = proof(wallet.signer, wallet.issuer, wallet.nonce())
        body = {"credential_identifier": identifier, "proofs": {"jwt": [made]}}
        headers = {"Authorization": f"Bearer {reply['access_token']}"}
        return wallet.service.http.post("/registry/v1/wallets/credential", json=body, headers=headers)

    assert refused(ask("another"))[1] == "unknown_credential_identifier"
    assert ask(licence).status_code == 200


def test_a_token_by_scope_knows_no_identifier(wallet: Coming, licence: str) -> None:
    token = wallet.redeem(wallet.code(licence)).json()["access_token"]
    body = {
        "credential_identifier": licence,
        "proofs": {"jwt": [proof(wallet.signer, wallet.issuer, wallet.nonce())]},
    }
    reply = wallet.service.http.post(
        "/registry/v1/wallets/credential", json=body, headers={"Authorization": f"Bearer {token}"}
    )
    assert refused(reply)[1] == "unknown_credential_configuration"


BAD_PUSHES: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "a wallet nobody registered": ({"client_id": "x"}, ("wallet-client-unknown", "invalid_client")),
    "no client": ({"client_id": None}, ("wallet-client-unknown", "invalid_client")),
    "another address": (
        {"redirect_uri": "https://wallet.example/back"},
        ("wallet-request-refused", "invalid_request"),
    ),
    "the address of another": (
        {"redirect_uri": OTHER_BACK},
        ("wallet-request-refused", "invalid_request"),
    ),
    "no address": ({"redirect_uri": None}, ("wallet-request-refused", "invalid_request")),
    "implicit": ({"response_type": "token"}, ("wallet-response-unsupported", "unsupported_response_type")),
    "no PKCE": ({"code_challenge": None}, ("wallet-request-refused", "invalid_request")),
    "plain PKCE": ({"code_challenge_method": "plain"}, ("wallet-request-refused", "invalid_request")),
    "PKCE of no method": ({"code_challenge_method": None}, ("wallet-request-refused", "invalid_request")),
    "a challenge that is none": ({"code_challenge": "="}, ("wallet-request-refused", "invalid_request")),
    "a request within a request": (
        {"request_uri": "urn:ietf:params:oauth:request_uri:x"},
        ("wallet-request-refused", "invalid_request"),
    ),
    "a parameter twice": ({"state": ["1", "2"]}, ("wallet-request-refused", "invalid_request")),
    "an endless state": ({"state": "s" * 2001}, ("wallet-request-refused", "invalid_request")),
    "no scope": ({"scope": None}, ("wallet-scope-unknown", "invalid_scope")),
    "an unknown scope": ({"scope": "openid"}, ("wallet-scope-unknown", "invalid_scope")),
    "two licence types": (
        {"scope": f"{TYPE} food-permit"},
        ("wallet-scope-unknown", "invalid_scope"),
    ),
    "scope and details apart": (
        {"scope": "food-permit", "authorization_details": details()},
        ("wallet-scope-unknown", "invalid_scope"),
    ),
    "details that are no JSON": (
        {"authorization_details": "{"},
        ("wallet-details-refused", "invalid_authorization_details"),
    ),
    "no details": (
        {"authorization_details": "[]"},
        ("wallet-details-refused", "invalid_authorization_details"),
    ),
    "details of another kind": (
        {"authorization_details": details(type="payment")},
        ("wallet-details-refused", "invalid_authorization_details"),
    ),
    "details of an unknown type": (
        {"authorization_details": details(credential_configuration_id="x")},
        ("wallet-details-refused", "invalid_authorization_details"),
    ),
    "details for another issuer": (
        {"authorization_details": details(locations=["https://other.example"])},
        ("wallet-details-refused", "invalid_authorization_details"),
    ),
}


@pytest.mark.parametrize("name", BAD_PUSHES)
def test_a_request_that_does_not_hold_is_refused_before_anybody_sees_it(wallet: Coming, name: str) -> None:
    changes, expected = BAD_PUSHES[name]
    assert refused(wallet.push(**changes)) == expected


def test_unknown_scopes_beside_are_ignored(wallet: Coming) -> None:
    assert wallet.push(scope=f"openid {TYPE}").status_code == 201
    assert wallet.push(scope=TYPE, authorization_details=details()).status_code == 201


def test_a_pushed_request_works_once_in_time_and_for_its_client(service: Service, wallet: Coming) -> None:
    made = wallet.pushed()
    over = ("wallet-request-uri-refused", "invalid_request_uri")
    assert refused(wallet.open(made, client_id="other-wallet")) == over
    assert wallet.open(made).status_code == 303
    assert refused(wallet.open(made)) == over
    assert refused(wallet.open(made.rpartition(":")[2])) == over
    assert refused(wallet.open("")) == over
    late = wallet.pushed()
    service.sql("UPDATE license_registry.wallet_authorisation SET expires_at = now() WHERE step = 'pushed'")
    assert refused(wallet.open(late)) == over


def test_two_browsers_at_once_cannot_both_begin(wallet: Coming) -> None:
    made = wallet.pushed()
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: Coming(wallet.service).open(made).status_code, range(4)))
    assert sorted(seen) == [303, 400, 400, 400]


def test_a_sign_in_goes_on_only_in_the_browser_that_began_it(wallet: Coming, licence: str) -> None:
    """A link that an attacker began and sends on must not put the victim's licence into the attacker's wallet."""
    victim = httpx.Client(timeout=30)
    back = wallet.signed_in(wallet.open(wallet.pushed()))
    with victim:
        assert refused(victim.get(back))[0] == "sign-in-refused"
        page = wallet.browser.get(back)
        stolen = Coming(wallet.service, browser=victim)
        assert refused(stolen.choose(page, licence))[0] == "sign-in-refused"
    assert "code" in answer(wallet.choose(page, licence))


def test_a_sign_in_works_once_and_in_time(service: Service, wallet: Coming, licence: str) -> None:
    back = wallet.signed_in(wallet.open(wallet.pushed()))
    page = wallet.browser.get(back)
    assert refused(wallet.browser.get(back))[0] == "sign-in-refused"
    assert refused(wallet.browser.get(back.replace("state=", "state=x")))[0] == "sign-in-refused"
    assert "code" in answer(wallet.choose(page, licence))
    assert refused(wallet.choose(page, licence))[0] == "sign-in-refused"
    late, too_late = wallet.page(), wallet.signed_in(wallet.open(wallet.pushed()))
    service.sql("UPDATE license_registry.wallet_authorisation SET expires_at = now()")
    assert refused(wallet.choose(late, licence))[0] == "sign-in-refused"
    assert refused(wallet.browser.get(too_late))[0] == "sign-in-refused"


@pytest.mark.parametrize(
    "change",
    [
        lambda back: f"{back}&iss=https://other.example",
        lambda back: back.replace("code=", "code=x"),
        lambda back: back.replace("code=", "x="),
        lambda back: f"{back}&error=access_denied",
    ],
    ids=["mix-up", "wrong code", "no code", "declined"],
)
def test_who_did_not_sign_in_goes_back_without_a_code(wallet: Coming, change: Any) -> None:
    back = change(wallet.signed_in(wallet.open(wallet.pushed())))
    told = answer(wallet.browser.get(back))
    assert told == {"app": "1", "error": "access_denied", "state": "s-1", "iss": wallet.issuer}
    assert refused(wallet.browser.get(back))[0] == "sign-in-refused"  # and it is over


def test_a_code_of_the_issuer_for_another_sign_in_is_not_taken(wallet: Coming) -> None:
    """Injected: a code that the attacker got for themselves belongs to another verifier and nonce."""
    mine = parse_qs(urlsplit(wallet.signed_in(wallet.open(wallet.pushed()))).query)["code"][0]
    back = wallet.signed_in(wallet.open(wallet.pushed()))
    own = parse_qs(urlsplit(back).query)["code"][0]
    assert answer(wallet.browser.get(back.replace(own, mine)))["error"] == "access_denied"


def test_the_holder_may_decline_and_needs_no_state_for_it(wallet: Coming, licence: str) -> None:
    page = wallet.page(state=None)
    assert answer(wallet.choose(page, "")) == {"app": "1", "error": "access_denied", "iss": wallet.issuer}
    assert refused(wallet.choose(page, licence))[0] == "sign-in-refused"


def test_nobody_gives_away_what_is_not_theirs(wallet: Coming, licence: str) -> None:
    page = wallet.page(STRANGER)
    assert licence not in page.text
    assert problem(wallet.choose(page, licence)) == (404, "not-found")
    assert problem(wallet.choose(page, "\0")) == (404, "not-found")
    assert answer(wallet.choose(page, ""))["error"] == "access_denied"


def test_only_valid_licences_of_the_type_are_offered(
    service: Service, wallet: Coming, authority: System
) -> None:
    identifier = issued(service, authority)["identifier"]
    assert identifier in wallet.page().text
    other = wallet.page(scope="food-permit")
    assert identifier not in other.text
    assert refused(wallet.choose(other, identifier)) == (
        "wallet-credential-denied",
        "credential_request_denied",
    )
    assert operate(service, authority, identifier, "03").status_code == 200
    late = wallet.page()
    assert identifier not in late.text
    assert refused(wallet.choose(late, identifier))[0] == "wallet-credential-denied"


def test_what_does_not_fit_a_code_is_refused_and_leaves_it_good(wallet: Coming, licence: str) -> None:
    code = wallet.code(licence)
    not_fitting: dict[str, dict[str, str]] = {
        "another verifier": {"code_verifier": "x" * 43},
        "no verifier": {"code_verifier": ""},
        "the challenge as verifier": {"code_verifier": challenge_of(wallet.verifier)},
        "another client": {"client_id": "other-wallet"},
        "no client": {"client_id": ""},
        "another address": {"redirect_uri": "https://wallet.example/second"},
        "no address": {"redirect_uri": ""},
    }
    for name, changes in not_fitting.items():
        assert refused(wallet.redeem(code, **changes)) == ("wallet-code-refused", "invalid_grant"), name
    assert refused(wallet.redeem("x"))[1] == "invalid_grant"
    crossed = {"grant_type": PRE_AUTHORISED, "pre-authorized_code": code}
    assert refused(wallet.service.http.post("/registry/v1/wallets/token", data=crossed))[1] == "invalid_grant"
    assert wallet.redeem(code).status_code == 200


def test_a_verifier_that_is_too_short_is_none_even_if_it_fits(wallet: Coming, licence: str) -> None:
    wallet.verifier = "short"
    assert refused(wallet.redeem(wallet.code(licence)))[1] == "invalid_grant"


def test_a_code_that_comes_again_takes_the_token_back(wallet: Coming, licence: str) -> None:
    code = wallet.code(licence)
    token = wallet.redeem(code).json()["access_token"]
    assert wallet.ask_for(token).status_code == 200
    assert refused(wallet.redeem(code)) == ("wallet-code-refused", "invalid_grant")
    assert problem(wallet.ask_for(token)) == (401, "wallet-token-refused")


def test_of_a_code_that_is_redeemed_twice_at_once_nothing_is_left(wallet: Coming, licence: str) -> None:
    code = wallet.code(licence)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: wallet.redeem(code), range(4)))
    assert sorted(reply.status_code for reply in replies) == [200, 400, 400, 400]
    (token,) = [reply.json()["access_token"] for reply in replies if reply.status_code == 200]
    assert problem(wallet.ask_for(token)) == (401, "wallet-token-refused")


def test_an_old_code_gives_nothing(service: Service, wallet: Coming, licence: str) -> None:
    code = wallet.code(licence)
    service.sql("UPDATE license_registry.wallet_authorisation SET expires_at = now()")
    assert refused(wallet.redeem(code))[1] == "invalid_grant"


def test_a_licence_that_is_suspended_after_the_choice_is_not_given(
    service: Service, wallet: Coming, authority: System
) -> None:
    identifier = issued(service, authority)["identifier"]
    code = wallet.code(identifier)
    assert operate(service, authority, identifier, "03").status_code == 200
    assert (
        refused(wallet.ask_for(wallet.redeem(code).json()["access_token"]))[0] == "wallet-credential-denied"
    )


def test_nothing_of_a_request_stands_in_the_database_in_clear(
    service: Service, wallet: Coming, licence: str
) -> None:
    made = wallet.pushed(state="a-secret-state")
    back = wallet.signed_in(wallet.open(made))
    page = wallet.browser.get(back)
    code = answer(wallet.choose(page, licence))["code"]
    wallet.redeem(code)
    (row,) = service.sql(
        "SELECT a::text, encode(sealed, 'escape') FROM license_registry.wallet_authorisation a"
        " ORDER BY expires_at DESC LIMIT 1"
    )
    secrets = [made.rpartition(":")[2], code, "a-secret-state", BACK, "city-wallet", licence]
    secrets += [parse_qs(urlsplit(back).query)["state"][0], wallet.browser.cookies["zhengtong-wallet"]]
    everything = str(service.sql("SELECT a::text FROM license_registry.wallet_authorisation a")) + str(row)
    for secret in secrets:
        assert secret not in everything
        assert secret.encode().hex() not in everything


def test_a_licence_of_a_holder_who_is_no_more_is_given_to_no_wallet(
    service: Service, wallet: Coming, authority: System
) -> None:
    code = str(Uscc.compute("91990101MA2A00021"))
    fields = {**body()["fields"], "holder_code": code}
    identifier = issued(service, authority, fields=fields)["identifier"]
    page = wallet.page()
    said = {
        "holder_code_type": "001",
        "holder_code": code,
        "survivor_code": str(Uscc.compute("91990101MA2A00022")),
        "reason": "吸收合并",
    }
    operator = service.system("operator", Role.OPERATOR)
    assert operator.call(service.http, "POST", "/registry/v1/holder-mergers", said).status_code == 201
    assert problem(wallet.choose(page, identifier)) == (409, "holder-ended")
