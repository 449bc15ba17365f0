"""Sealing bytes for rest, and blind indexes to find them again."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

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
        # Copied for each message: setting up the key costs more than a short message.
        self._keyed = HMAC(keyring.index_key, SHA256())

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Return key version (2 bytes) ‖ nonce (12) ‖ ciphertext and tag (16) by the key's cipher.

        Args:
            place: where the result will stand (table and row); it opens nowhere else.
        """
        nonce = os.urandom(NONCE_BYTES)
        return self._header + nonce + self._current.encrypt(nonce, plain, place)

    def seal_all(self, plains: Sequence[bytes], places: Iterable[bytes]) -> list[bytes]:
        """Return what `seal` does for each of several messages in its place; their nonces are drawn at once."""
        drawn = os.urandom(NONCE_BYTES * len(plains))
        nonces = [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]
        header, encrypt = self._header, self._current.encrypt
        return [
            header + nonce + encrypt(nonce, plain, place)
            for nonce, plain, place in zip(nonces, plains, places, strict=True)
        ]

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
        return self.blinder(kind)(value)

    def blinder(self, kind: str) -> Callable[[str], bytes]:
        """Return what gives the blind index of values of one kind."""
        copy = self._of_kind(kind).copy

        def blind(value: str) -> bytes:
            keyed = copy()
            keyed.update(value.encode())
            return keyed.finalize()[:BLIND_INDEX_BYTES]

        return blind

    def _of_kind(self, kind: str) -> HMAC:
        keyed = self._keyed.copy()
        keyed.update(kind.encode() + b"\0")
        return keyed

    def fingerprint(self, canonical: bytes) -> bytes:
        """Return 16 keyed bytes that tell whether a record changed, without opening it."""
        return self.fingerprints([canonical])[0]

    def fingerprints(self, canonicals: Iterable[bytes]) -> list[bytes]:
        """Return the fingerprint of each of several records."""
        copy = self._of_kind("fingerprint").copy
        found: list[bytes] = []
        for canonical in canonicals:
            keyed = copy()
            keyed.update(canonical)
            found.append(keyed.finalize()[:FINGERPRINT_BYTES])
        return found
