"""SD-JWT: golden, round trip, an independent library as peer, the reference's cases, and forgeries."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.utils.yaml_specification import load_yaml_specification, remove_sdobj_wrappers
from sd_jwt.verifier import SDJWTVerifier

from foundation.signing import (
    Algorithm,
    PublicKey,
    decode_base64url,
    encode_base64url,
    load_signer,
    new_signer,
    sign_compact,
)
from license_registry.credentials.json_form import to_compact
from license_registry.credentials.key_binding import ExpectedBinding
from license_registry.credentials.sd_jwt import (
    LONGEST,
    NEVER_HIDDEN,
    TYPE,
    Credential,
    CredentialInvalid,
    bind,
    issue,
    issue_parts,
    select,
    select_parts,
    verify,
    verify_sd_jwt,
)

GOLDEN = Path(__file__).parent / "golden"
SIGNER = new_signer(Algorithm.ES256, "issuer")
KEYS = {"issuer": SIGNER.public}
CLAIMS = {"iss": "https://registry.example", "vct": "urn:example:licence", "holder_name": "某公司"}
HIDDEN = {"address": "东湖路1号", "capital": "壹佰万元整", "partners": [{"name": "张三丰"}]}
CREDENTIAL = issue(SIGNER, CLAIMS, HIDDEN)

PEER = JWK.generate(kty="EC", crv="P-256", kid="peer")
OWN = JWK.generate(kty="EC", crv="P-256")
OWN_PUBLIC = PublicKey.from_jwk(OWN.export_public(as_dict=True))
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
reserved = NEVER_HIDDEN | {"iat"}


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


def test_all_cases_of_the_reference_are_known(shared: Callable[[str], Path]) -> None:
    assert sorted(path.parent.name for path in shared("sd-jwt").glob("*/specification.yml")) == REFERENCE


def binding(**changes: Any) -> ExpectedBinding:
    given = {"audience": "https://counter.example", "nonce": "n-1", "now": int(time.time())} | changes
    return ExpectedBinding(**given)


@pytest.mark.parametrize("name", REFERENCE)
def test_cases_of_the_reference_as_a_peer_issues_them(shared: Callable[[str], Path], name: str) -> None:
    case = load_yaml_specification(shared(f"sd-jwt/{name}/specification.yml"))
    bound = case.get("key_binding", False)
    form = case.get("serialization_format", "compact")
    headers = {"typ": TYPE, "kid": "peer"}
    made = SDJWTIssuer(
        case["user_claims"],
        PEER,
        holder_key=OWN if bound else None,
        add_decoy_claims=case.get("add_decoy_claims", False),
        serialization_format=form,
        extra_header_parameters=headers,
    )
    holder = SDJWTHolder(made.sd_jwt_issuance, serialization_format=form)
    expected = binding()
    if bound:
        holder.create_presentation(
            case["holder_disclosed_claims"],
            nonce=expected.nonce,
            aud=expected.audience,
            holder_key=OWN,
        )
    else:
        holder.create_presentation(case["holder_disclosed_claims"])

    def compact(text: str) -> str:
        return to_compact(as_the_standard_has_it(text, name), PEER_KEYS) if form == "json" else text

    shown = compact(holder.sd_jwt_presentation)
    if bound and form == "json":
        # The peer's key binding of this form is over another text than RFC 9901 §8.1 says: we sign for its holder.
        own = load_signer(decode_base64url(OWN.export(as_dict=True)["d"]), OWN_PUBLIC, "own")
        shown = bind(
            shown.rpartition("~")[0] + "~",
            own,
            audience=expected.audience,
            nonce=expected.nonce,
            now=expected.now,
        )
    found = verify_sd_jwt(shown, PEER_KEYS, typ=TYPE, binding=expected if bound else None)
    assert found.bound is bound
    assert without_cnf(found) == case["expect_verified_user_claims"]
    everything = verify_sd_jwt(compact(made.sd_jwt_issuance), PEER_KEYS, typ=TYPE)
    assert without_cnf(everything) == remove_sdobj_wrappers(case["user_claims"])
    assert everything.hidden == 0 or case.get("add_decoy_claims")


def as_the_standard_has_it(text: str, name: str) -> dict[str, Any]:
    """The peer writes the JSON form of an early draft: RFC 9901 §8.1 has disclosures in the unprotected header."""
    said = orjson.loads(text)
    header = {key: said.pop(key) for key in ("disclosures", "kb_jwt") if said.get(key)}
    if name.endswith("flattened"):
        return said | {"header": header}
    one = {"protected": said["protected"], "signature": said["signature"], "header": header}
    other = {"protected": encode_base64url(b'{"alg":"ES256","kid":"x"}'), "signature": "AA"}
    # Disclosures stand with the first signature, whichever of them the verifier knows the key of.
    signatures = [other | {"header": header}, one | {"header": {}}] if header.get("kb_jwt") else [one, other]
    return {"payload": said["payload"], "signatures": signatures}


def without_cnf(found: Credential) -> dict[str, Any]:
    merged = {**found.claims, **found.disclosed}
    merged.pop("cnf", None)
    return merged


@pytest.mark.parametrize("name", REFERENCE)
def test_cases_of_the_reference_as_we_issue_them_and_a_peer_reads(
    shared: Callable[[str], Path], name: str
) -> None:
    case = load_yaml_specification(shared(f"sd-jwt/{name}/specification.yml"))
    plain, paths = paths_of(case["user_claims"])
    made = issue_parts(SIGNER, plain, paths, decoys=2)
    read = SDJWTVerifier(made, lambda _issuer, _header: JWK(**SIGNER.public.to_jwk()))
    assert read.get_verified_payload() == remove_sdobj_wrappers(case["user_claims"])
    holder = SDJWTHolder(made)
    holder.create_presentation(case["holder_disclosed_claims"])
    shown = verify_sd_jwt(holder.sd_jwt_presentation, KEYS, typ=TYPE)
    assert {**shown.claims, **shown.disclosed} == case["expect_verified_user_claims"]


def paths_of(claims: Any) -> tuple[Any, list[tuple[str | int, ...]]]:
    """The claims without the reference's marks, and where these stood."""
    paths: list[tuple[str | int, ...]] = []

    def walk(value: Any, here: tuple[str | int, ...]) -> Any:
        if isinstance(value, SDObj):
            paths.append(here)
            return walk(value.value, here)
        if isinstance(value, dict):
            made = {}
            for name, member in value.items():
                plain = name.value if isinstance(name, SDObj) else name
                if isinstance(name, SDObj):
                    paths.append((*here, plain))
                made[plain] = walk(member, (*here, plain))
            return made
        if isinstance(value, list):
            return [walk(member, (*here, place)) for place, member in enumerate(value)]
        return value

    return walk(claims, ()), paths


