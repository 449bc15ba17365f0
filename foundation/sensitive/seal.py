"""Sealing bytes for rest, and blind indexes to find them again."""

from __future__ import annotations

import hmac
import os
import struct

from cryptography.exceptions import InvalidTag

from foundation.sensitive.ciphers import NONCE_BYTES, TAG_BYTES, cipher
from foundation.sensitive.keyring import Keyring

BLIND_INDEX_BYTES = 16
FINGERPRINT_BYTES = 16
_VERSION = struct.Struct(">H")
_HEADER_BYTES = _VERSION.size + NONCE_BYTES


class SealBroken(ValueError):
    """Sealed bytes that were altered, moved to another place, or sealed under a key that is not here."""


class Vault:
    """Seals and opens with one keyring. Holds no other state; safe to share between threads."""

    def __init__(self, keyring: Keyring) -> None:
        self._ciphers = {version: cipher(key) for version, key in keyring.data_keys.items()}
        self._current = self._ciphers[keyring.current]
        self._header = _VERSION.pack(keyring.current)
        self._index_key = keyring.index_key

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Return key version (2 bytes) ‖ nonce (12) ‖ ciphertext and tag (16) by the key's cipher.

        Args:
            place: where the result will stand (table and row); it opens nowhere else.
        """
        nonce = os.urandom(NONCE_BYTES)
        return self._header + nonce + self._current.encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Return what was sealed for this place.

        Raises:
            SealBroken: altered, moved here from another place, or the key is missing.
        """
        if len(sealed) < _HEADER_BYTES + TAG_BYTES:
            raise SealBroken("sealed value is too short")
        (version,) = _VERSION.unpack_from(sealed)
        found = self._ciphers.get(version)
        if found is None:
            raise SealBroken(f"sealed under data key {version}, which is not in the keyring")
        try:
            return found.decrypt(sealed[2:_HEADER_BYTES], sealed[_HEADER_BYTES:], place)
        except InvalidTag as error:
            raise SealBroken("sealed value was altered or belongs to another place") from error

    def blind_index(self, kind: str, value: str) -> bytes:
        """Return 16 bytes that stand for `value` in an index: HMAC-SHA-256 under the index key, cut short.

        Args:
            kind: kind of identifier, such as `citizen-id`; equal values of two kinds do not meet.
            value: in its canonical form; the caller normalises.
        """
        message = f"{kind}\0{value}".encode()
        return hmac.digest(self._index_key, message, "sha256")[:BLIND_INDEX_BYTES]

    def fingerprint(self, canonical: bytes) -> bytes:
        """Return 16 keyed bytes that tell whether a record changed, without opening it."""
        return hmac.digest(self._index_key, b"fingerprint\0" + canonical, "sha256")[:FINGERPRINT_BYTES]
