"""SD-JWT: golden, round trip, an independent library as peer, the reference's cases, and forgeries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.utils.yaml_specification import load_yaml_specification, remove_sdobj_wrappers
from sd_jwt.verifier import SDJWTVerifier

from foundation.signing import (
    Algorithm,
    PublicKey,
    decode_base64url,
    encode_base64url,
    new_signer,
    sign_compact,
)
from license_registry.credentials.sd_jwt import LONGEST, TYPE, CredentialInvalid, issue, select, verify

GOLDEN = Path(__file__).parent / "golden"
SIGNER = new_signer(Algorithm.ES256, "issuer")
KEYS = {"issuer": SIGNER.public}
CLAIMS = {"iss": "https://registry.example", "vct": "urn:example:licence", "holder_name": "某公司"}
HIDDEN = {"address": "东湖路1号", "capital": "壹佰万元整", "partners": [{"name": "张三丰"}]}
CREDENTIAL = issue(SIGNER, CLAIMS, HIDDEN)

PEER = JWK.generate(kty="EC", crv="P-256", kid="peer")
PEER_KEYS = {"peer": PublicKey.from_jwk(PEER.export_public(as_dict=True))}


def disclosure(*parts: Any) -> str:
    return encode_base64url(orjson.dumps(parts))


def digest(disclosed: str) -> str:
    return encode_base64url(hashlib.sha256(disclosed.encode()).digest())


def forged(payload: Any, *disclosures: str, typ: str = TYPE) -> str:
    """What an issuer whose key we trust could have signed."""
    return "~".join([sign_compact(SIGNER, orjson.dumps(payload), typ), *disclosures, ""])


def test_golden_credential_of_an_earlier_day_still_holds() -> None:
    # Licences live for years: what was issued once is read forever.
    keys = {
        key["kid"]: PublicKey.from_jwk(key)
        for key in orjson.loads((GOLDEN / "jwks.json").read_bytes())["keys"]
    }
    found = verify((GOLDEN / "credential.sdjwt").read_text(encoding="ascii").strip(), keys)
    assert {"claims": found.claims, "disclosed": found.disclosed, "hidden": found.hidden} == orjson.loads(
        (GOLDEN / "credential.json").read_bytes()
    )


def test_golden_digest_of_the_standard() -> None:
    # RFC 9901 §4.2.3: white space within a disclosure is hashed as it stands.
    family_name = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0"
    payload = {"_sd": ["X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"], "_sd_alg": "sha-256"}
    assert verify(forged(payload, family_name), KEYS).disclosed == {"family_name": "Möbius"}


names = st.text(max_size=20).filter(lambda name: name not in {"_sd", "...", "_sd_alg"} | set(CLAIMS))
plain = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=30)
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
reserved = {"iss", "nbf", "exp", "cnf", "vct", "status", "iat"}


@given(st.dictionaries(names.filter(lambda name: name not in reserved), values, max_size=6), st.data())
def test_any_selection_shows_itself_and_nothing_else(hidden: dict[str, Any], data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(hidden))) if hidden else st.just(set()))
    shown = select(issue(SIGNER, CLAIMS, hidden), chosen)
    found = verify(shown, KEYS)
    assert found.claims == CLAIMS
    assert found.disclosed == {name: hidden[name] for name in chosen}
    assert found.hidden == len(hidden) - len(chosen)


def test_equal_licences_look_different_and_digests_stand_in_no_telling_order() -> None:
    payloads = []
    for _ in range(2):
        token, *disclosures = issue(SIGNER, CLAIMS, HIDDEN).split("~")[:-1]
        part = token.split(".")[1]
        payloads.append(orjson.loads(decode_base64url(part)))
        assert payloads[-1]["_sd"] == sorted(map(digest, disclosures))
    assert set(payloads[0]["_sd"]).isdisjoint(payloads[1]["_sd"])


@pytest.mark.parametrize(
    "name", ["iss", "nbf", "exp", "cnf", "vct", "status", "iat", "_sd", "...", "holder_name"]
)
def test_what_must_be_seen_cannot_be_hidden(name: str) -> None:
    with pytest.raises(ValueError, match="must not be selectively disclosable"):
        issue(SIGNER, CLAIMS, {name: "x"})


def test_a_selection_of_what_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(CredentialInvalid, match="shoe_size") as refused:
        select(CREDENTIAL, ["address", "shoe_size"])
    assert refused.value.pointer == "/disclose"
    narrowed = select(CREDENTIAL, ["address"])
    with pytest.raises(CredentialInvalid, match="capital"):
        select(narrowed, ["capital"])


@pytest.mark.parametrize("chosen", [set(), {"address"}, set(HIDDEN)])
def test_a_peer_verifies_ours(chosen: set[str]) -> None:
    shown = select(CREDENTIAL, chosen)
    found = SDJWTVerifier(
        shown, lambda _issuer, _header: JWK(**SIGNER.public.to_jwk())
    ).get_verified_payload()
    assert found == CLAIMS | {name: HIDDEN[name] for name in chosen}


REFERENCE = [
    "array_data_types",
    "array_full_sd",
    "array_in_sd",
    "array_nested_in_plain",
    "array_none_disclosed",
    "array_of_nulls",
    "array_of_objects",
    "array_of_scalars",
    "array_recursive_sd",
    "array_recursive_sd_some_disclosed",
    "header_mod",
    "json_serialization_flattened",
    "json_serialization_general",
    "key_binding",
    "no_sd",
    "object_data_types",
    "recursions",
]
# Ours discloses whole claims: what hides a part of one is refused, whether or not the part is shown.
FLAT = {
    "array_in_sd",
    "header_mod",
    "json_serialization_flattened",
    "json_serialization_general",
    "key_binding",
    "no_sd",
}


def test_all_cases_of_the_reference_are_known(shared: Callable[[str], Path]) -> None:
    assert sorted(path.parent.name for path in shared("sd-jwt").glob("*/specification.yml")) == REFERENCE
    assert len(FLAT) == 6


@pytest.mark.parametrize("name", REFERENCE)
def test_cases_of_the_reference_as_a_peer_issues_them(shared: Callable[[str], Path], name: str) -> None:
    case = load_yaml_specification(shared(f"sd-jwt/{name}/specification.yml"))
    made = SDJWTIssuer(case["user_claims"], PEER, extra_header_parameters={"typ": TYPE, "kid": "peer"})
    holder = SDJWTHolder(made.sd_jwt_issuance)
    holder.create_presentation(case["holder_disclosed_claims"])
    if name not in FLAT:
        with pytest.raises(CredentialInvalid):
            verify(holder.sd_jwt_presentation, PEER_KEYS)
        return
    found = verify(holder.sd_jwt_presentation, PEER_KEYS)
    assert {**found.claims, **found.disclosed} == case["expect_verified_user_claims"]
    everything = verify(made.sd_jwt_issuance, PEER_KEYS)
    assert {**everything.claims, **everything.disclosed} == remove_sdobj_wrappers(case["user_claims"])


def test_a_peer_s_key_binding_is_refused_in_words() -> None:
    own = JWK.generate(kty="EC", crv="P-256")
    made = SDJWTIssuer(
        dict(CLAIMS), PEER, holder_key=own, extra_header_parameters={"typ": TYPE, "kid": "peer"}
    )
    holder = SDJWTHolder(made.sd_jwt_issuance)
    holder.create_presentation({}, nonce="1", aud="counter", holder_key=own)
    with pytest.raises(CredentialInvalid, match="key binding"):
        verify(holder.sd_jwt_presentation, PEER_KEYS)


A, B = disclosure("salt", "address", "东湖路1号"), disclosure("salt", "capital", "壹元")
TOKEN, *DISCLOSURES = CREDENTIAL.split("~")[:-1]
NOT_HELD: dict[str, tuple[str, str]] = {
    "disclosure altered": (
        "~".join([TOKEN, disclosure("salt", "address", "西湖路1号"), ""]),
        "belongs to nothing",
    ),
    "disclosure that nothing refers to": (f"{CREDENTIAL}{A}~", "belongs to nothing"),
    "disclosure twice": ("~".join([TOKEN, DISCLOSURES[0], DISCLOSURES[0], ""]), "belongs to nothing"),
    "digest twice": (forged({"_sd": [digest(A), digest(A)]}, A), "stands twice"),
    "one claim by two disclosures": (
        forged({"_sd": [digest(A), digest(C := disclosure("pepper", "address", "x"))]}, A, C),
        "overwrite",
    ),
    "disclosure of a claim that is signed": (forged({"address": "x", "_sd": [digest(A)]}, A), "overwrite"),
    "disclosure named _sd": (
        forged({"_sd": [digest(D := disclosure("salt", "_sd", []))]}, D),
        "overwrite",
    ),
    "disclosure named ...": (
        forged({"_sd": [digest(E := disclosure("salt", "...", "x"))]}, E),
        "overwrite",
    ),
    "disclosure of an array's element": (
        forged({"_sd": [digest(F := disclosure("salt", "x"))]}, F),
        "malformed",
    ),
    "disclosure that is no JSON": (forged({"_sd": [digest(G := encode_base64url(b"{"))]}, G), "malformed"),
    "disclosure whose salt is a number": (
        forged({"_sd": [digest(H := disclosure(1, "x", "y"))]}, H),
        "malformed",
    ),
    "digests within a claim": (forged({"a": {"b": [{"_sd": []}]}}), "parts of claims"),
    "element of an array hidden": (forged({"a": [{"...": digest(A)}]}), "parts of claims"),
    "digests within a disclosure": (
        forged({"_sd": [digest(J := disclosure("salt", "x", {"_sd": [digest(A)]}))]}, J),
        "parts of claims",
    ),
    "reserved claim signed": (forged({"...": "x"}), "reserved"),
    "other digest algorithm": (forged({"_sd": [digest(A)], "_sd_alg": "sha-512"}, A), "digest algorithm"),
    "digest algorithm of no type": (forged({"_sd_alg": None}), "digest algorithm"),
    "digests that are no list": (forged({"_sd": digest(A)}, A), "list of digests"),
    "digests that are no text": (forged({"_sd": [1]}), "list of digests"),
    "not an object": (forged([1]), "not an object"),
    "other typ": (forged(CLAIMS, typ="statuslist+jwt"), "type-mismatch"),
    "no typ of ours": (forged(CLAIMS, typ="JWT"), "type-mismatch"),
    "signature cut": (f"{TOKEN[:-4]}~", "signature"),
    "signature of another": (issue(new_signer(Algorithm.ES256, "issuer"), CLAIMS, {}), "signature-wrong"),
    "key unknown": (issue(new_signer(Algorithm.ES256, "other"), CLAIMS, {}), "key-unknown"),
    "no tilde": (TOKEN, "not an SD-JWT"),
    "empty": ("", "not an SD-JWT"),
    "empty disclosure": (f"{TOKEN}~~{DISCLOSURES[0]}~", "not an SD-JWT"),
    "not ASCII": (f"{TOKEN}~证~", "not an SD-JWT"),
    "too long": (f"{TOKEN}~{'A' * LONGEST}~", "not an SD-JWT"),
    "last tilde missing": (CREDENTIAL[:-1], "key binding"),
}


@pytest.mark.parametrize("name", NOT_HELD)
def test_what_does_not_hold_is_refused_in_words(name: str) -> None:
    credential, words = NOT_HELD[name]
    with pytest.raises(CredentialInvalid, match=words):
        verify(credential, KEYS)


@given(st.data())
def test_any_character_that_changes_is_noticed(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(CREDENTIAL) - 1))
    other = data.draw(st.sampled_from("Ab0-_~.="))
    changed = CREDENTIAL[:place] + other + CREDENTIAL[place + 1 :]
    if changed != CREDENTIAL:
        with pytest.raises(CredentialInvalid):
            verify(changed, KEYS)


def test_what_needs_no_digests_holds_without() -> None:
    # RFC 9901 §4.1.1: without `_sd_alg` it is sha-256. Dates are not judged here, so `exp` may be missing.
    assert verify(forged({"_sd": [digest(A), digest(B)]}, B), KEYS).disclosed == {"capital": "壹元"}
    assert verify(forged(CLAIMS), KEYS).claims == CLAIMS
    assert verify(forged(CLAIMS | {"exp": 1}), KEYS).claims["exp"] == 1


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_all_algorithms_sign(algorithm: Algorithm) -> None:
    signer = new_signer(algorithm, "k")
    assert verify(issue(signer, CLAIMS, HIDDEN), {"k": signer.public}).disclosed == HIDDEN