NESTED = {
    "address": {"city": "东湖市", "street": "东湖路1号"},
    "partners": ["张三丰", "李四光", {"name": "王五"}],
}


def test_parts_within_parts_are_chosen_with_what_they_stand_in() -> None:
    paths = [("address",), ("address", "street"), ("partners", 0), ("partners", 2), ("partners", 2, "name")]
    made = issue_parts(SIGNER, CLAIMS | NESTED, paths)
    assert verify(select_parts(made, []), KEYS).claims["partners"] == ["李四光"]
    street = verify(select_parts(made, [("address", "street")]), KEYS)
    assert (street.disclosed, street.hidden) == ({"address": NESTED["address"]}, 2)
    last = verify(select_parts(made, [("partners", 2, "name")]), KEYS)
    assert last.claims["partners"] == ["李四光", {"name": "王五"}]
    whole = verify(select(made, ["address", "partners"]), KEYS)
    assert {**whole.claims, **whole.disclosed} == CLAIMS | NESTED
    with pytest.raises(CredentialInvalid, match=r"partners\.1"):
        select_parts(made, [("partners", 1)])


@given(st.data())
def test_any_parts_of_any_claims_come_back(data: st.DataObject) -> None:
    claims = data.draw(st.dictionaries(names.filter(lambda name: name not in reserved), values, max_size=5))
    there: list[tuple[str | int, ...]] = []

    def walk(value: Any, here: tuple[str | int, ...]) -> None:
        if here:
            there.append(here)
        members = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for name, member in members:
            walk(member, (*here, name))

    walk(claims, ())
    paths = data.draw(st.lists(st.sampled_from(there), unique=True)) if there else []
    made = issue_parts(SIGNER, CLAIMS | claims, paths)
    found = verify(made, KEYS)
    assert {**found.claims, **found.disclosed} == CLAIMS | claims
    assert verify(select_parts(made, []), KEYS).hidden <= len(paths)
    assert verify(select_parts(made, paths), KEYS) == found


