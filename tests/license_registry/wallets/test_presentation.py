"""A wallet shows a licence (OpenID4VP 1.0): signed request, DCQL, direct_post, and answers that do not hold."""

from __future__ import annotations

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.signing import Algorithm, CertificateAuthority, KeyState, new_signer
from license_registry.credentials.sd_jwt import issue, verify
from license_registry.wallets.requests import QUERY_ID
from tests.conftest import Service
from tests.license_registry.conftest import issued, operate, problem
from tests.license_registry.wallets.conftest import Wallet
from zhengtong.house_keys import open_keys

FIELDS = ["holder_name", "representative_name"]


@pytest.fixture(scope="module")
def wallet(service: Service) -> Wallet:
    return Wallet(service)


@pytest.fixture(scope="module")
def licence(service: Service, authority: System) -> str:
    identifier: str = issued(service, authority)["identifier"]
    return identifier


@pytest.fixture(scope="module")
def credential(wallet: Wallet, licence: str) -> str:
    return wallet.holding(licence)


def ask(service: Service, counter: System, **changes: Any) -> Any:
    body = {
        "licence_type": "business-licence",
        "fields": FIELDS,
        "purpose": "办理食品经营许可",
        "matter": "food-permit",
        "case": "CASE-1",
    } | changes
    return counter.call(service.http, "POST", "/registry/v1/wallets/requests", body)


def outcome(service: Service, counter: System, made: dict[str, Any]) -> dict[str, Any]:
    reply = counter.call(service.http, "GET", f"/registry/v1/wallets/requests/{made['id']}")
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_a_wallet_shows_what_was_asked_and_the_counter_sees_it(
    service: Service, wallet: Wallet, counter: System, licence: str, credential: str
) -> None:
    made = ask(service, counter).json()
    assert made["qr_svg"].startswith("<svg")
    assert outcome(service, counter, made) == {"status": "waiting"}
    request = wallet.read(made["request_uri"])
    assert request["dcql_query"] == {
        "credentials": [
            {
                "id": QUERY_ID,
                "format": "dc+sd-jwt",
                "meta": {"vct_values": [request["dcql_query"]["credentials"][0]["meta"]["vct_values"][0]]},
                "claims": [{"path": [name]} for name in FIELDS],
            }
        ]
    }
    reply = wallet.answer(request, {QUERY_ID: [wallet.show(request, credential, ["representative_name"])]})
    assert (reply.status_code, reply.json()) == (200, {})
    found = outcome(service, counter, made)
    assert (found["status"], found["result"], found["identifier"]) == ("answered", 0, licence)
    assert all(found["checks"].values())
    assert set(found["checks"]) >= {
        "signature",
        "certificate",
        "issuer",
        "status",
        "holder_binding",
        "purpose",
    }
    assert found["reasons"] == {}
    assert {name: found["fields"][name] for name in FIELDS} == {
        "holder_name": "示范市东湖茶业有限公司",
        "representative_name": "张三丰",
    }
    assert (found["purpose"], found["matter"]) == ("办理食品经营许可", "food-permit")
    ((content,),) = service.sql(
        "SELECT convert_from(content, 'UTF8') FROM license_registry.event"
        " WHERE kind = 'wallet-presentation-verified' AND identifier = %s",
        licence,
    )
    for said in ('"case":"CASE-1"', '"fields":["representative_name"]', '"client":"counter"', '"result":0'):
        assert said in content
    assert "张三丰" not in content


def test_a_request_is_signed_by_the_certificate_that_its_name_is_of(
    service: Service, wallet: Wallet, counter: System
) -> None:
    made = ask(service, counter).json()
    request = wallet.read(made["request_uri"])
    token = service.http.get(f"/registry/v1/wallets/requests/{made['id']}/object").text
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "oauth-authz-req+jwt"
    der = base64.b64decode(header["x5c"][0])
    digest = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert request["client_id"] == f"x509_hash:{digest}"
    key: Any = x509.load_der_x509_certificate(der).public_key()
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="https://self-issued.me/v2")
    assert claims["response_mode"] == "direct_post"
    assert claims["response_uri"].startswith(f"{wallet.issuer}/v1/wallets/requests/")


def test_a_request_is_answered_once_and_in_time(
    service: Service, wallet: Wallet, counter: System, credential: str
) -> None:
    made = ask(service, counter, fields=[]).json()
    request = wallet.read(made["request_uri"])
    shown = {QUERY_ID: [wallet.show(request, credential, [])]}
    assert wallet.answer(request, shown).status_code == 200
    assert problem(wallet.answer(request, shown)) == (404, "not-found")
    late = ask(service, counter).json()
    request = wallet.read(late["request_uri"])
    service.sql("UPDATE license_registry.wallet_request SET expires_at = now() WHERE id = %s", late["id"])
    assert problem(wallet.answer(request, shown)) == (404, "not-found")
    assert outcome(service, counter, late) == {"status": "expired"}
    assert problem(service.http.get(f"/registry/v1/wallets/requests/{late['id']}/object"))[0] == 404


def test_what_nobody_asked_for_is_not_kept(
    service: Service, wallet: Wallet, counter: System, credential: str
) -> None:
    made = ask(service, counter, fields=["representative_name"]).json()
    request = wallet.read(made["request_uri"])
    shown = wallet.show(request, credential, ["representative_name", "business_scope"])
    assert wallet.answer(request, {QUERY_ID: [shown]}).status_code == 200
    fields = outcome(service, counter, made)["fields"]
    assert "representative_name" in fields
    assert {"business_scope", "cnf"}.isdisjoint(fields)


