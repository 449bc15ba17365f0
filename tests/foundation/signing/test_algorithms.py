"""One suite for all three algorithms; then public vectors, the examples of the standards, and OpenSSL as a peer."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.signing import (
    Algorithm,
    BadJwk,
    BadJws,
    BadSignature,
    PublicKey,
    Signer,
    canonical_json,
    decode_base64url,
    encode_base64url,
    generate_key,
    load_signer,
    new_signer,
    verify_compact,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
SM2_ORDER = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM2_PRIME = 2**256 - 2**224 - 2**96 + 2**64 - 1
ED25519_PRIME = 2**255 - 19
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
ORDERS = {Algorithm.ES256: P256_ORDER, Algorithm.EDDSA: ED25519_ORDER, Algorithm.SM2: SM2_ORDER}

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden" / "keys.json").read_bytes())
SIGNERS = {algorithm: new_signer(algorithm) for algorithm in Algorithm}

each_algorithm = pytest.mark.parametrize("algorithm", list(Algorithm))
each_golden = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["algorithm"])


def holds(public: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        public.verify(message, signature)
    except BadSignature:
        return False
    return True


# The suite that every algorithm passes.


@each_algorithm
@settings(max_examples=30)
@given(message=st.binary(max_size=300))
def test_what_is_signed_holds_under_this_key_and_this_message_only(
    algorithm: Algorithm, message: bytes
) -> None:
    signer = SIGNERS[algorithm]
    signature = signer.sign(message)
    assert len(signature) == 64
    assert holds(signer.public, message, signature)
    assert not holds(signer.public, message + b"\0", signature)
    assert not holds(signer.public, message[1:] if message else b"x", signature)
    for other in SIGNERS.values():
        assert holds(other.public, message, signature) is (other is signer)
    assert not holds(new_signer(algorithm).public, message, signature)


@each_algorithm
def test_no_single_bit_of_a_signature_can_be_changed(algorithm: Algorithm) -> None:
    signer = SIGNERS[algorithm]
    signature = int.from_bytes(signer.sign(b"message"), "big")
    # Every byte, and in each another bit: all 512 would tell the same at eight times the cost.
    for place in range(64):
        altered = signature ^ (1 << (8 * place + place % 8))
        assert not holds(signer.public, b"message", altered.to_bytes(64, "big"))


@each_algorithm
def test_a_signature_of_another_length_is_none(algorithm: Algorithm) -> None:
    signer = SIGNERS[algorithm]
    signature = signer.sign(b"message")
    for length in (0, 1, 31, 32, 63):
        assert not holds(signer.public, b"message", signature[:length])
        assert not holds(signer.public, b"message", signature[64 - length :])
    for longer in (signature + b"\0", b"\0" + signature, signature * 2, signature + bytes(100_000)):
        assert not holds(signer.public, b"message", longer)


@each_algorithm
def test_a_signature_in_der_is_none_for_there_is_one_form_only(algorithm: Algorithm) -> None:
    signer = SIGNERS[algorithm]
    signature = signer.sign(b"message")
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    assert not holds(signer.public, b"message", der)


@each_algorithm
def test_numbers_out_of_range_and_at_its_edges_are_no_signature(algorithm: Algorithm) -> None:
    signer, order = SIGNERS[algorithm], ORDERS[algorithm]
    good = signer.sign(b"message")
    edges = [n.to_bytes(32, "big") for n in (0, 1, order - 1, order, order + 1, 2**256 - 1)]
    edges += [n.to_bytes(32, "little") for n in (1, order - 1, order, order + 1)]
    for first in (*edges, good[:32]):
        for second in edges:
            assert not holds(signer.public, b"message", first + second)
    for first in edges:
        assert not holds(signer.public, b"message", first + good[32:])


@each_algorithm
@settings(max_examples=60)
@given(signature=st.one_of(st.binary(min_size=64, max_size=64), st.binary(max_size=200)))
def test_random_bytes_are_no_signature_and_never_another_trouble(
    algorithm: Algorithm, signature: bytes
) -> None:
    assert not holds(SIGNERS[algorithm].public, b"message", signature)


def test_sm2_numbers_that_cancel_each_other_out_are_refused() -> None:
    signer = SIGNERS[Algorithm.SM2]
    r = int.from_bytes(signer.sign(b"message")[:32], "big")
    with pytest.raises(BadSignature, match="cancel"):
        signer.public.verify(b"message", r.to_bytes(32, "big") + (SM2_ORDER - r).to_bytes(32, "big"))


def test_ed25519_numbers_have_one_spelling_so_that_s_beyond_the_order_is_refused() -> None:
    signer = SIGNERS[Algorithm.EDDSA]
    signature = signer.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + ED25519_ORDER
    assert not holds(signer.public, b"message", signature[:32] + s.to_bytes(32, "little"))


@each_algorithm
def test_a_generated_pair_loads_and_a_key_is_the_same_after_a_trip_through_its_jwk(
    algorithm: Algorithm,
) -> None:
    private, public = generate_key(algorithm)
    signer = load_signer(private, public)
    assert (len(private), signer.algorithm, signer.public) == (32, algorithm, public)
    assert signer.kid == public.thumbprint() == public.thumbprint()
    assert load_signer(private, public, "own-name").kid == "own-name"
    read = PublicKey.from_jwk(
        {**public.to_jwk(), "kid": "k", "alg": algorithm.value, "use": "sig", "x5t": "?"}
    )
    assert read == public
    assert hash(read) == hash(public)
    assert holds(read, b"message", signer.sign(b"message"))
    assert public != generate_key(algorithm)[1]


@each_algorithm
def test_a_private_half_that_is_not_of_the_public_half_is_refused(algorithm: Algorithm) -> None:
    private, public = generate_key(algorithm)
    order = ORDERS[algorithm]
    out_of_range = (
        [] if algorithm is Algorithm.EDDSA else [bytes(32), order.to_bytes(32, "big"), b"\xff" * 32]
    )
    for wrong in (
        b"",
        private[:31],
        private + b"\0",
        generate_key(algorithm)[0],
        bytes(31) + b"\1",
        *out_of_range,
    ):
        with pytest.raises(ValueError):
            load_signer(wrong, public)


@each_algorithm
def test_neither_a_signer_nor_a_key_shows_its_private_half(algorithm: Algorithm) -> None:
    private, public = generate_key(algorithm)
    number = int.from_bytes(private, "big")
    secrets = (repr(private)[2:20], private.hex(), str(number), encode_base64url(private), f"{number:X}")
    for shown in (
        repr(load_signer(private, public)),
        str(load_signer(private, public)),
        repr(public.to_jwk()),
    ):
        assert "Signer" in shown or "kty" in shown
        assert not any(secret in shown for secret in secrets)
    assert set(public.to_jwk()) <= {"kty", "crv", "x", "y"}


# Keys that are none.


def jwk_of(algorithm: Algorithm, **changes: object) -> dict[str, object]:
    changed = {**SIGNERS[algorithm].public.to_jwk(), **changes}
    return {name: value for name, value in changed.items() if value is not None}


def number(value: int) -> str:
    return encode_base64url(value.to_bytes(32, "big"))


def little(value: int) -> str:
    return encode_base64url(value.to_bytes(32, "little"))


def unreduced(prime: int, b: int) -> tuple[str, str]:
    """Return a point of a curve with a = -3 whose x is written with the prime added."""
    for x in range(1, 1000):
        square = (x**3 - 3 * x + b) % prime
        y = pow(square, (prime + 1) // 4, prime)
        if y * y % prime == square:
            return number(x + prime), number(y)
    raise AssertionError("no point found")


P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
SM2_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93


@each_algorithm
@pytest.mark.parametrize(
    "changes",
    [
        {"kty": None},
        {"kty": "oct"},
        {"kty": "RSA"},
        {"kty": ["EC"]},
        {"crv": None},
        {"crv": "P-521"},
        {"crv": "secp256k1"},
        {"x": None},
        {"x": ""},
        {"x": 5},
        {"x": "!"},
        {"x": encode_base64url(bytes(31))},
        {"x": encode_base64url(bytes(33))},
        {"x": number(1) + "="},
        {"d": number(1)},
        {"d": ""},
        {"k": "AAAA"},
        {"alg": "HS256"},
        {"alg": "none"},
        {"alg": None, "use": "enc"},
        {"use": ["sig"]},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"key_ops": []},
    ],
    ids=repr,
)
def test_a_jwk_that_is_no_public_key_for_signatures_is_refused(
    algorithm: Algorithm, changes: dict[str, object]
) -> None:
    with pytest.raises(BadJwk):
        PublicKey.from_jwk(jwk_of(algorithm, **changes))


@each_algorithm
def test_a_jwk_may_name_its_own_algorithm_and_no_other(algorithm: Algorithm) -> None:
    for stated in Algorithm:
        jwk = jwk_of(algorithm, alg=stated.value)
        if stated is algorithm:
            assert PublicKey.from_jwk(jwk) == SIGNERS[algorithm].public
        else:
            with pytest.raises(BadJwk, match="alg"):
                PublicKey.from_jwk(jwk)


@pytest.mark.parametrize(("curve", "prime", "b"), [("P-256", P256_PRIME, P256_B), ("SM2", SM2_PRIME, SM2_B)])
def test_what_is_no_point_of_the_curve_is_no_key(curve: str, prime: int, b: int) -> None:
    good = SIGNERS[Algorithm.ES256 if curve == "P-256" else Algorithm.SM2].public.to_jwk()
    beyond, its_y = unreduced(prime, b)
    for x, y in [
        (number(0), number(0)),
        (number(1), number(1)),
        (good["x"], good["x"]),
        (good["y"], good["x"]),
        (number(2**256 - 1), number(2**256 - 1)),
        (good["x"], number(prime)),
        (beyond, its_y),
    ]:
        with pytest.raises(BadJwk, match="point"):
            PublicKey.from_jwk({"kty": "EC", "crv": curve, "x": x, "y": y})
    # What is wrong with the last is only that it is written beyond the prime: reduced, it is a point.
    reduced = number(int.from_bytes(decode_base64url(beyond), "big") - prime)
    assert PublicKey.from_jwk({"kty": "EC", "crv": curve, "x": reduced, "y": its_y})


def test_a_key_of_one_curve_is_not_taken_for_one_of_the_other() -> None:
    for algorithm, curve in ((Algorithm.ES256, "SM2"), (Algorithm.SM2, "P-256")):
        with pytest.raises(BadJwk, match="point"):
            PublicKey.from_jwk(jwk_of(algorithm, crv=curve))


TORSION = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826


@pytest.mark.parametrize(
    "y",
    [
        0,
        1,
        ED25519_PRIME - 1,
        TORSION,
        ED25519_PRIME - TORSION,
        ED25519_PRIME,
        ED25519_PRIME + 1,
        2**255 - 1,
        2,
    ],
)
@pytest.mark.parametrize("sign", [0, 1 << 255])
def test_ed25519_points_under_which_signatures_could_be_forged_are_no_keys(y: int, sign: int) -> None:
    # Of small order, spelled beyond the prime, or (2) not on the curve at all.
    with pytest.raises(BadJwk, match="point"):
        PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": little(y | sign)})


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "alg", "use", "key_ops", "d"]),
        st.one_of(
            st.none(), st.integers(), st.text(max_size=5), st.lists(st.text(max_size=3), max_size=2),
            st.sampled_from(["EC", "OKP", "P-256", "SM2", "Ed25519", "sig", number(1), number(2**256 - 1)]),
        ),
    )
)  # fmt: skip
def test_reading_a_jwk_of_any_content_gives_a_key_or_a_refusal(jwk: dict[str, object]) -> None:
    try:
        assert PublicKey.from_jwk(jwk).to_jwk()["x"] == jwk["x"]
    except BadJwk as error:
        assert number(1) not in str(error)


# Examples of the standards.


@each_golden
def test_keys_of_the_standards_keep_their_jwk_thumbprint_and_signature(golden: dict[str, Any]) -> None:
    public = PublicKey.from_jwk(golden["jwk"])
    assert public.algorithm == golden["algorithm"]
    assert public.to_jwk() == golden["jwk"]
    assert public.thumbprint() == golden["thumbprint"]
    message, signature = golden["message"].encode(), decode_base64url(golden["signature"])
    public.verify(message, signature)
    signer = load_signer(decode_base64url(golden["private"]), public)
    again = signer.sign(message)
    assert (again == signature) is (public.algorithm is Algorithm.EDDSA)  # the others draw a fresh number
    public.verify(message, again)


def test_the_thumbprint_example_of_rfc_7638_comes_out_of_the_same_canonical_form() -> None:
    # The example is an RSA key, which is no key here; what a thumbprint is made of is the same.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    )
    digest = hashlib.sha256(canonical_json({"n": modulus, "kty": "RSA", "e": "AQAB"})).digest()
    assert encode_base64url(digest) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


# Public vectors.


def vectors(shared: Callable[[str], Path], name: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = json.loads(shared(f"wycheproof/{name}_test.json").read_bytes())[
        "testGroups"
    ]
    return groups


def judge(public: PublicKey, groups: list[dict[str, Any]], verdicts: Counter[str]) -> list[int]:
    """Count the verdicts and return the numbers of the vectors on which ours differs."""
    differing = []
    for group in groups:
        for vector in group["tests"]:
            held = holds(public, bytes.fromhex(vector["msg"]), bytes.fromhex(vector["sig"]))
            verdicts[vector["result"]] += 1
            if held is not (vector["result"] == "valid"):
                differing.append(vector["tcId"])
    return differing


def test_every_public_vector_for_p256_gets_its_verdict(shared: Callable[[str], Path]) -> None:
    verdicts: Counter[str] = Counter()
    for group in vectors(shared, "ecdsa_secp256r1_sha256_p1363"):
        point = bytes.fromhex(group["publicKey"]["uncompressed"])[1:]
        jwk = {"x": encode_base64url(point[:32]), "y": encode_base64url(point[32:])}
        public = PublicKey.from_jwk({"kty": "EC", "crv": "P-256", **jwk})
        assert not judge(public, [group], verdicts)
    assert verdicts == {"valid": 173, "invalid": 89}


def test_every_public_vector_for_ed25519_gets_its_verdict(shared: Callable[[str], Path]) -> None:
    verdicts: Counter[str] = Counter()
    for group in vectors(shared, "ed25519"):
        key = encode_base64url(bytes.fromhex(group["publicKey"]["pk"]))
        public = PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": key})
        assert not judge(public, [group], verdicts)
    assert verdicts == {"valid": 88, "invalid": 63}


@pytest.mark.parametrize(
    ("name", "expected"),
    # Of the sets of keys none that concerns us is good; the two good ones are of the first file.
    [
        ("json_web_signature", {"valid": 2, "invalid": 39}),
        ("json_web_key", {"invalid": 7}),
    ],
)
def test_every_public_vector_for_jws_with_a_curve_of_ours_gets_its_verdict(
    shared: Callable[[str], Path], name: str, expected: dict[str, int]
) -> None:
    verdicts: Counter[str] = Counter()
    differing = []
    for group in vectors(shared, name):
        given_keys = group.get("public", group.get("private"))
        jwks = given_keys.get("keys", [given_keys])
        if not any(jwk.get("crv") in ("P-256", "Ed25519") or jwk.get("alg") in ORDERS for jwk in jwks):
            continue
        keys = {}
        for jwk in jwks:
            try:
                keys[jwk["kid"]] = PublicKey.from_jwk(jwk)
            except BadJwk:
                continue
        for vector in group["tests"]:
            token = vector["jws"] if isinstance(vector["jws"], str) else json.dumps(vector["jws"])
            try:
                verify_compact(token, keys, None, frozenset(Algorithm))
                held = True
            except BadJws:
                held = False
            verdicts[vector["result"]] += 1
            if held is not (vector["result"] == "valid"):
                differing.append((vector["tcId"], vector["comment"]))
    assert not differing
    assert verdicts == expected


# OpenSSL as a peer for SM2, for which there are no public vectors of the kind.

DISTID = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
SM2_OID = bytes.fromhex("06082a811ccf5501822d")


@pytest.fixture(scope="module")
def openssl() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Return a way to run OpenSSL, or skip where there is none that knows SM2."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl on this machine")
    listed = subprocess.run([program, "list", "-signature-algorithms"], capture_output=True, check=False)
    if b"SM2" not in listed.stdout:
        pytest.skip("this openssl has no SM2")
    return lambda *words: subprocess.run([program, *map(str, words)], capture_output=True, check=False)


def sm2_public_der(public: PublicKey) -> bytes:
    jwk = public.to_jwk()
    point = b"\4" + decode_base64url(jwk["x"]) + decode_base64url(jwk["y"])
    return bytes.fromhex("3059301306072a8648ce3d0201") + SM2_OID + b"\x03\x42\0" + point


def test_openssl_verifies_what_we_sign_with_sm2_and_nothing_else(
    openssl: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    message, der, key = tmp_path / "message", tmp_path / "signature", tmp_path / "key.der"
    signer: Signer = SIGNERS[Algorithm.SM2]
    key.write_bytes(sm2_public_der(signer.public))
    for content in (b"x", "电子证照".encode() * 500):
        message.write_bytes(content)
        signature = signer.sign(content)
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        verify = (
            "pkeyutl",
            "-verify",
            "-pubin",
            "-keyform",
            "DER",
            "-inkey",
            key,
            "-in",
            message,
            "-sigfile",
            der,
        )
        der.write_bytes(encode_dss_signature(r, s))
        assert openssl(*verify, *DISTID).returncode == 0
        der.write_bytes(encode_dss_signature(r, s - 1))
        assert openssl(*verify, *DISTID).returncode != 0


def test_we_verify_what_openssl_signs_with_sm2_but_not_under_another_signer_id(
    openssl: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    message, der, key = tmp_path / "message", tmp_path / "signature", tmp_path / "key.der"
    private, public = generate_key(Algorithm.SM2)
    point = sm2_public_der(public)[-65:]
    key.write_bytes(
        bytes.fromhex("30770201010420") + private + b"\xa0\x0a" + SM2_OID + b"\xa1\x44\x03\x42\0" + point
    )
    message.write_bytes(b"message")
    sign = ("pkeyutl", "-sign", "-keyform", "DER", "-inkey", key, "-in", message, "-out", der)
    for distid, expected in (("1234567812345678", True), ("someone-else", False)):
        done = openssl(*sign, "-rawin", "-digest", "sm3", "-pkeyopt", f"distid:{distid}")
        assert done.returncode == 0, done.stderr
        r, s = decode_dss_signature(der.read_bytes())
        assert holds(public, b"message", r.to_bytes(32, "big") + s.to_bytes(32, "big")) is expected