@pytest.mark.parametrize("path", [("nobody",), ("address", "nobody"), ("partners", 3), ("partners", 0, "x")])
def test_what_is_not_there_cannot_be_hidden(path: tuple[str | int, ...]) -> None:
    with pytest.raises(ValueError, match="nothing stands at"):
        issue_parts(SIGNER, CLAIMS | NESTED, [path])


@pytest.mark.parametrize("claims", [{"_sd": []}, {"a": {"...": 1}}, {"a": [{"_sd_alg": "sha-256"}]}])
def test_claims_with_reserved_names_are_not_issued(claims: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no claim may have"):
        issue_parts(SIGNER, CLAIMS | claims, [])
    with pytest.raises(ValueError, match="must not be selectively"):
        issue_parts(SIGNER, CLAIMS | {"exp": 1}, [("exp",)])


def test_decoys_look_like_digests_and_show_nothing() -> None:
    found = verify(issue_parts(SIGNER, CLAIMS | HIDDEN, [("address",)], decoys=5), KEYS)
    assert (found.hidden, found.disclosed) == (5, {"address": HIDDEN["address"]})


def deep(levels: int) -> Any:
    made: Any = "x"
    for level in range(levels):
        made = {"a": made} if level % 2 else [made]
    return made


A, B = disclosure("salt", "address", "东湖路1号"), disclosure("salt", "capital", "壹元")
TOKEN, *DISCLOSURES = CREDENTIAL.split("~")[:-1]
NOT_HELD: dict[str, tuple[str, str]] = {
    "disclosure altered": (
        "~".join([TOKEN, disclosure("salt", "address", "西湖路1号"), ""]),
        "belongs to nothing",
    ),
    "disclosure that nothing refers to": (f"{CREDENTIAL}{A}~", "belongs to nothing"),
    "disclosure twice": ("~".join([TOKEN, DISCLOSURES[0], DISCLOSURES[0], ""]), "a disclosure stands twice"),
    "digest twice": (forged({"_sd": [digest(A), digest(A)]}, A), "stands twice"),
    "one claim by two disclosures": (
        forged({"_sd": [digest(A), digest(C := disclosure("pepper", "address", "x"))]}, A, C),
        "overwrite",
    ),
    "disclosure of a claim that is signed": (forged({"address": "x", "_sd": [digest(A)]}, A), "overwrite"),
    "disclosure named _sd": (
        forged({"_sd": [digest(D := disclosure("salt", "_sd", []))]}, D),
        "reserved name",
    ),
    "disclosure named ...": (
        forged({"_sd": [digest(E := disclosure("salt", "...", "x"))]}, E),
        "reserved name",
    ),
    "disclosure named _sd_alg": (
        forged({"_sd": [digest(K := disclosure("salt", "_sd_alg", "sha-512"))]}, K),
        "reserved name",
    ),
    "disclosure of when it ends": (
        forged({"_sd": [digest(L := disclosure("salt", "exp", 9))]}, L),
        "must not be hidden",
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
    "disclosure of a member as an element": (forged({"a": [{"...": digest(A)}]}, A), "malformed"),
    "element beside its digest": (forged({"a": [{"...": digest(A), "b": 1}]}), "reserved"),
    "digest of an element that is no text": (forged({"a": [{"...": 1}]}), "list of digests"),
    "one digest at two places": (forged({"_sd": [digest(A)], "a": {"_sd": [digest(A)]}}), "stands twice"),
    "digest that stands in a disclosure, too": (
        forged({"_sd": [digest(A), digest(J := disclosure("salt", "x", {"_sd": [digest(A)]}))]}, A, J),
        "stands twice",
    ),
    "disclosure within one that is not shown": (
        forged({"_sd": [digest(disclosure("salt", "x", {"_sd": [digest(A)]}))]}, A),
        "belongs to nothing",
    ),
    "digest algorithm within": (forged({"a": {"_sd_alg": "sha-256"}}), "reserved"),
    "reserved claim within": (forged({"a": {"...": "x"}}), "reserved"),
    "nested without end": (forged(dict(CLAIMS) | {"a": deep(120)}), "too deeply"),
    "reserved claim signed": (forged({"...": "x"}), "reserved"),
    "other digest algorithm": (forged({"_sd": [digest(A)], "_sd_alg": "md5"}, A), "digest algorithm"),
    "another digest than it says": (
        forged({"_sd": [digest(A)], "_sd_alg": "sha-512"}, A),
        "belongs to nothing",
    ),
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
