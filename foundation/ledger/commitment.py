"""What goes into the log for a record: a salted commitment, never the record.

A record may have to be erased by law (PIPL 第四十七条), but a leaf of the tree can never be: the root would
change. So a leaf holds HMAC-SHA-256(salt, record). Whoever has the salt and the record can show that exactly
this record was logged. When salt and record are dropped, the 32 bytes that stay say nothing about it: without
the salt not even a guessed record can be tried against them. The tree stays provable all the same.
"""

from __future__ import annotations

import hmac
import secrets

SALT_BYTES = 32
COMMITMENT_BYTES = 32


def new_salt() -> bytes:
    """Return 32 random bytes: one salt for one record, kept beside it and erased with it."""
    return secrets.token_bytes(SALT_BYTES)


def commit(salt: bytes, canonical_json: bytes) -> bytes:
    """Return the commitment to a record: HMAC-SHA-256(salt, canonical JSON), 32 bytes.

    These bytes are the entry that is logged; its leaf hash is SHA-256(0x00 ‖ commitment) (RFC 6962 §2.1).

    Args:
        salt: 32 bytes of `new_salt`, never used for another record.
        canonical_json: the record in the one form that it has (RFC 8785).

    Raises:
        ValueError: the salt is not 32 bytes long.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, this one {len(salt)}")
    return hmac.digest(salt, canonical_json, "sha256")
