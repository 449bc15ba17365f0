"""Data keys under an envelope key, with rotation.

The master key wraps an *index key* (fixed for the life of the data: every blind index depends on it) and any
number of numbered *data keys*. New rows are sealed under the newest; old rows name the key they were sealed
under, so that rotation is instant and re-sealing can follow at leisure.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.sensitive.ciphers import CIPHER_NAMES, KEY_BYTES, NONCE_BYTES, CipherName

WRAPPING_KEY_BYTES = 32
FILE_NAME = "data-keys.json"


class KeyringError(RuntimeError):
    """The key file cannot be used; the message names the file and why, never key material."""


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """Unwrapped keys, in memory only: `current` is the version that new rows are sealed under.

    The length of a data key tells its cipher (`ciphers.cipher`).
    """

    index_key: bytes
    data_keys: Mapping[int, bytes]
    current: int


def open_keyring(folder: Path, master_key: bytes, now: datetime, cipher: CipherName | None = None) -> Keyring:
    """Read the keys of `folder`, making them at the first start; safe for two processes at once.

    Args:
        cipher: that new rows are to be sealed by; where the current key is for another, a new key is made. None:
            whatever is current.

    Raises:
        KeyringError: the file is damaged, or the master key is not the one it was wrapped under.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(folder):
        path = folder / FILE_NAME
        if not path.exists():
            first = {
                "index": _wrap(secrets.token_bytes(WRAPPING_KEY_BYTES), master_key, "index"),
                "data": {"1": _new_data_key(1, cipher or CIPHER_NAMES[0], master_key, now)},
            }
            _write(path, first)
        stored = _read(path)
        keyring = _unwrapped(path, stored, master_key)
        if cipher is not None and len(keyring.data_keys[keyring.current]) != KEY_BYTES[cipher]:
            return _with_new_key(path, stored, cipher, master_key, now)
        return keyring


def rotate_data_key(folder: Path, master_key: bytes, now: datetime) -> Keyring:
    """Add a data key for the same cipher and make it current; rows sealed under older ones stay readable."""
    open_keyring(folder, master_key, now)
    with _locked(folder):
        path = folder / FILE_NAME
        stored = _read(path)
        keyring = _unwrapped(path, stored, master_key)
        used = len(keyring.data_keys[keyring.current])
        (cipher,) = (name for name, length in KEY_BYTES.items() if length == used)
        return _with_new_key(path, stored, cipher, master_key, now)


def _with_new_key(
    path: Path, stored: dict[str, Any], cipher: CipherName, master_key: bytes, now: datetime
) -> Keyring:
    version = max(int(number) for number in stored["data"]) + 1
    stored["data"][str(version)] = _new_data_key(version, cipher, master_key, now)
    _write(path, stored)
    return _unwrapped(path, stored, master_key)


def _new_data_key(version: int, cipher: CipherName, master_key: bytes, now: datetime) -> dict[str, str]:
    wrapped = _wrap(secrets.token_bytes(KEY_BYTES[cipher]), master_key, f"data:{version}")
    return {"wrapped": wrapped, "cipher": cipher, "created_at": now.isoformat()}


def _envelope(master_key: bytes) -> AESGCM:
    derived = HKDF(SHA256(), WRAPPING_KEY_BYTES, salt=None, info=b"zhengtong data-key envelope").derive(
        master_key
    )
    return AESGCM(derived)


def _wrap(key: bytes, master_key: bytes, name: str) -> str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return base64.b64encode(nonce + _envelope(master_key).encrypt(nonce, key, name.encode())).decode()


def _unwrap(wrapped: str, master_key: bytes, name: str) -> bytes:
    data = base64.b64decode(wrapped, validate=True)
    return _envelope(master_key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], name.encode())


def _unwrapped(path: Path, stored: dict[str, Any], master_key: bytes) -> Keyring:
    try:
        data_keys = {
            int(version): _unwrap(entry["wrapped"], master_key, f"data:{version}")
            for version, entry in stored["data"].items()
        }
        return Keyring(_unwrap(stored["index"], master_key, "index"), data_keys, max(data_keys))
    except InvalidTag as error:
        raise KeyringError(f"{path}: the master key is not the one these keys were wrapped under") from error
    except (KeyError, TypeError, ValueError) as error:
        raise KeyringError(f"{path}: damaged key file ({type(error).__name__})") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise KeyringError(f"{path}: damaged key file (not JSON)") from error
    if not isinstance(stored, dict):
        raise KeyringError(f"{path}: damaged key file (not an object)")
    return stored


def _write(path: Path, stored: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(stored, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


class _locked:  # noqa: N801 -- reads as a verb phrase in `with _locked(folder)`
    def __init__(self, folder: Path) -> None:
        self._path = folder / ".data-keys.lock"

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
