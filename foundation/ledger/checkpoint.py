"""The signed head of the tree: C2SP tlog-checkpoint as a C2SP signed-note with Ed25519."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from foundation.ledger.tree import HASH_BYTES

SignBytes = Callable[[bytes], bytes]
"""Returns the 64-byte Ed25519 signature (RFC 8032) over the bytes it is given."""

MAXIMUM_CHECKPOINT_BYTES = 1 << 16
_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_KEY_HASH = re.compile(r"[0-9a-f]{8}", re.ASCII)


class CheckpointError(ValueError):
    """A checkpoint or a verifier key that must not be relied on.

    Attributes:
        code: `checkpoint-malformed`, `key-malformed`, `signature-unknown` (none by the known key),
            `signature-wrong` or `origin-wrong`; stable.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Head of a log (C2SP tlog-checkpoint, "Note text").

    Attributes:
        origin: identity of the log, such as `zhengtong.example/ledger`; no scheme, no trailing slash.
        size: leaves of the tree.
        root: of the tree, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note text that is signed: origin, size and base64 root, each on a line of its own."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Public key of a log by name (C2SP signed-note, "Ed25519 signatures").

    Attributes:
        name: of the key; for a log, its origin.
        public_key: 32 bytes (RFC 8032 §5.1.5).
    """

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key).digest()[
            :_KEY_ID_BYTES
        ]

    def __str__(self) -> str:
        """Return the key as `name+hash+base64`, as it is given to verifiers."""
        encoded = base64.b64encode(_ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Return the key of its `name+hash+base64` form.

        Raises:
            CheckpointError: `key-malformed`: not of that form, not Ed25519, or the hash is of another key.
        """
        # Base64 itself may hold a plus.
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _is_key_name(parts[0]) or not _KEY_HASH.fullmatch(parts[1]):
            raise CheckpointError("key-malformed", "a verifier key has the form name+hash+base64")
        data = _strict_base64(parts[2])
        if data is None or len(data) != 33 or data[:1] != _ED25519:
            raise CheckpointError("key-malformed", "the verifier key is not an Ed25519 key")
        key = cls(parts[0], data[1:])
        if key.key_id.hex() != parts[1]:
            raise CheckpointError("key-malformed", "the hash of the verifier key belongs to another key")
        return key


@dataclass(frozen=True, slots=True)
class LogSigner:
    """What a log signs its heads with.

    Attributes:
        origin: of the log, and name of its key.
        public_key: Ed25519, 32 bytes.
        sign_bytes: signs with the private key, wherever that is.
    """

    origin: str
    public_key: bytes
    sign_bytes: SignBytes

    @property
    def verifier_key(self) -> VerifierKey:
        """The key to give to those who check the log."""
        return VerifierKey(self.origin, self.public_key)


def sign(checkpoint: Checkpoint, name: str, sign_bytes: SignBytes, public_key: bytes) -> str:
    """Return the checkpoint as a signed note with one Ed25519 signature.

    The signature is checked before it is given out, so that a signer with another key is found here and not
    by those who rely on it.

    Args:
        checkpoint: what is signed.
        name: of the key; the origin, for a log.
        sign_bytes: signs with the private key.
        public_key: that belongs to it, 32 bytes.

    Raises:
        CheckpointError: `checkpoint-malformed` for an origin, size or root that no checkpoint can hold,
            `key-malformed` for such a name, `signature-wrong` when the signature is not of this public key.
    """
    if not _is_key_name(name):
        raise CheckpointError("key-malformed", "a key name is not empty and holds neither space nor plus")
    if parse_text(checkpoint.text) != checkpoint:
        raise CheckpointError("checkpoint-malformed", "the origin does not fit on the line of a checkpoint")
    key = VerifierKey(name, public_key)
    signature = base64.b64encode(key.key_id + sign_bytes(checkpoint.text.encode())).decode()
    note = f"{checkpoint.text}\n\N{EM DASH} {name} {signature}\n"
    verify_note(note, key)
    return note


