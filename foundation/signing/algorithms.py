"""Three signature algorithms behind one small interface: P-256, Ed25519 and SM2.

All signatures are in JOSE form: the two numbers r and s (or R and S), 32 bytes each, joined (RFC 7518 §3.4,
RFC 8037 §3.1). SM2 is signed with SM3 over Z and the message (GB/T 32918.2) and put in the same form.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

import gmssl_pyx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.signing.base64url import decode_base64url, encode_base64url
from foundation.signing.canonical import canonical_json

NUMBER_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PRIVATE_BYTES: Final = 32
SM2_SIGNER_ID: Final = b"1234567812345678"
"""The signer's distinguishing ID that goes into Z (GM/T 0009-2012 §10): the default one, as everybody's."""

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SM2_ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_ED25519_PRIME: Final = 2**255 - 19
_ED25519_D: Final = -121665 * pow(121666, -1, _ED25519_PRIME) % _ED25519_PRIME
# y of the eight points whose order divides 8: under such a key one signature holds for many messages.
_ED25519_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _ED25519_PRIME - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ECDSA: Final = ec.ECDSA(SHA256())
_PROBE: Final = b"zhengtong: do the two halves of this key belong together?"


class Algorithm(StrEnum):
    """Signature algorithms by their JOSE `alg` names.

    `ES256` (RFC 7518 §3.4) and `EdDSA` with Ed25519 (RFC 8037 §3.1) are registered. `SM2SM3` is not: no JOSE name
    for SM2 is registered, so this one, and the curve name `SM2` in keys, are private to Zhengtong.
    """

    ES256 = "ES256"
    EDDSA = "EdDSA"
    SM2 = "SM2SM3"


class BadSignature(Exception):
    """The signature is not one of this key over this message, or not even of the right form."""


class BadJwk(ValueError):
    """The JWK is not a public key that we take; the message says why and holds no key material."""


class PublicKey(ABC):
    """A public key: checks signatures; compared and hashed by its bytes."""

    @property
    @abstractmethod
    def algorithm(self) -> Algorithm:
        """The one algorithm that this key is used with (RFC 8725 §3.1)."""

    @abstractmethod
    def verify(self, message: bytes, signature: bytes) -> None:
        """Return if `signature`, 64 bytes in JOSE form, is this key's over `message`.

        Raises:
            BadSignature: it is not.
        """

    @abstractmethod
    def to_jwk(self) -> dict[str, str]:
        """Return the required public members only, without `kid`, `alg` and `use` (RFC 7517, RFC 8037 §2)."""

    def thumbprint(self) -> str:
        """Return the JWK thumbprint with SHA-256 in base64url, 43 characters (RFC 7638 §3)."""
        return encode_base64url(hashlib.sha256(canonical_json(self.to_jwk())).digest())

    @staticmethod
    def from_jwk(jwk: Mapping[str, object]) -> PublicKey:
        """Read a public key from a JWK (RFC 7517 §4); members that say nothing to us are ignored.

        Raises:
            BadJwk: private members, an unknown `kty` or `crv`, an `alg` of another algorithm, a `use` or `key_ops`
                that is not for signatures, coordinates of a wrong length or spelling, or no point of the curve
                that can be a key.
        """
        private = sorted(_PRIVATE_MEMBERS.intersection(jwk))
        if private:
            raise BadJwk(f"private or symmetric members where a public key belongs: {', '.join(private)}")
        match jwk.get("kty"), jwk.get("crv"):
            case "EC", "P-256":
                key: PublicKey = _p256_public(_coordinate(jwk, "x") + _coordinate(jwk, "y"))
            case "EC", "SM2":
                key = _sm2_public(_coordinate(jwk, "x") + _coordinate(jwk, "y"))
            case "OKP", "Ed25519":
                key = _ed25519_public(_coordinate(jwk, "x"))
            case _:
                raise BadJwk("kty and crv name no key that is taken here")
        if "alg" in jwk and jwk["alg"] != key.algorithm.value:
            raise BadJwk(f"alg is not {key.algorithm.value}, which this key is for")
        if "use" in jwk and jwk["use"] != "sig":
            raise BadJwk("use is not sig")
        if "key_ops" in jwk:
            operations = jwk["key_ops"]
            if not isinstance(operations, list) or "verify" not in operations:
                raise BadJwk("key_ops does not allow verify")
        return key


class Signer(Protocol):
    """A private key in use."""

    @property
    def kid(self) -> str:
        """Key ID that goes into headers (RFC 7515 §4.1.4)."""

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm of the signatures."""

    @property
    def public(self) -> PublicKey:
        """The key that checks the signatures."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature over `message`: 64 bytes in JOSE form."""


