"""What the authorisation server publishes: its metadata, its keys, and their certificates."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from foundation.signing import PublicKey
from tests.conftest import Service
from zhengtong.house_keys import open_keys


def test_the_metadata_lead_to_where_things_are(service: Service) -> None:
    found = service.http.get("/.well-known/oauth-authorization-server")
    assert found.headers["content-type"] == "application/json"
    metadata = found.json()
    # RFC 8414 §3.3: a client refuses metadata whose issuer is not the one it asked.
    assert metadata["issuer"] == service.settings.base_url
    assert service.http.get(metadata["jwks_uri"]).status_code == 200
    assert service.http.post(metadata["token_endpoint"], data={}).json()["error"] == "unsupported_grant_type"
    assert metadata["grant_types_supported"] == ["client_credentials"]
    assert metadata["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert set(metadata["token_endpoint_auth_signing_alg_values_supported"]) == {"ES256", "EdDSA"}
    assert metadata["response_types_supported"] == []


def test_the_key_set_holds_public_keys_only(service: Service) -> None:
    reply = service.http.get("/jwks.json")
    keys = reply.json()["keys"]
    assert reply.headers["cache-control"] == "public, max-age=60"
    assert {key["alg"] for key in keys} == {"ES256", "EdDSA"}
    for key in keys:
        assert set(key) <= {"kty", "crv", "x", "y", "kid", "alg", "use"}, "no private member"
        # RFC 7638: the kid is the thumbprint, so nobody can pass one key off as another.
        assert PublicKey.from_jwk(key).thumbprint() == key["kid"]
    assert len(jwt.PyJWKSet.from_dict(reply.json()).keys) == len(keys)


def test_a_rotated_key_is_published_at_once_and_the_old_one_stays(service: Service) -> None:
    before = {key["kid"] for key in service.http.get("/jwks.json").json()["keys"]}
    # As the operator's command does it: in another process, on the same folder.
    record = open_keys(service.settings, datetime.now(UTC)).rotate("answer", datetime.now(UTC))
    after = {key["kid"] for key in service.http.get("/jwks.json").json()["keys"]}
    assert before < after
    assert record.kid in after


def test_every_key_has_a_certificate_that_leads_to_the_root(service: Service) -> None:
    roots = set()
    for key in service.http.get("/jwks.json").json()["keys"]:
        reply = service.http.get(f"/certificates/{key['kid']}.pem")
        assert reply.headers["content-type"].startswith("application/pem-certificate-chain")
        leaf, root = x509.load_pem_x509_certificates(reply.content)
        leaf.verify_directly_issued_by(root)
        root.verify_directly_issued_by(root)
        roots.add(hashlib.sha256(root.public_bytes(Encoding.DER)).digest())
        (name,) = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == key["kid"]
        published = PublicKey.from_jwk(key).key  # type: ignore[attr-defined]
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert leaf.public_key().public_bytes(*form) == published.public_bytes(*form)
        assert leaf.not_valid_before_utc <= datetime.now(UTC) < leaf.not_valid_after_utc
        assert service.http.get(f"/certificates/{key['kid']}.pem").content == reply.content
    assert len(roots) == 1


@pytest.mark.parametrize(
    "kid", ["unknown", "..%2Fca", "%2e%2e%2f%2e%2e%2fmaster", "%00", "a%0Ab", "x" * 5000]
)
def test_no_certificate_for_anything_else(service: Service, kid: str) -> None:
    reply = service.http.get(f"/certificates/{kid}.pem")
    assert (reply.status_code, reply.json()["type"]) == (404, "urn:zhengtong:problem:not-found")