def test_a_suspended_licence_is_shown_as_suspended(
    service: Service, wallet: Wallet, counter: System, authority: System
) -> None:
    identifier = issued(service, authority)["identifier"]
    credential = wallet.holding(identifier)
    assert operate(service, authority, identifier, "03").status_code == 200
    made = ask(service, counter, fields=[]).json()
    request = wallet.read(made["request_uri"])
    assert wallet.answer(request, {QUERY_ID: [wallet.show(request, credential, [])]}).status_code == 200
    found = outcome(service, counter, made)
    assert (found["result"], found["state"], found["checks"]["status"]) == (2, "02", False)
    assert "暂扣" in found["reasons"]["status"]


def test_answers_that_do_not_hold_are_refused_and_leave_the_request_open(
    service: Service, wallet: Wallet, counter: System, credential: str
) -> None:
    made = ask(service, counter).json()
    request = wallet.read(made["request_uri"])
    other = wallet.read(ask(service, counter).json()["request_uri"])
    thief = Wallet(service, new_signer(Algorithm.ES256, ""))
    names = ["representative_name"]
    good = wallet.show(request, credential, names)
    forger = new_signer(Algorithm.ES256, "forger")
    not_held: dict[str, tuple[object, str]] = {
        "of a thief": ({QUERY_ID: [thief.show(request, credential, names)]}, "signature-wrong"),
        "for another request": ({QUERY_ID: [wallet.show(other, credential, names)]}, "nonce-differs"),
        "for another verifier": (
            {QUERY_ID: [wallet.show(request, credential, names, audience="x509_hash:x")]},
            "audience-differs",
        ),
        "kept for later": (
            {QUERY_ID: [wallet.show(request, credential, names, now=1_700_000_000)]},
            "too-old",
        ),
        "not bound": ({QUERY_ID: [credential]}, "has not signed"),
        "less than asked": ({QUERY_ID: [wallet.show(request, credential, [])]}, "lacks representative_name"),
        "altered": ({QUERY_ID: [good.replace("~", "~WyJhIiwiYiIsImMiXQ~", 1)]}, "belongs to nothing"),
        "of another issuer": (
            {
                QUERY_ID: [
                    wallet.show(
                        request,
                        issue(forger, {"cnf": {"jwk": wallet.signer.public.to_jwk()}}, {}),
                        [],
                    )
                ]
            },
            "key-unknown",
        ),
        "two": ({QUERY_ID: [good, good]}, "vp_token holds another thing"),
        "none": ({QUERY_ID: []}, "vp_token holds another thing"),
        "by another name": ({"other": [good]}, "vp_token holds another thing"),
        "a list": ([good], "vp_token holds another thing"),
    }
    for name, (vp_token, words) in not_held.items():
        reply = wallet.answer(request, vp_token)
        assert problem(reply) == (400, "wallet-answer-refused"), name
        assert words in reply.json()["detail"], (name, reply.text)
        assert reply.json()["error"] == "invalid_request"
    assert problem(wallet.answer(request, "{"))[0] == 400
    assert problem(wallet.answer(request, {QUERY_ID: [good]}, state=other["state"]))[0] == 400
    assert outcome(service, counter, made) == {"status": "waiting"}
    assert wallet.answer(request, {QUERY_ID: [good]}).status_code == 200


def test_requests_are_made_and_read_by_counters_for_themselves(
    service: Service, counter: System, authority: System
) -> None:
    assert problem(ask(service, counter, licence_type="nothing")) == (404, "licence-type-unknown")
    assert problem(ask(service, counter, fields=["shoe_size"])) == (422, "licence-fields-invalid")
    assert problem(ask(service, authority)) == (403, "role-missing")
    made = ask(service, counter).json()
    stranger = service.system("other-counter", Role.COUNTER, department="11990100MB2A00002X")
    reply = stranger.call(service.http, "GET", f"/registry/v1/wallets/requests/{made['id']}")
    assert problem(reply) == (404, "not-found")
    assert problem(service.http.get("/registry/v1/wallets/requests/a%00b/object"))[0] == 404


def test_a_certificate_that_is_over_and_a_signer_that_was_revoked_are_told(
    service: Service, wallet: Wallet, counter: System, authority: System
) -> None:
    identifier = issued(service, authority)["identifier"]
    held = wallet.holding(identifier)
    token = wallet.token(wallet.offered(identifier)).json()["access_token"]
    keys = open_keys(service.settings, datetime.now(UTC))
    lead = verify(held, keys.verification_keys("credential"))
    begun = datetime.now(UTC) - timedelta(days=3 * 365)
    expired = keys.create("credential", Algorithm.ES256, KeyState.NEXT, begun)
    CertificateAuthority(keys).issue(expired.kid, begun)
    keys.rotate("credential", datetime.now(UTC))
    signer = keys.signer("credential")
    assert signer.kid == expired.kid
    keys.rotate("credential", datetime.now(UTC))
    keys.revoke(str(lead.header["kid"]), datetime.now(UTC))
    time.sleep(2.2)  # a running service follows the keys

    denied = wallet.ask_for(token)
    assert problem(denied) == (400, "wallet-credential-denied")
    assert "issued anew" in denied.json()["detail"]
    made = ask(service, counter).json()
    request = wallet.read(made["request_uri"])
    revoked = wallet.answer(request, {QUERY_ID: [wallet.show(request, held, ["representative_name"])]})
    assert problem(revoked) == (400, "wallet-answer-refused")
    assert "key-unknown" in revoked.json()["detail"]
    again = issue(signer, lead.claims, lead.disclosed)
    answered = wallet.answer(request, {QUERY_ID: [wallet.show(request, again, ["representative_name"])]})
    assert answered.status_code == 200, answered.text
    found = outcome(service, counter, made)
    assert (found["result"], found["checks"]["certificate"]) == (3, False)
    assert "expired" in found["reasons"]["certificate"]