@dataclass(frozen=True, slots=True)
class P256PublicKey(PublicKey):
    """A P-256 key for ES256; `point` is x and y, 32 bytes each, big-endian."""

    point: bytes
    key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @property
    def algorithm(self) -> Algorithm:
        return Algorithm.ES256

    def verify(self, message: bytes, signature: bytes) -> None:
        r, s = _numbers(signature, _P256_ORDER)
        try:
            self.key.verify(encode_dss_signature(r, s), message, _ECDSA)
        except InvalidSignature as error:
            raise BadSignature("the signature does not belong to this key and message") from error

    def to_jwk(self) -> dict[str, str]:
        return _ec_jwk("P-256", self.point)


@dataclass(frozen=True, slots=True)
class Ed25519PublicKey(PublicKey):
    """An Ed25519 key for EdDSA; `point` is the 32 bytes of RFC 8032 §5.1.5."""

    point: bytes
    key: ed25519.Ed25519PublicKey = field(repr=False, compare=False)

    @property
    def algorithm(self) -> Algorithm:
        return Algorithm.EDDSA

    def verify(self, message: bytes, signature: bytes) -> None:
        if len(signature) != SIGNATURE_BYTES:
            raise BadSignature("the signature is not 64 bytes long")
        try:
            self.key.verify(signature, message)
        except InvalidSignature as error:
            raise BadSignature("the signature does not belong to this key and message") from error

    def to_jwk(self) -> dict[str, str]:
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(self.point)}


@dataclass(frozen=True, slots=True)
class Sm2PublicKey(PublicKey):
    """An SM2 key for SM2 with SM3 (GB/T 32918.2); `point` is x and y, 32 bytes each, big-endian."""

    point: bytes

    @property
    def algorithm(self) -> Algorithm:
        return Algorithm.SM2

    def verify(self, message: bytes, signature: bytes) -> None:
        r, s = _numbers(signature, _SM2_ORDER)
        if (r + s) % _SM2_ORDER == 0:  # GB/T 32918.2 §7.1 step B5
            raise BadSignature("r and s cancel each other out")
        try:
            holds = gmssl_pyx.sm2_verify(self.point, message, encode_dss_signature(r, s), SM2_SIGNER_ID)
        except gmssl_pyx.GmsslInnerError as error:
            raise BadSignature("the signature cannot be checked") from error
        if holds is not True:
            raise BadSignature("the signature does not belong to this key and message")

    def to_jwk(self) -> dict[str, str]:
        return _ec_jwk("SM2", self.point)


@dataclass(frozen=True, slots=True)
class P256Signer:
    """Signs ES256 (RFC 7518 §3.4)."""

    kid: str
    public: PublicKey
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def algorithm(self) -> Algorithm:
        return Algorithm.ES256

    def sign(self, message: bytes) -> bytes:
        return _joined(self.private_key.sign(message, _ECDSA))


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """Signs EdDSA (RFC 8037 §3.1); the same message gives the same signature."""

    kid: str
    public: PublicKey
    private_key: ed25519.Ed25519PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> Algorithm:
        return Algorithm.EDDSA

    def sign(self, message: bytes) -> bytes:
        return self.private_key.sign(message)


@dataclass(frozen=True, slots=True)
class Sm2Signer:
    """Signs SM2 with SM3 (GB/T 32918.2 §6.1); takes milliseconds."""

    kid: str
    public: Sm2PublicKey
    private_key: bytes = field(repr=False)

    @property
    def algorithm(self) -> Algorithm:
        return Algorithm.SM2

    def sign(self, message: bytes) -> bytes:
        return _joined(gmssl_pyx.sm2_sign(self.private_key, self.public.point, message, SM2_SIGNER_ID))


def generate_key(algorithm: Algorithm) -> tuple[bytes, PublicKey]:
    """Make a key pair from the system's randomness: the private half as 32 bytes, and the public half.

    The private half is the scalar d, big-endian, or the seed of RFC 8032 §5.1.5.
    """
    match algorithm:
        case Algorithm.ES256:
            scalar = ec.generate_private_key(ec.SECP256R1())
            private = scalar.private_numbers().private_value.to_bytes(PRIVATE_BYTES, "big")
            return private, _p256_of(scalar.public_key())
        case Algorithm.EDDSA:
            seed = ed25519.Ed25519PrivateKey.generate()
            return seed.private_bytes_raw(), _ed25519_public(seed.public_key().public_bytes_raw())
        case Algorithm.SM2:
            point, private = gmssl_pyx.sm2_key_generate()
            return private, _sm2_public(point)


