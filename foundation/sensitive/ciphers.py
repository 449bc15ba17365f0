"""The two ciphers that a data key can be for, behind one interface."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CipherName = Literal["aes-256-gcm", "sm4-gcm"]
CIPHER_NAMES: tuple[CipherName, ...] = get_args(CipherName)
KEY_BYTES: dict[CipherName, int] = {"aes-256-gcm": 32, "sm4-gcm": 16}
NONCE_BYTES = 12
TAG_BYTES = 16


class Aead(Protocol):
    """Authenticated encryption with associated data; 12-byte nonces, 16-byte tags behind the ciphertext."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Return ciphertext and tag."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Return the plaintext; raise InvalidTag where anything was altered."""


class Sm4Gcm:
    """SM4 (GB/T 32907) in Galois/Counter Mode, as RFC 8998 uses it."""

    def __init__(self, key: bytes) -> None:
        self._algorithm = algorithms.SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Return ciphertext and tag."""
        worker = Cipher(self._algorithm, modes.GCM(nonce)).encryptor()
        worker.authenticate_additional_data(associated_data or b"")
        return worker.update(data) + worker.finalize() + worker.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        """Return the plaintext.

        Raises:
            InvalidTag: something was altered, or is too short to hold a tag.
        """
        if len(data) < TAG_BYTES:
            raise InvalidTag
        worker = Cipher(self._algorithm, modes.GCM(nonce, data[-TAG_BYTES:])).decryptor()
        worker.authenticate_additional_data(associated_data or b"")
        return worker.update(data[:-TAG_BYTES]) + worker.finalize()


def cipher(key: bytes) -> Aead:
    """Return the cipher of a data key, told by its length: 32 bytes AES-256-GCM, 16 bytes SM4-GCM.

    Raises:
        ValueError: another length.
    """
    if len(key) == KEY_BYTES["aes-256-gcm"]:
        return AESGCM(key)
    if len(key) == KEY_BYTES["sm4-gcm"]:
        return Sm4Gcm(key)
    raise ValueError(f"a data key has 32 or 16 bytes, not {len(key)}")
