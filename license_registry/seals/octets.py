"""Octets of seals and stamps whose form differs from maker to maker: signatures, and the time stamp at the end."""

from __future__ import annotations

from typing import Final

from asn1crypto import core, parser
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

_HALF: Final = 32
_CONTEXT: Final = 2


def signature_der(joined: bytes) -> bytes:
    """Return a signature of 64 bytes in JOSE form as SEQUENCE(r, s)."""
    r, s = (int.from_bytes(half, "big") for half in (joined[:_HALF], joined[_HALF:]))
    return encode_dss_signature(r, s)


def signature_joined(signature: bytes) -> bytes:
    """Return a signature in JOSE form; some makers write that one where SEQUENCE(r, s) belongs.

    Raises:
        ValueError: it is neither.
    """
    if len(signature) == 2 * _HALF:
        return signature
    try:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")
    except OverflowError as error:
        raise ValueError("r or s is out of range") from error


def first_four(der: bytes) -> tuple[bytes, bytes | None]:
    """Return a structure with its first four parts alone, and the fifth, a time stamp, whose form differs."""
    _kind, _method, _tag, _header, content, _trailer = parser.parse(der, strict=True)
    parts: list[bytes] = []
    while content:
        _kind, _method, _tag, header, inner, trailer = parser.parse(content)
        size = len(header) + len(inner) + len(trailer)
        parts.append(bytes(content[:size]))
        content = content[size:]
    if len(parts) > 5:
        raise ValueError("more parts than there are")
    four = parser.emit(0, 1, core.Sequence.tag, b"".join(parts[:4]))
    return bytes(four), parts[4] if len(parts) == 5 else None


def time_stamp_in(told: bytes) -> bytes:
    """Return the token in the last field of a stamp: [0] around a BIT STRING; some makers leave out one or both."""
    kind, _method, tag, _header, content, _trailer = parser.parse(told, strict=True)
    if kind == _CONTEXT:
        told = bytes(content)
        _kind, _method, tag, _header, content, _trailer = parser.parse(told, strict=True)
    if tag == core.BitString.tag:
        return bytes(content[1:])  # after the count of unused bits
    return bytes(content) if tag == core.OctetString.tag else told
