"""Answers of wallets that only who asked can read (OpenID4VP 1.0 §8.3, `direct_post.jwt`): one key for one request.

The key agreement is ECDH-ES on P-256; the wallet chooses A128GCM or A256GCM (HAIP asks that verifiers know both). The
private key stands sealed beside its request and goes with the answer, so that nobody reads an old answer by it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from foundation.language import _
from license_registry.wallets.errors import AnswerRefused

KEY_AGREEMENT: Final = "ECDH-ES"
CIPHERS: Final = ("A128GCM", "A256GCM")

LARGEST: Final = 400_000
"""Characters of an encrypted answer: what is taken in clear, and what encrypting adds."""


class _Registry(jwe.JWERegistry):
    max_ciphertext_length = LARGEST


# What is not named here is refused, compression too: a small answer cannot become a large one.
_REGISTRY: Final = _Registry(algorithms=[KEY_AGREEMENT, *CIPHERS], strict_check_header=False)


def new_key(kid: str) -> bytes:
    """Return a fresh private key as JWK, to be sealed."""
    key: dict[str, Any] = dict(ECKey.generate_key("P-256").as_dict(private=True))
    return orjson.dumps({name: key[name] for name in ("kty", "crv", "x", "y", "d")} | {"kid": kid})


def public_half(private: bytes) -> dict[str, str]:
    """Return the JWK that wallets encrypt to."""
    key: dict[str, str] = orjson.loads(private)
    return {name: value for name, value in key.items() if name != "d"} | {"use": "enc", "alg": KEY_AGREEMENT}


def opened(private: bytes, response: str) -> Mapping[str, Any]:
    """Return the members of an encrypted answer.

    Raises:
        AnswerRefused: it is no JWE to this key by an algorithm that was offered, or holds no JSON object.
    """
    key: dict[str, Any] = orjson.loads(private)
    try:
        read = jwe.decrypt_compact(response.encode("ascii"), ECKey.import_key(key), registry=_REGISTRY)
        header = read.headers()
    except (JoseError, ValueError, TypeError, KeyError) as error:
        # The library lets errors of the curve and of the cipher through as they are.
        raise AnswerRefused(_("the answer cannot be decrypted with the key of this request")) from error
    if header.get("kid", key["kid"]) != key["kid"] or "crit" in header:
        raise AnswerRefused(_("the answer cannot be decrypted with the key of this request"))
    try:
        said = orjson.loads(read.plaintext or b"")
    except orjson.JSONDecodeError as error:
        raise AnswerRefused(_("the encrypted answer is no JSON object")) from error
    if not isinstance(said, dict):
        raise AnswerRefused(_("the encrypted answer is no JSON object"))
    return said
