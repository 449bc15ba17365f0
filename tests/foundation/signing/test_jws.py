"""Compact JWS: it agrees with an independent implementation, and every known way to forge or re-spell one fails."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.signing import (
    Algorithm,
    BadJws,
    PublicKey,
    Signer,
    decode_base64url,
    encode_base64url,
    new_signer,
    sign_compact,
    verify_compact,
)
from foundation.signing.algorithms import Ed25519Signer, P256Signer
from foundation.signing.jws import LONGEST_HEADER, LONGEST_TOKEN

SIGNERS = {algorithm: new_signer(algorithm) for algorithm in Algorithm}
KEYS = {signer.kid: signer.public for signer in SIGNERS.values()}
ALL = frozenset(Algorithm)
ES256, EDDSA = SIGNERS[Algorithm.ES256], SIGNERS[Algorithm.EDDSA]
TYP = "answer+jwt"
PAYLOAD = '{"结果":"match"}'.encode()

each_algorithm = pytest.mark.parametrize("algorithm", list(Algorithm))


def raw(header: bytes, signer: Signer = ES256, payload: bytes = PAYLOAD) -> str:
    """Return a token with any header at all, and a signature over it that is right."""
    signed = f"{encode_base64url(header)}.{encode_base64url(payload)}"
    return f"{signed}.{encode_base64url(signer.sign(signed.encode()))}"


def made(signer: Signer = ES256, **changes: Any) -> str:
    """Return a rightly signed token whose header is a usual one but for the changes; None leaves a member out."""
    header = {"alg": signer.algorithm.value, "kid": signer.kid, "typ": TYP, **changes}
    return raw(json.dumps({k: v for k, v in header.items() if v is not None}).encode(), signer)


def refusal(
    token: str,
    keys: Mapping[str, PublicKey] = KEYS,
    typ: str | None = TYP,
    allowed: frozenset[Algorithm] = ALL,
) -> str:
    with pytest.raises(BadJws) as caught:
        verify_compact(token, keys, typ, allowed)
    return caught.value.code


@each_algorithm
@settings(max_examples=25)
@given(payload=st.binary(max_size=200))
def test_a_token_gives_back_its_payload_and_header(algorithm: Algorithm, payload: bytes) -> None:
    signer = SIGNERS[algorithm]
    token = sign_compact(signer, payload, TYP, {"x5u": "https://zhengtong.example/chain"})
    verified = verify_compact(token, KEYS, TYP, frozenset({algorithm}))
    assert verified.payload == payload
    assert dict(verified.header) == {
        "alg": algorithm.value,
        "kid": signer.kid,
        "typ": TYP,
        "x5u": "https://zhengtong.example/chain",
    }


def test_the_header_is_canonical_so_that_equal_tokens_look_equal() -> None:
    header = sign_compact(EDDSA, b"{}", TYP).split(".")[0]
    expected = f'{{"alg":"EdDSA","kid":"{EDDSA.kid}","typ":"{TYP}"}}'
    assert decode_base64url(header).decode() == expected
    assert sign_compact(EDDSA, b"{}", TYP) == sign_compact(EDDSA, b"{}", TYP, {})


@pytest.mark.parametrize("signer", [ES256, EDDSA], ids=lambda signer: signer.algorithm.value)
def test_an_independent_implementation_reads_what_we_sign(signer: Signer) -> None:
    theirs = jwt.PyJWK({**signer.public.to_jwk(), "alg": signer.algorithm.value})
    token = sign_compact(signer, PAYLOAD, TYP)
    read = jwt.api_jws.decode_complete(token, theirs.key, algorithms=[signer.algorithm.value])
    assert read["payload"] == PAYLOAD
    assert read["header"] == {"alg": signer.algorithm.value, "kid": signer.kid, "typ": TYP}
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.api_jws.decode(token[:-4] + "AAAA", theirs.key, algorithms=[signer.algorithm.value])


@pytest.mark.parametrize("signer", [ES256, EDDSA], ids=lambda signer: signer.algorithm.value)
def test_we_read_what_an_independent_implementation_signs(signer: Signer) -> None:
    assert isinstance(signer, P256Signer | Ed25519Signer)
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = signer.private_key
    claims = {"iss": "证通", "n": 1}
    token = jwt.encode(
        claims, private, algorithm=signer.algorithm.value, headers={"kid": signer.kid, "typ": TYP}
    )
    assert json.loads(verify_compact(token, KEYS, TYP, ALL).payload) == claims
    assert refusal(token, {signer.kid: new_signer(signer.algorithm).public}) == "signature-wrong"


@pytest.mark.parametrize(
    "stated", ["none", "None", "NONE", "", "HS256", "RS256", "ES384", "es256", "PS256", 5, None, [], {}]
)
def test_an_algorithm_that_is_not_ours_is_refused_however_it_is_signed(stated: Any) -> None:
    token = made(alg=stated)
    assert refusal(token) == "algorithm-refused"
    assert refusal(token.rsplit(".", 1)[0] + ".") == "algorithm-refused"


@each_algorithm
def test_a_public_key_is_no_shared_secret(algorithm: Algorithm) -> None:
    signer = SIGNERS[algorithm]
    header = json.dumps({"alg": "HS256", "kid": signer.kid, "typ": TYP}).encode()
    signed = f"{encode_base64url(header)}.{encode_base64url(PAYLOAD)}"
    for secret in (repr(signer.public), json.dumps(signer.public.to_jwk()), signer.public.to_jwk()["x"]):
        mac = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
        assert refusal(f"{signed}.{encode_base64url(mac)}") == "algorithm-refused"


@pytest.mark.parametrize("stated", list(Algorithm))
@each_algorithm
def test_the_key_decides_the_algorithm_and_not_the_token(algorithm: Algorithm, stated: Algorithm) -> None:
    token = made(SIGNERS[algorithm], alg=stated.value)
    if stated is algorithm:
        assert verify_compact(token, KEYS, TYP, frozenset({stated})).payload == PAYLOAD
        assert refusal(token, allowed=ALL - {stated}) == "algorithm-refused"
    else:
        assert refusal(token) == "algorithm-mismatch"
        assert refusal(token, allowed=frozenset({algorithm})) == "algorithm-refused"


@pytest.mark.parametrize(
    "kid",
    ["", "unknown", EDDSA.kid + " ", EDDSA.kid.lower(), None, 5, [EDDSA.kid], {"a": 1}],
    ids=["empty", "unknown", "blank after it", "lower case", "null", "number", "list", "object"],
)
def test_a_token_that_names_no_known_key_is_refused_though_there_is_but_one(kid: Any) -> None:
    assert refusal(made(EDDSA, kid=kid), {EDDSA.kid: EDDSA.public}) == "key-unknown"


def test_keys_that_a_token_brings_along_are_not_used() -> None:
    attacker = new_signer(Algorithm.ES256, ES256.kid)
    brought = {"jwk": {**attacker.public.to_jwk(), "kid": ES256.kid}, "jku": "https://evil.example/jwks.json"}
    assert refusal(made(attacker, **brought)) == "signature-wrong"
    assert refusal(made(attacker, **{**brought, "kid": attacker.public.thumbprint()})) == "key-unknown"
    # Nor do they harm where the signature is right.
    assert verify_compact(made(ES256, **brought), KEYS, TYP, ALL).payload == PAYLOAD


@pytest.mark.parametrize("critical", [["exp"], ["b64"], [], "exp", None, 5])
def test_extensions_that_must_be_understood_are_refused(critical: Any) -> None:
    header = json.dumps({"alg": "ES256", "kid": ES256.kid, "typ": TYP, "crit": critical, "exp": 1}).encode()
    assert refusal(raw(header)) == "critical-unknown"


@pytest.mark.parametrize("encoded", [False, 0, "true", None])
def test_payloads_that_are_not_encoded_are_refused(encoded: Any) -> None:
    header = json.dumps({"alg": "ES256", "kid": ES256.kid, "typ": TYP, "b64": encoded}).encode()
    assert refusal(raw(header)) == "payload-unencoded"
    assert verify_compact(made(b64=True), KEYS, TYP, ALL).payload == PAYLOAD


@pytest.mark.parametrize("typ", ["JWT", "", "answer", "answer+jwt ", "x/answer+jwt", None, 5, [TYP]])
def test_a_token_of_another_type_is_refused(typ: Any) -> None:
    assert refusal(made(typ=typ)) == "type-mismatch"
    assert verify_compact(made(typ=typ), KEYS, None, ALL).payload == PAYLOAD


@pytest.mark.parametrize("typ", [TYP, "Answer+JWT", f"application/{TYP}", f"APPLICATION/{TYP.upper()}"])
def test_a_type_is_compared_as_a_media_type(typ: str) -> None:
    assert verify_compact(made(typ=typ), KEYS, TYP, ALL).payload == PAYLOAD
    assert verify_compact(made(), KEYS, typ, ALL).payload == PAYLOAD


GOOD = f'"alg":"ES256","kid":"{ES256.kid}","typ":"{TYP}"'


@pytest.mark.parametrize(
    "header",
    [
        f'{{{GOOD},"alg":"ES256"}}',
        f'{{"kid":"other",{GOOD}}}',
        f'{{{GOOD},"al\\u0067":"none"}}',  # the same name in another spelling
        f'{{{GOOD},"jwk":{{"kty":"EC","kty":"oct"}}}}',
        f'{{{GOOD},"exp":NaN}}',
        f'{{{GOOD},"exp":-Infinity}}',
        f"{{{GOOD},}}",
        f"{{{GOOD}}} x",
        f"\ufeff{{{GOOD}}}",
        f"[{{{GOOD}}}]",
        '"ES256"',
        "null",
        "",
        "{",
        f'{{{GOOD},"n":{"9" * 5000}}}',
        "[" * 6000,
        '{"a":' * 2000 + "1" + "}" * 2000,
    ],
    ids=lambda header: header.replace(ES256.kid, "…")[:40],
)
def test_a_header_that_two_readers_could_take_differently_is_refused(header: str) -> None:
    assert refusal(raw(header.encode())) == "header-malformed"


def test_a_header_that_is_no_unicode_text_is_refused() -> None:
    assert refusal(raw(b"\xff\xfe" + f"{{{GOOD}}}".encode("utf-16-le"))) == "header-malformed"
    assert refusal(raw(f'{{{GOOD},"x":"\u00e9"}}'.encode("latin-1"))) == "header-malformed"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "malformed"),
        (".", "malformed"),
        ("..", "header-malformed"),
        ("a.b", "malformed"),
        (made() + ".", "malformed"),
        (made() + ".AAAA", "malformed"),
        (made().rsplit(".", 1)[0], "malformed"),
        (made() + "é", "malformed"),
        ("\udc80" + made(), "malformed"),
        (json.dumps(dict(zip(("protected", "payload", "signature"), made().split("."), strict=True))), "malformed"),
        (made().rsplit(".", 1)[0] + ".", "signature-wrong"),
        ("A" * (LONGEST_TOKEN + 1), "too-large"),
        ("A" * (LONGEST_HEADER + 1) + ".AA.AA", "too-large"),
    ],
    ids=lambda value: value[:20],
)  # fmt: skip
def test_what_is_no_compact_token_is_refused(token: str, code: str) -> None:
    assert refusal(token) == code


@each_algorithm
def test_no_part_of_a_token_can_be_spelled_in_another_way(algorithm: Algorithm) -> None:
    # Header, payload and signature all leave bits over in the last character, which a lax reader would not look at.
    header = json.dumps({"alg": algorithm.value, "kid": SIGNERS[algorithm].kid, "typ": TYP}).encode()
    token = raw(header + b" " * ((1 - len(header)) % 3), SIGNERS[algorithm], b"0" * 16)
    assert verify_compact(token, KEYS, TYP, ALL).payload == b"0" * 16
    parts = token.split(".")
    for place, code in enumerate(["header-malformed", "malformed", "malformed"]):
        text = parts[place]
        respelled = text[:-1] + chr(ord(text[-1]) + 1)
        for other in (
            respelled,
            text + "=",
            text + "==",
            text + "\n",
            " " + text,
            text[:9] + "\n" + text[9:],
        ):
            assert refusal(".".join([*parts[:place], other, *parts[place + 1 :]])) == code


def test_no_character_of_a_token_can_be_replaced() -> None:
    token = made(EDDSA)
    for place in range(len(token)):
        for other in "A_9" if token[place] != "." else "A":
            if token[place] != other:
                refusal(token[:place] + other + token[place + 1 :])


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.binary(max_size=30).map(encode_base64url), min_size=3, max_size=3).map(".".join),
    )
)
def test_any_text_is_refused_with_a_code_and_never_another_trouble(text: str) -> None:
    assert refusal(text) in {
        "malformed",
        "header-malformed",
        "algorithm-refused",
        "critical-unknown",
        "payload-unencoded",
    }


@pytest.mark.parametrize("name", ["alg", "kid", "typ", "crit", "b64"])
def test_headers_that_change_how_a_token_is_read_cannot_be_given(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        sign_compact(ES256, b"", TYP, {name: True})


def test_headers_that_have_no_canonical_form_cannot_be_given() -> None:
    with pytest.raises(ValueError, match="/weight"):
        sign_compact(ES256, b"", TYP, {"weight": 0.5})
