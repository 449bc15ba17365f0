"""Nonces that say themselves until when they hold, under a keyed mark: giving one out writes nothing."""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from foundation.sensitive import Vault
from foundation.signing import decode_base64url, encode_base64url

NONCE_SECONDS: Final = 300
_SAID_BYTES: Final = 4 + 16  # until when in seconds, then chance
_MARK_BYTES: Final = 16


class Use(Enum):
    """What a nonce is for; one for another use does not hold."""

    CREDENTIAL = b"wallet nonce\0"
    DPOP = b"wallet dpop nonce\0"


class NonceInvalid(Exception):
    """Not one of ours, for another use, or over.

    Args:
        expired: it was good once.
    """

    def __init__(self, *, expired: bool) -> None:
        super().__init__("expired" if expired else "not ours")
        self.expired = expired


def new_nonce(vault: Vault, use: Use, now: datetime) -> str:
    """Return a nonce that holds for five minutes, in every process."""
    until = int(now.timestamp()) + NONCE_SECONDS
    said = until.to_bytes(4, "big") + secrets.token_bytes(_SAID_BYTES - 4)
    return encode_base64url(said + _mark(vault, use, said))


def read_nonce(vault: Vault, use: Use, nonce: str, now: datetime) -> datetime:
    """Return until when a nonce holds.

    Raises:
        NonceInvalid: it does not.
    """
    try:
        read = decode_base64url(nonce)
    except ValueError as error:
        raise NonceInvalid(expired=False) from error
    said, mark = read[:_SAID_BYTES], read[_SAID_BYTES:]
    if len(mark) != _MARK_BYTES or not hmac.compare_digest(mark, _mark(vault, use, said)):
        raise NonceInvalid(expired=False)
    until = datetime.fromtimestamp(int.from_bytes(said[:4], "big"), UTC)
    if until <= now:
        raise NonceInvalid(expired=True)
    return until


def _mark(vault: Vault, use: Use, said: bytes) -> bytes:
    return vault.fingerprint(use.value + said)
