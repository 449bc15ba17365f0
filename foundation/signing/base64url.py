"""Base64url without padding (RFC 7515 §2), read strictly: every text that is read has one spelling only."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# What belongs to the other alphabet only becomes a character of neither.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
# Last characters whose bits beyond the last byte are zero, by the length of the last group.
_LAST: Final = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}


def encode_base64url(data: bytes) -> str:
    """Return bytes as base64url without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Read base64url without padding.

    Raises:
        ValueError: padding, white space, a character of another alphabet, an impossible length, or bits set
            beyond the last byte (RFC 4648 §3.5: two spellings of one value would let a token be re-spelled).
    """
    beyond = len(text) & 3
    padding = _PADDING.get(beyond)
    if padding is None:
        raise ValueError("not base64url")
    if beyond and text[-1] not in _LAST[beyond]:
        raise ValueError("not base64url in its canonical spelling")
    try:
        return binascii.a2b_base64(text.encode("ascii").translate(_FROM_URL) + padding, strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64url") from error


def decode_all(texts: Sequence[str]) -> list[bytes]:
    """Read several texts as `decode_base64url` does, in fewer steps.

    Raises:
        ValueError: as there, for any of them.
    """
    if not texts:
        return []
    decoded = []
    try:
        spelled = " ".join(texts).encode("ascii").translate(_FROM_URL).split(b" ")
        for text, other in zip(texts, spelled, strict=True):
            beyond = len(text) & 3
            if beyond and (beyond == 1 or text[-1] not in _LAST[beyond]):
                raise ValueError("not base64url in its canonical spelling")
            decoded.append(binascii.a2b_base64(other + _PADDING[beyond], strict_mode=True))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64url") from error
    return decoded
