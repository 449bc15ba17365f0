"""Signing keys in a folder: one JSON file per key, its private half encrypted under the master key.

Every change is made under a lock, file by file, each replaced whole; `rotate` orders its writes so that after
a crash at any of them exactly one key per purpose is active (see `foundation.signing.keys.settled`).
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from foundation.signing.algorithms import Algorithm, PublicKey, Signer, generate_key, load_signer
from foundation.signing.canonical import canonical_json
from foundation.signing.keys import (
    CA_PURPOSES,
    KeyRecord,
    KeyState,
    KeyStateError,
    activated,
    new_record,
    retired,
    settled,
)

MASTER_KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
SUFFIX: Final = ".key.json"
REVOKED: Final = "revoked.json"
_TICK: Final = timedelta(microseconds=1)


class KeyStoreError(RuntimeError):
    """The store or a file of it cannot be used; the message names it and why, never key material."""


@dataclass(frozen=True, slots=True)
class _Entry:
    record: KeyRecord
    written_state: KeyState
    public: PublicKey
    signer: Signer | None  # none for a retired key: it must not sign
    private: Mapping[str, str]  # as in the file, encrypted

    def is_for(self, purpose: str, state: KeyState) -> bool:
        return self.record.purpose == purpose and self.record.state is state


_Traces = frozenset[tuple[str, int, int, int]]


@dataclass(frozen=True, slots=True)
class _Contents:
    traces: _Traces
    entries: Mapping[str, _Entry]
    active: Mapping[str, Signer]
    revoked: Mapping[str, datetime]


class KeyStore:
    """All signing keys of one installation, by purpose; at most one is active per purpose.

    Safe for several threads and several processes on one folder. What another process changed is seen after
    `reload`.

    Args:
        directory: made with mode 0700 if it is not there.
        master_key: 32 bytes.

    Raises:
        ValueError: the master key is not 32 bytes.
        KeyStoreError: a file is damaged, or was written under another master key.
    """

    def __init__(self, directory: Path, master_key: bytes) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise ValueError("the master key must have 32 bytes")
        self._directory = directory
        self._master_key = master_key
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(directory, exclusive=False):
            self._contents = self._read()

    @property
    def directory(self) -> Path:
        """Folder of the key files."""
        return self._directory

    @property
    def edition(self) -> object:
        """What compares equal as long as nothing in memory has changed."""
        return self._contents.traces

    def create(self, purpose: str, algorithm: Algorithm, state: KeyState, now: datetime) -> KeyRecord:
        """Make a key and keep it.

        Raises:
            KeyStateError: the purpose has a key in that state already, or the state is retired.
        """
        with self._changing():
            if any(entry.is_for(purpose, state) for entry in self._contents.entries.values()):
                raise KeyStateError(f"{purpose}: has a key that is {state} already")
            return self._make(purpose, algorithm, state, now)

    def ensure_active(self, purpose: str, algorithm: Algorithm, now: datetime) -> KeyRecord:
        """Return the active key of a purpose; if there is none, the next one becomes it, or a new one is made.

        Raises:
            KeyStateError: the key at hand is of another algorithm.
        """
        if purpose not in self._contents.active:
            with self._changing():
                upcoming = self._only(purpose, KeyState.NEXT)
                if purpose in self._contents.active:
                    pass  # another process was faster
                elif upcoming is None:
                    return self._make(purpose, algorithm, KeyState.ACTIVE, now)
                elif upcoming.record.algorithm is algorithm:
                    self._rewrite(upcoming, activated(upcoming.record, max(now, upcoming.record.created_at)))
                else:
                    raise KeyStateError(f"{purpose}: the next key is for {upcoming.record.algorithm}")
        record = self._contents.entries[self._contents.active[purpose].kid].record
        if record.algorithm is not algorithm:
            raise KeyStateError(f"{purpose}: the active key is for {record.algorithm}")
        return record

    def signer(self, purpose: str) -> Signer:
        """Return the active key of a purpose, from memory.

        Raises:
            KeyStoreError: the purpose has none.
        """
        try:
            return self._contents.active[purpose]
        except KeyError as error:
            raise KeyStoreError(f"{self._directory}: no active key for {purpose}") from error

    def rotate(self, purpose: str, now: datetime) -> KeyRecord:
        """Let the next key become the active one, and return it; the active one retires, a new next is made.

        1. Finish what an earlier rotation left undone.
        2. If there is no next key, make one.
        3. Write it as active: from here on it is, though the old one still says that it is too.
        4. Write the old one as retired.
        5. Make the next key.

        Raises:
            KeyStoreError: the purpose has neither an active nor a next key.
        """
        with self._changing():
            for entry in self._contents.entries.values():
                if entry.record.purpose == purpose and entry.record.state is not entry.written_state:
                    self._rewrite(entry, entry.record)
            current = self._only(purpose, KeyState.ACTIVE)
            upcoming = self._only(purpose, KeyState.NEXT)
            if upcoming is None:
                if current is None:
                    raise KeyStoreError(f"{self._directory}: no key for {purpose} to rotate")
                self._make(purpose, current.record.algorithm, KeyState.NEXT, now)
                upcoming = self._only(purpose, KeyState.NEXT)
                assert upcoming is not None
            moment = max(now, upcoming.record.created_at)
            if current is not None and current.record.activated_at is not None:
                # A clock that was set back must not make the old key look like the one activated last.
                moment = max(moment, current.record.activated_at + _TICK)
            record = activated(upcoming.record, moment)
            self._rewrite(upcoming, record)
            if current is not None:
                self._rewrite(current, retired(current.record, moment))
            self._make(purpose, record.algorithm, KeyState.NEXT, moment)
            return record

    def records(self, purpose: str | None = None) -> tuple[KeyRecord, ...]:
        """Return the descriptions of all keys, or of one purpose, oldest first."""
        known = [entry.record for entry in self._contents.entries.values()]
        chosen = [record for record in known if purpose is None or record.purpose == purpose]
        return tuple(sorted(chosen, key=lambda record: (record.created_at, record.kid)))

    def verification_keys(self, purpose: str | None = None) -> dict[str, PublicKey]:
        """Return public keys by `kid`: next, active and retired, of one purpose or of all; never a revoked one.

        All does not include the keys of root certificates: a token that it signed must never hold.
        """
        return {
            kid: entry.public
            for kid, entry in self._contents.entries.items()
            if (
                entry.record.purpose == purpose
                or (purpose is None and entry.record.purpose not in CA_PURPOSES)
            )
            and kid not in self._contents.revoked
        }

    def revoke(self, kid: str, now: datetime) -> None:
        """Let nothing count any more that a key has signed, whatever date stands in it: others may have it.

        Raises:
            KeyStateError: no such key, or it still signs; it is to be rotated away first.
        """
        with self._changing():
            entry = self._contents.entries.get(kid)
            if entry is None:
                raise KeyStateError(f"{kid}: no such key")
            if entry.record.state is KeyState.ACTIVE:
                raise KeyStateError(f"{kid}: signs for {entry.record.purpose}; rotate it away first")
            told = {each: moment.isoformat() for each, moment in self._contents.revoked.items()}
            told.setdefault(kid, now.isoformat())
            write_whole(
                self._directory / REVOKED,
                orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE),
            )
            self._contents = self._read()

    def revoked(self) -> dict[str, tuple[PublicKey, datetime]]:
        """Return the keys that were revoked, and when."""
        return {
            kid: (self._contents.entries[kid].public, moment)
            for kid, moment in self._contents.revoked.items()
            if kid in self._contents.entries
        }

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the keys of `verification_keys` as a JWK set (RFC 7517 §5), each with `kid`, `alg` and `use`.

        SM2 keys are among them; a reader that does not know their `kty` and `crv` skips them (§5).
        """
        return {
            "keys": [
                {**key.to_jwk(), "kid": kid, "alg": key.algorithm.value, "use": "sig"}
                for kid, key in self.verification_keys().items()
            ]
        }

    def reload(self) -> bool:
        """Read the folder again if a file of it changed, and say whether it did.

        Raises:
            KeyStoreError: as at opening; the keys in memory then stay as they are.
        """
        if self._traces() == self._contents.traces:
            return False
        with locked(self._directory, exclusive=False):
            self._contents = self._read()
        return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with locked(self._directory, exclusive=True):
            self._contents = self._read()
            yield

    def _only(self, purpose: str, state: KeyState) -> _Entry | None:
        found = [entry for entry in self._contents.entries.values() if entry.is_for(purpose, state)]
        return min(found, key=lambda entry: (entry.record.created_at, entry.record.kid), default=None)

    def _make(self, purpose: str, algorithm: Algorithm, state: KeyState, now: datetime) -> KeyRecord:
        private, public = generate_key(algorithm)
        record = new_record(public.thumbprint(), algorithm, purpose, state, now)
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = _cipher(self._master_key, record.kid).encrypt(nonce, private, _bound(record, public))
        self._write(
            record,
            public,
            {"nonce": base64.b64encode(nonce).decode(), "sealed": base64.b64encode(sealed).decode()},
        )
        return record

    def _rewrite(self, entry: _Entry, record: KeyRecord) -> None:
        self._write(record, entry.public, entry.private)

    def _write(self, record: KeyRecord, public: PublicKey, private: Mapping[str, str]) -> None:
        content = {
            "kid": record.kid,
            "algorithm": record.algorithm,
            "purpose": record.purpose,
            "state": record.state,
            "created_at": record.created_at,
            "activated_at": record.activated_at,
            "retired_at": record.retired_at,
            "public": public.to_jwk(),
            "private": dict(private),
        }
        path = self._directory / f"{record.kid}{SUFFIX}"
        write_whole(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        self._contents = self._read()

    def _traces(self) -> _Traces:
        # A replaced file has another inode, so that two changes within one tick of the clock are told apart.
        paths = [*self._directory.glob(f"*{SUFFIX}"), *self._directory.glob(REVOKED)]
        stats = ((path.name, path.stat()) for path in paths)
        return frozenset((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in stats)

    def _read(self) -> _Contents:
        traces = self._traces()
        found = [self._open(self._directory / name) for name, *_ in sorted(traces) if name != REVOKED]
        entries = {}
        active = {}
        for record, (written, private, public, stored) in zip(
            settled(written for written, *_ in found), found, strict=True
        ):
            signer = None
            if record.state is not KeyState.RETIRED:
                signer = self._signer(record.kid, private, public)
            entries[record.kid] = _Entry(record, written.state, public, signer, stored)
            if signer is not None and record.state is KeyState.ACTIVE:
                active[record.purpose] = signer
        return _Contents(traces, entries, active, self._read_revoked())

    def _read_revoked(self) -> dict[str, datetime]:
        path = self._directory / REVOKED
        try:
            told = orjson.loads(path.read_bytes())
            return {str(kid): _zoned(moment) for kid, moment in told.items()}
        except FileNotFoundError:
            return {}
        except (AttributeError, TypeError, ValueError) as error:
            # Not to know who is revoked would be to trust them.
            raise KeyStoreError(f"{path}: damaged list of revoked keys") from error
        except OSError as error:
            raise KeyStoreError(f"{path}: cannot be read ({error.strerror})") from error

    def _signer(self, kid: str, private: bytes, public: PublicKey) -> Signer:
        # Signers are kept from reading to reading: making one costs trial signatures.
        known: _Contents | None = getattr(self, "_contents", None)
        entry = None if known is None else known.entries.get(kid)
        if entry is not None and entry.signer is not None:
            return entry.signer
        return load_signer(private, public, kid)

    def _open(self, path: Path) -> tuple[KeyRecord, bytes, PublicKey, dict[str, str]]:
        try:
            content = orjson.loads(path.read_bytes())
            record = _record(content)
            public = PublicKey.from_jwk(content["public"])
            stored = {"nonce": str(content["private"]["nonce"]), "sealed": str(content["private"]["sealed"])}
            if path.name != f"{record.kid}{SUFFIX}":
                raise KeyStoreError(f"{path}: the key inside has another kid")
            nonce = base64.b64decode(stored["nonce"], validate=True)
            sealed = base64.b64decode(stored["sealed"], validate=True)
            # Retired keys are opened too: the tag is what vouches for the public half.
            private = _cipher(self._master_key, record.kid).decrypt(nonce, sealed, _bound(record, public))
        except InvalidTag as error:
            raise KeyStoreError(
                f"{path}: does not open: written under another master key, or changed since"
            ) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise KeyStoreError(f"{path}: damaged key file ({type(error).__name__})") from error
        except OSError as error:
            raise KeyStoreError(f"{path}: cannot be read ({error.strerror})") from error
        return record, private, public, stored


def write_whole(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 so that after a crash it is there either as before or complete.

    The caller holds the folder's lock.
    """
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # a leftover of a crash may have another
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(directory: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock of a folder against other threads and processes: alone, or together with other readers."""
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _cipher(master_key: bytes, kid: str) -> AESGCM:
    info = b"zhengtong signing key " + kid.encode()
    return AESGCM(HKDF(SHA256(), MASTER_KEY_BYTES, salt=None, info=info).derive(master_key))


def _bound(record: KeyRecord, public: PublicKey) -> bytes:
    # The state is left out: whoever can write the folder can also bring back an older file, tag and all.
    return canonical_json(
        {
            "kid": record.kid,
            "algorithm": record.algorithm.value,
            "purpose": record.purpose,
            "public": public.to_jwk(),
        }
    )


def _record(content: Any) -> KeyRecord:
    activated_at, retired_at = content["activated_at"], content["retired_at"]
    record = KeyRecord(
        kid=content["kid"],
        algorithm=Algorithm(content["algorithm"]),
        purpose=content["purpose"],
        state=KeyState(content["state"]),
        created_at=_zoned(content["created_at"]),
        activated_at=None if activated_at is None else _zoned(activated_at),
        retired_at=None if retired_at is None else _zoned(retired_at),
    )
    signs = record.state is not KeyState.NEXT
    if not isinstance(content["purpose"], str) or (record.activated_at is not None) is not signs:
        raise ValueError("state and times do not fit")
    if (record.retired_at is not None) is not (record.state is KeyState.RETIRED):
        raise ValueError("state and times do not fit")
    return record


def _zoned(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment
