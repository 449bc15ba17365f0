"""Key binding, dates, types and certificate chains: each rule of a whole SD-JWT VC, and tricks with algorithms."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
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

from foundation.signing import (
    Algorithm,
    CertificateAuthority,
    KeyStore,
    canonical_json,
    encode_base64url,
    new_signer,
    sign_compact,
)
from license_registry.credentials.dates import check_dates
from license_registry.credentials.issuer_keys import chosen_by, x5c
from license_registry.credentials.key_binding import (
    CLOCK_SKEW_SECONDS,
    KB_TYPE,
    ExpectedBinding,
    confirmation,
    holder_key,
)
from license_registry.credentials.sd_jwt import (
    TYPE,
    CredentialInvalid,
    bind,
    issue,
    select,
    verify,
)
from license_registry.credentials.sd_jwt_vc import status_reference, verify_vc

NOW = 1_800_000_000
ISSUER = new_signer(Algorithm.ES256, "issuer")
HOLDER = new_signer(Algorithm.ES256, "holder")
KEYS = {"issuer": ISSUER.public}
CLAIMS: dict[str, Any] = {
    "vct": "urn:example:licence",
    "iat": NOW - 100,
    "nbf": NOW - 100,
    "exp": NOW + 100,
    "cnf": confirmation(HOLDER.public),
}
CREDENTIAL = issue(ISSUER, CLAIMS, {"name": "某公司", "address": "东湖路1号"})
SHOWN = select(CREDENTIAL, ["name"])
ASKED = ExpectedBinding("counter", "n-1", NOW)
PRESENTATION = bind(SHOWN, HOLDER, audience="counter", nonce="n-1", now=NOW)


def bound(claims: dict[str, Any], signer: Any = HOLDER, typ: str = KB_TYPE, shown: str = SHOWN) -> str:
    digest = encode_base64url(hashlib.sha256(shown.encode()).digest())
    given = {"iat": NOW, "aud": "counter", "nonce": "n-1", "sd_hash": digest} | claims
    given = {name: value for name, value in given.items() if value is not ...}
    return shown + sign_compact(signer, canonical_json(given), typ)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_bound_presentation_holds_for_whom_it_is(algorithm: Algorithm) -> None:
    holder = new_signer(algorithm, "any")
    credential = issue(ISSUER, CLAIMS | {"cnf": confirmation(holder.public)}, {"name": "某公司"})
    shown = bind(credential, holder, audience="counter", nonce="n-1", now=NOW)
    found = verify_vc(shown, KEYS, now=NOW, vct="urn:example:licence", binding=ASKED)
    assert (found.bound, found.disclosed) == (True, {"name": "某公司"})
    assert holder_key(found.claims) == holder.public


BINDINGS: dict[str, tuple[str, str]] = {
    "none": (SHOWN, "has not signed"),
    "another audience": (bound({"aud": "other"}), "audience-differs"),
    "several audiences": (bound({"aud": ["counter"]}), "malformed"),
    "another nonce": (bound({"nonce": "n-2"}), "nonce-differs"),
    "no nonce": (bound({"nonce": ...}), "malformed"),
    "another presentation": (bound({"sd_hash": "x"}), "presentation-differs"),
    "no digest": (bound({"sd_hash": ...}), "malformed"),
    "too old": (bound({"iat": NOW - 361}), "too-old"),
    "in the future": (bound({"iat": NOW + 61}), "not-yet-made"),
    "no time": (bound({"iat": ...}), "malformed"),
    "time as text": (bound({"iat": str(NOW)}), "malformed"),
    "another key": (bound({}, new_signer(Algorithm.ES256, "holder")), "signature-wrong"),
    "issuer's key": (bound({}, ISSUER), "signature-wrong"),
    "another algorithm": (bound({}, new_signer(Algorithm.EDDSA, "holder")), "algorithm-mismatch"),
    "another type": (bound({}, typ="JWT"), "type-mismatch"),
    "not JSON": (SHOWN + sign_compact(HOLDER, b"{", KB_TYPE), "malformed"),
    "not a token": (f"{SHOWN}x", "malformed"),
    "more disclosed than bound": (
        "~".join([*CREDENTIAL.split("~")[:-1], PRESENTATION.split("~")[-1]]),
        "presentation-differs",
    ),
    "of a credential without a key": (
        bound({}, shown=issue(ISSUER, {"vct": "x"}, {})),
        "bound to no key",
    ),
    "of a credential with half a key": (
        bound({}, shown=issue(ISSUER, {"cnf": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA"}}}, {})),
        "key that is not taken",
    ),
    "of a credential with a key's name only": (
        bound({}, shown=issue(ISSUER, {"cnf": {"kid": "holder"}}, {})),
        "bound to no key",
    ),
}


@pytest.mark.parametrize("name", BINDINGS)
def test_a_binding_that_does_not_hold_is_refused_in_words(name: str) -> None:
    presentation, words = BINDINGS[name]
    with pytest.raises(CredentialInvalid, match=words):
        verify(presentation, KEYS, binding=ASKED)


def test_whether_a_binding_is_wanted_is_the_verifier_s_to_say() -> None:
    # RFC 9901 §7.3 step 1: never decided by whether there is one.
    with pytest.raises(CredentialInvalid, match="nobody asked"):
        verify(PRESENTATION, KEYS)
    with pytest.raises(CredentialInvalid, match="nobody asked"):
        bind(PRESENTATION, HOLDER, audience="counter", nonce="n-1", now=NOW)


@pytest.mark.parametrize("shift", [-CLOCK_SKEW_SECONDS, 0, CLOCK_SKEW_SECONDS])
def test_clocks_may_differ_by_the_leeway(shift: int) -> None:
    assert verify_vc(PRESENTATION, KEYS, now=NOW, binding=replace(ASKED, now=NOW + shift)).bound


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": NOW - 60}, "expired"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"iat": NOW + 61}, "in the future"),
        ({"exp": str(NOW)}, "no number"),
        ({"exp": None}, "no number"),
        ({"nbf": True}, "no number"),
        ({"vct": ""}, "no type"),
        ({"vct": 1}, "no type"),
        ({"vct": "urn:example:other"}, "another type"),
        ({"cnf": {"jwk": {"kty": "oct", "k": "AA"}}}, "key that is not taken"),
        ({"cnf": None}, "bound to no key"),
    ],
)
def test_dates_type_and_holder_are_judged(claims: dict[str, Any], words: str) -> None:
    made = issue(ISSUER, CLAIMS | claims, {})
    with pytest.raises(CredentialInvalid, match=words):
        verify_vc(made, KEYS, now=NOW, vct="urn:example:licence")


def test_the_leeway_is_the_caller_s() -> None:
    check_dates({"exp": NOW - 59, "nbf": NOW + 60, "iat": NOW + 59.5}, NOW)
    check_dates({}, NOW)
    with pytest.raises(CredentialInvalid, match="expired"):
        check_dates({"exp": NOW}, NOW, skew=0)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"status_list": {"uri": "x"}},
        {"status_list": {"uri": "x", "idx": -1}},
        "x",
        {"status_list": {"uri": 1, "idx": 1}},
    ],
)
def test_a_reference_to_a_status_is_read_or_refused(said: object) -> None:
    found = verify(issue(ISSUER, {"status": {"status_list": {"uri": "x", "idx": 3}}}, {}), KEYS)
    assert status_reference(found) == ("x", 3)
    assert status_reference(verify(issue(ISSUER, {}, {}), KEYS)) is None
    with pytest.raises(CredentialInvalid, match="reference"):
        status_reference(verify(issue(ISSUER, {"status": said}, {}), KEYS))


def with_header(header: dict[str, Any], signature: Callable[[bytes], bytes]) -> str:
    payload = CREDENTIAL.split("~")[0].split(".")[1]
    signed = f"{encode_base64url(orjson.dumps({'kid': 'issuer', 'typ': TYPE} | header))}.{payload}"
    return f"{signed}.{encode_base64url(signature(signed.encode()))}~"


def spki() -> bytes:
    return orjson.dumps(ISSUER.public.to_jwk())


TRICKS: dict[str, tuple[dict[str, Any], Callable[[bytes], bytes], str]] = {
    "none": ({"alg": "none"}, lambda _signed: b"", "algorithm-refused"),
    "None": ({"alg": "None"}, lambda _signed: b"", "algorithm-refused"),
    "HS256 with the public key": (
        {"alg": "HS256"},
        lambda signed: hmac.digest(spki(), signed, "sha256"),
        "algorithm-refused",
    ),
    "no algorithm": ({}, ISSUER.sign, "algorithm-refused"),
    "several": ({"alg": ["ES256"]}, ISSUER.sign, "algorithm-refused"),
    "another of ours": ({"alg": "EdDSA"}, ISSUER.sign, "algorithm-mismatch"),
    "unknown crit": ({"alg": "ES256", "crit": ["exp"], "exp": 1}, ISSUER.sign, "critical-unknown"),
    "empty crit": ({"alg": "ES256", "crit": []}, ISSUER.sign, "critical-unknown"),
    "payload as it stands": ({"alg": "ES256", "b64": False}, ISSUER.sign, "payload-unencoded"),
    "key of its own": (
        {"alg": "ES256", "kid": "mine", "jwk": HOLDER.public.to_jwk()},
        HOLDER.sign,
        "key-unknown",
    ),
    "key from afar": ({"alg": "ES256", "kid": "mine", "jku": "https://evil"}, HOLDER.sign, "key-unknown"),
    "signature of another": ({"alg": "ES256"}, HOLDER.sign, "signature-wrong"),
    "signature of zeros": ({"alg": "ES256"}, lambda _signed: bytes(64), "signature-wrong"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_with_the_header_are_refused(name: str) -> None:
    header, signature, words = TRICKS[name]
    with pytest.raises(CredentialInvalid, match=words):
        verify(with_header(header, signature), KEYS)
    assert verify(with_header({"alg": "ES256"}, ISSUER.sign), KEYS).hidden == 2


MADE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def house_chain(tmp_path: Path) -> tuple[KeyStore, list[str], x509.Certificate]:
    """A key of the house with its certificate below the internal root."""
    keys = KeyStore(tmp_path, bytes(32))
    record = keys.ensure_active("credential", Algorithm.ES256, MADE)
    pem = CertificateAuthority(keys).chain_pem(record.kid)
    root = x509.load_pem_x509_certificates(pem.encode())[-1]
    return keys, x5c(pem), root


def test_a_key_is_trusted_by_its_certificate(
    house_chain: tuple[KeyStore, list[str], x509.Certificate],
) -> None:
    keys, chain, root = house_chain
    assert len(chain) == 1  # the verifier holds the root itself
    made = issue(keys.signer("credential"), {"vct": "x"}, {"name": "某公司"}, headers={"x5c": chain})
    assert verify(made, chosen_by({}, [root], MADE + timedelta(days=1))).disclosed == {"name": "某公司"}
    for roots, moment in [
        ([], MADE + timedelta(days=1)),
        ([authority("other")[1]], MADE + timedelta(days=1)),
        ([root], MADE + timedelta(days=731)),
        ([root], MADE - timedelta(days=1)),
    ]:
        with pytest.raises(CredentialInvalid, match="nobody who is trusted"):
            verify(made, chosen_by({}, roots, moment))


def authority(
    name: str, above: tuple[Any, x509.Certificate] | None = None, **changes: Any
) -> tuple[Any, x509.Certificate]:
    """A key and its certificate; `changes`: ca, length, signing."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ca = changes.get("ca", True)
    issuer_key = key if above is None else above[0]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if above is None else above[1].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(MADE)
        .not_valid_after(MADE + timedelta(days=100))
        .add_extension(x509.BasicConstraints(ca, changes.get("length") if ca else None), critical=True)
        .add_extension(
            x509.KeyUsage(changes.get("signing", True), False, False, False, False, ca, ca, False, False),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, SHA256())
    )
    return key, certificate


