"""Status lists (IETF Token Status List): the state of every licence in two bits, signed, for offline verifiers."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

import orjson

from foundation.errors import DomainError
from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJws,
    PublicKey,
    Signer,
    canonical_json,
    decode_base64url,
    encode_base64url,
    sign_compact,
    verify_compact,
)

TYPE = "statuslist+jwt"
BITS = 2
LIST_ENTRIES = 1 << 16
_BYTES = LIST_ENTRIES * BITS // 8


class StatusListInvalid(DomainError):
    code = "status-list-invalid"


class Status(IntEnum):
    """Values of Token Status List §7.1."""

    VALID = 0
    INVALID = 1
    SUSPENDED = 2


def status_of_state(state: str) -> Status:
    """Return what a verifier is told of a licence state (`01` to `07`, `99`)."""
    return {"01": Status.VALID, "02": Status.SUSPENDED}.get(state, Status.INVALID)


def encode(statuses: Iterable[tuple[int, Status]]) -> str:
    """Return the compressed list (§4.1): all entries valid except those given as (index, status)."""
    packed = bytearray(_BYTES)
    for index, status in statuses:
        packed[index // 4] |= status << (index % 4 * BITS)
    return encode_base64url(zlib.compress(bytes(packed), 9))


def sign_list(
    signer: Signer, uri: str, statuses: Iterable[tuple[int, Status]], *, now: int, ttl: int, lives: int
) -> str:
    """Return the status list token (§5.1). `ttl` and `lives` are seconds: refresh by, and valid for."""
    claims = {
        "sub": uri,
        "iat": now,
        "exp": now + lives,
        "ttl": ttl,
        "status_list": {"bits": BITS, "lst": encode(statuses)},
    }
    return sign_compact(signer, canonical_json(claims), TYPE)


def read_status(token: str, keys: Mapping[str, PublicKey], uri: str, index: int, now: int) -> Status:
    """Return one licence's status from a token (§8.3).

    Raises:
        StatusListInvalid: wrongly signed, for another list, expired, or too short for the index.
    """
    try:
        verified = verify_compact(token, keys, TYPE, frozenset(Algorithm))
        claims: dict[str, Any] = orjson.loads(verified.payload)
        said = claims["status_list"]
        packed = decode_base64url(said["lst"])
        # Bounded: a hostile list must not fill the memory.
        inflated = zlib.decompressobj().decompress(packed, 1 << 22)
    except BadJws as error:
        raise StatusListInvalid(_("the signature does not hold: {reason}"), reason=error.code) from error
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise StatusListInvalid(_("the status list is malformed")) from error
    if claims.get("sub") != uri or said.get("bits") != BITS:
        raise StatusListInvalid(_("the status list is another one"))
    if not isinstance(claims.get("exp"), int) or claims["exp"] <= now:
        raise StatusListInvalid(_("the status list has expired"))
    if not 0 <= index < len(inflated) * 4:
        raise StatusListInvalid(_("the status list is too short"))
    value = inflated[index // 4] >> (index % 4 * BITS) & 0b11
    try:
        return Status(value)
    except ValueError as error:
        raise StatusListInvalid(_("the status list is malformed")) from error