def open_checkpoint(text: str, key: VerifierKey, origin: str | None = None) -> Checkpoint:
    """Return the checkpoint of a signed note, once the key's signature on it is verified.

    Signatures by other keys (witnesses, a key to come) are passed over; extension lines are tolerated.

    Args:
        text: the signed note.
        key: of the log.
        origin: that the checkpoint must have; the name of the key unless given.

    Raises:
        CheckpointError: with one of the codes named there.
    """
    checkpoint = parse_text(verify_note(text, key))
    expected = key.name if origin is None else origin
    if checkpoint.origin != expected:
        raise CheckpointError("origin-wrong", f"the checkpoint is of {checkpoint.origin}, not of {expected}")
    return checkpoint


def verify_note(note: str, key: VerifierKey) -> str:
    """Return the text of a signed note, with its last newline, if this key signed it (C2SP signed-note).

    Raises:
        CheckpointError: `checkpoint-malformed`, `signature-unknown` or `signature-wrong`.
    """
    text, signatures = split_note(note)
    try:
        public = Ed25519PublicKey.from_public_bytes(key.public_key)
    except ValueError as error:
        raise CheckpointError("key-malformed", "the verifier key is not an Ed25519 key") from error
    known = [data[_KEY_ID_BYTES:] for name, data in signatures if (name, data[:4]) == (key.name, key.key_id)]
    if not known:
        raise CheckpointError("signature-unknown", f"no signature by {key.name}+{key.key_id.hex()}")
    for signature in known:
        try:
            public.verify(signature, text.encode())
        except InvalidSignature as error:
            raise CheckpointError("signature-wrong", f"the signature by {key.name} is wrong") from error
    return text


def split_note(note: str) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    """Return text and signatures (key name, key id ‖ signature) of a note, without checking any of them.

    Raises:
        CheckpointError: `checkpoint-malformed`: not a signed note, or larger than 64 KiB.
    """
    if len(note) > MAXIMUM_CHECKPOINT_BYTES:
        raise CheckpointError("checkpoint-malformed", "the signed note is too large")
    if any(character < " " and character != "\n" for character in note):
        raise CheckpointError("checkpoint-malformed", "the signed note holds control characters")
    head, blank, tail = note.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise CheckpointError("checkpoint-malformed", "the signed note has no signature lines")
    signatures = []
    # Not splitlines: it would also split at characters that a name may hold.
    for line in tail[:-1].split("\n"):
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        data = _strict_base64(encoded)
        if mark != "\N{EM DASH}" or not _is_key_name(name) or data is None or len(data) <= _KEY_ID_BYTES:
            raise CheckpointError("checkpoint-malformed", "the signed note has a malformed signature line")
        signatures.append((name, data))
    return head + "\n", tuple(signatures)


def parse_text(text: str) -> Checkpoint:
    """Return the checkpoint that a note text states. Says nothing of who signed it: see `open_checkpoint`.

    Raises:
        CheckpointError: `checkpoint-malformed`.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise CheckpointError(
            "checkpoint-malformed", "a checkpoint has three lines or more, none of them empty"
        )
    if any(character < " " for character in lines[0]):
        raise CheckpointError("checkpoint-malformed", "the origin holds control characters")
    root = _strict_base64(lines[2])
    if not _SIZE.fullmatch(lines[1]) or int(lines[1]) >= 1 << 63:
        raise CheckpointError("checkpoint-malformed", "the size of the checkpoint is not a decimal number")
    if root is None or len(root) != HASH_BYTES:
        raise CheckpointError("checkpoint-malformed", "the root of the checkpoint is not a hash")
    return Checkpoint(lines[0], int(lines[1]), root)


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or c < " " for c in name)


def _strict_base64(text: str) -> bytes | None:
    # One spelling for one value (RFC 4648 §3.5): stray bits and missing padding are refused.
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None