def signed_under(*chain: tuple[Any, x509.Certificate]) -> str:
    from foundation.signing import PublicKey, load_signer

    numbers = chain[0][0].private_numbers()
    point = numbers.public_numbers
    public = PublicKey.from_jwk(
        {
            "kty": "EC",
            "crv": "P-256",
            "x": encode_base64url(point.x.to_bytes(32)),
            "y": encode_base64url(point.y.to_bytes(32)),
        }
    )
    signer = load_signer(numbers.private_value.to_bytes(32), public, "unknown")
    carried = [base64.b64encode(c.public_bytes(Encoding.DER)).decode() for _key, c in chain]
    return issue(signer, {"vct": "x"}, {}, headers={"x5c": carried})


def test_chains_that_do_not_hold_are_refused() -> None:
    root = authority("root")
    middle = authority("middle", root)
    leaf = authority("leaf", middle, ca=False)
    moment = MADE + timedelta(days=1)
    choose = chosen_by({}, [root[1]], moment)
    assert verify(signed_under(leaf, middle), choose).claims == {"vct": "x"}
    not_held = {
        "without the middle": signed_under(leaf),
        "a leaf that is an authority": signed_under(authority("leaf", root)),
        "a leaf that is not for signing": signed_under(authority("leaf", root, ca=False, signing=False)),
        "below a leaf": signed_under(authority("sub", leaf, ca=False), leaf, middle),
        "below an authority that may have none below": signed_under(
            authority(
                "leaf", deep := authority("deep", short := authority("short", root, length=0)), ca=False
            ),
            deep,
            short,
        ),
    }
    for name, credential in not_held.items():
        with pytest.raises(CredentialInvalid, match="nobody who is trusted"):
            pytest.fail(f"{name}: {verify(credential, choose)}")


@pytest.mark.parametrize("said", [[], "x", ["%"], [base64.b64encode(b"x").decode()], [1], ["AA=="] * 6])
def test_a_chain_that_is_none_is_refused(said: object) -> None:
    made = issue(new_signer(Algorithm.ES256, "unknown"), {}, {}, headers={"x5c": said})
    with pytest.raises(CredentialInvalid, match="chain is malformed"):
        verify(made, chosen_by({}, [authority("root")[1]], MADE))


def test_a_known_key_needs_no_chain() -> None:
    made = issue(ISSUER, {"vct": "x"}, {}, headers={"x5c": ["%"]})
    assert verify(made, chosen_by(KEYS, [], MADE)).claims == {"vct": "x"}
