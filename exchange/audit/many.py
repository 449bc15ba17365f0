"""Access records of many subjects at once: each has its own salt and entry in the log, as if asked alone.

What all of them say is spelled once; what differs is put in between. They are written by COPY, which costs a fifth of
a statement with arrays.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from foundation.identity.principals import Principal
from foundation.ledger.commitment import SALT_BYTES
from foundation.signing import canonical_json

_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NULL = b"\xff\xff\xff\xff"
_LENGTH = struct.Struct(">i")
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_INNER_REST = b"\x36" * (64 - SALT_BYTES)
_OUTER_REST = b"\x5c" * (64 - SALT_BYTES)
_RECORD_COLUMNS = ("id", "recorded_at", "client_id", "subject", "outcome", "entry", "salt", "content")


class Written(NamedTuple):
    """A record, spelled as COPY takes it, and its entry of the log (32 bytes)."""

    row: bytes
    entry: bytes


Spell = Callable[[int, bytes | None, tuple[bytes, ...]], Written]
"""Spells a record: which of the identities it takes, its subject (blind index), and JSON of the members that vary."""


@dataclass(frozen=True, slots=True)
class Identities:
    """Ids and salts for records, drawn together.

    Args:
        ids: 16 bytes each, UUIDs of version 7: they grow with time, so that an index of millions is written at its end.
        texts: the same as text.
        salts: one for each record, never used again.
        inner: and `outer`: what HMAC-SHA-256 under each salt begins with (RFC 2104: the key, filled up to a block, with
            one pattern or the other).
    """

    ids: Sequence[bytes]
    texts: Sequence[bytes]
    salts: Sequence[bytes]
    inner: Sequence[bytes]
    outer: Sequence[bytes]


def draw(count: int, now: datetime) -> Identities:
    """Draw ids and salts for `count` records of this moment."""
    drawn = np.frombuffer(secrets.token_bytes(16 * count), dtype=np.uint8).reshape(-1, 16).copy()
    drawn[:, :6] = np.frombuffer(int(now.timestamp() * 1000).to_bytes(6, "big"), dtype=np.uint8)
    drawn[:, 6] = drawn[:, 6] & 0x0F | 0x70
    drawn[:, 8] = drawn[:, 8] & 0x3F | 0x80
    joined = drawn.tobytes()
    ids = [joined[at : at + 16] for at in range(0, len(joined), 16)]
    spelled = joined.hex().encode()
    texts = []
    for at in range(0, len(spelled), 32):
        text = spelled[at : at + 32]
        texts.append(b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:])))
    salts = secrets.token_bytes(SALT_BYTES * count)
    inner, outer = salts.translate(_INNER), salts.translate(_OUTER)
    places = range(0, len(salts), SALT_BYTES)
    return Identities(
        ids,
        texts,
        [salts[at : at + SALT_BYTES] for at in places],
        [inner[at : at + SALT_BYTES] + _INNER_REST for at in places],
        [outer[at : at + SALT_BYTES] + _OUTER_REST for at in places],
    )


def speller(
    identities: Identities,
    event: str,
    outcome: str,
    caller: Principal,
    now: datetime,
    *,
    varying: Sequence[str] = (),
    **facts: Any,
) -> Spell:
    """Return what spells records that say the same but for id, subject and the members `varying`.

    The content is what `exchange.audit.record.prepare` makes of the same facts, byte by byte.

    Args:
        varying: names of further members, whose JSON is given for each record, in this order.
        facts: members that all have in common.
    """
    marks = {name: secrets.token_hex(16) for name in ("id", "subject", *varying)}
    template = canonical_json(
        {
            "at": now.isoformat(),
            "event": event,
            "outcome": outcome,
            "client": caller.id,
            "department": caller.department,
            **facts,
            **marks,
        }
    ).replace(b"%", b"%%")
    places = sorted(marks, key=lambda name: template.index(marks[name].encode()))
    for mark in marks.values():
        template = template.replace(f'"{mark}"'.encode(), b"%b")
    given = ("id", "subject", *varying)
    in_order = itemgetter(*[given.index(name) for name in places])
    head = struct.pack(">hi", len(_RECORD_COLUMNS), 16)
    asking = caller.id.encode()
    after_id = (
        struct.pack(">iq", 8, (now - _EPOCH) // timedelta(microseconds=1))
        + _LENGTH.pack(len(asking))
        + asking
    )
    came_out = outcome.encode()
    after_subject = _LENGTH.pack(len(came_out)) + came_out + _LENGTH.pack(32)
    before_subject, before_salt = _LENGTH.pack(16), _LENGTH.pack(SALT_BYTES)
    length, sha256 = _LENGTH.pack, hashlib.sha256
    ids, texts, salts = identities.ids, identities.texts, identities.salts
    inner, outer = identities.inner, identities.outer

    def spell(which: int, subject: bytes | None, values: tuple[bytes, ...]) -> Written:
        if subject is None:
            named, about = b"null", _NULL
        else:
            named, about = b'"%b"' % subject.hex().encode(), before_subject + subject
        content = template % in_order((b'"%b"' % texts[which], named, *values))
        # What `commit` does; its key is set up for all salts together.
        entry = sha256(outer[which] + sha256(inner[which] + content).digest()).digest()
        return Written(
            b"".join(
                (
                    head, ids[which], after_id, about, after_subject, entry, before_salt, salts[which],
                    length(len(content)), content,
                )
            ),
            entry,
        )  # fmt: skip

    return spell


async def write(connection: Any, records: Sequence[Written]) -> None:
    """Write records and promise them to the log, within the transaction of the connection (asyncpg)."""
    await connection.copy_to_table(
        "access_record",
        schema_name="exchange",
        columns=_RECORD_COLUMNS,
        source=_copied(record.row for record in records),
        format="binary",
    )
    head = struct.pack(">hi", 1, 32)
    await connection.copy_to_table(
        "pending",
        schema_name="ledger",
        columns=("entry",),
        source=_copied(head + record.entry for record in records),
        format="binary",
    )


async def _copied(rows: Iterable[bytes]) -> AsyncIterator[bytes]:
    yield b"".join((_COPY_HEADER, *rows, _COPY_TRAILER))