def load_signer(private: bytes, public: PublicKey, kid: str | None = None) -> Signer:
    """Return the signer of a key pair in the form of `generate_key`; the default `kid` is the thumbprint.

    Raises:
        ValueError: the private half is not one, or not of this public half.
    """
    name = public.thumbprint() if kid is None else kid
    if len(private) != PRIVATE_BYTES:
        raise ValueError("a private key has 32 bytes")
    match public:
        case P256PublicKey():
            scalar = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
            signer: Signer = P256Signer(name, public, scalar)
        case Ed25519PublicKey():
            signer = Ed25519Signer(name, public, ed25519.Ed25519PrivateKey.from_private_bytes(private))
        case Sm2PublicKey():
            if not 0 < int.from_bytes(private, "big") < _SM2_ORDER - 1:  # GB/T 32918.2 §5.2
                raise ValueError("the number is not a private key")
            signer = Sm2Signer(name, public, private)
        case _:
            raise ValueError("no signer for this kind of key")
    # A probe works for all three alike: the SM2 library does not compute a public half from a private one.
    try:
        public.verify(_PROBE, signer.sign(_PROBE))
    except BadSignature as error:
        raise ValueError("the private half does not belong to the public half") from error
    return signer


def new_signer(algorithm: Algorithm, kid: str | None = None) -> Signer:
    """Return a signer with a fresh key that is kept nowhere; the default `kid` is the thumbprint."""
    private, public = generate_key(algorithm)
    return load_signer(private, public, kid)


def _numbers(signature: bytes, order: int) -> tuple[int, int]:
    if len(signature) != SIGNATURE_BYTES:
        raise BadSignature("the signature is not 64 bytes long")
    r = int.from_bytes(signature[:NUMBER_BYTES], "big")
    s = int.from_bytes(signature[NUMBER_BYTES:], "big")
    if not (0 < r < order and 0 < s < order):
        raise BadSignature("r or s is out of range")
    return r, s


def _joined(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(NUMBER_BYTES, "big") + s.to_bytes(NUMBER_BYTES, "big")


def _ec_jwk(curve: str, point: bytes) -> dict[str, str]:
    return {
        "kty": "EC",
        "crv": curve,
        "x": encode_base64url(point[:NUMBER_BYTES]),
        "y": encode_base64url(point[NUMBER_BYTES:]),
    }


def _coordinate(jwk: Mapping[str, object], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str):
        raise BadJwk(f"{name} is missing or not text")
    try:
        decoded = decode_base64url(text)
    except ValueError as error:
        raise BadJwk(f"{name} is not base64url") from error
    if len(decoded) != NUMBER_BYTES:  # RFC 7518 §6.2.1.2: the full size of the field, zeros in front included
        raise BadJwk(f"{name} is not 32 bytes long")
    return decoded


def _p256_public(point: bytes) -> P256PublicKey:
    try:
        return P256PublicKey(
            point, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + point)
        )
    except ValueError as error:
        raise BadJwk("x and y are not a point of P-256") from error


def _p256_of(key: ec.EllipticCurvePublicKey) -> P256PublicKey:
    return P256PublicKey(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:], key)


def _sm2_public(point: bytes) -> Sm2PublicKey:
    try:
        return Sm2PublicKey(gmssl_pyx.normalize_sm2_public_key(point))
    except gmssl_pyx.GmsslInnerError as error:
        raise BadJwk("x and y are not a point of the SM2 curve") from error


def _ed25519_public(point: bytes) -> Ed25519PublicKey:
    # The library takes any 32 bytes and fails at the first signature; a key must be refused when registered.
    y = int.from_bytes(point, "little") & ((1 << 255) - 1)
    if y >= _ED25519_PRIME or y in _ED25519_SMALL_ORDER:
        raise BadJwk("x is not a point of Ed25519 that can be a key")
    square = (y * y - 1) * pow(_ED25519_D * y * y + 1, -1, _ED25519_PRIME) % _ED25519_PRIME  # RFC 8032 §5.1.3
    if pow(square, (_ED25519_PRIME - 1) // 2, _ED25519_PRIME) != 1:
        raise BadJwk("x is not a point of Ed25519")
    return Ed25519PublicKey(point, ed25519.Ed25519PublicKey.from_public_bytes(point))
