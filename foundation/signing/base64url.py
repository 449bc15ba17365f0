"""Base64url without padding (RFC 7515 §2), read strictly: every text that is read has one spelling only."""

from __future__ import annotations

import base64
import binascii


def encode_base64url(data: bytes) -> str:
    """Return bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Read base64url without padding.

    Raises:
        ValueError: padding, white space, a character of another alphabet, an impossible length, or bits set
            beyond the last byte (RFC 4648 §3.5: two spellings of one value would let a token be re-spelled).
    """
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64url") from error
    # The decoder skips what it does not know; only the one spelling that we would write ourselves is taken.
    if encode_base64url(decoded) != text:
        raise ValueError("not base64url in its canonical spelling")
    return decoded
