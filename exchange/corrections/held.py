"""SQL of what a register shows of one field of one subject, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from exchange.registers.aliases import row_of
from exchange.registers.schemas import RegisterSchema, opened
from foundation.sensitive import Vault

_VERSIONS = """
SELECT version, content, sealed, source, provenance, valid_from, NULL::timestamptz AS valid_until
FROM exchange.{table} WHERE subject = $1
UNION ALL
SELECT version, content, sealed, source, provenance, valid_from, valid_until
FROM exchange.{table}_history WHERE subject = $1
ORDER BY version DESC
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What a register shows of a field.

    Args:
        value: keyed fingerprint of the value, so that it can be told from another without being kept; None: no value.
        since: since when this value, or that there is none; None: the register does not know the subject.
        source: that it came from, or that the subject's record came from.
        shown: the value itself, for those who may see it.
        identifiers: what the record names its subject by.
    """

    value: bytes | None
    since: datetime | None
    source: str | None
    shown: Any
    identifiers: dict[str, Any]


async def held(connection: Any, vault: Vault, register: RegisterSchema, subject: bytes, name: str) -> Held:
    """Return what a register shows of a field now, in the row that a question about the subject is answered from.

    Args:
        connection: of asyncpg, or a pool.

    Raises:
        SealBroken: a row was altered.
    """
    subject = await row_of(connection, register.table, subject)
    rows = await connection.fetch(_VERSIONS.format(table=register.table), subject)
    if not rows or rows[0]["valid_until"] is not None:
        # Not known, or no more: what it last was is not what is shown.
        gone = rows[0]["valid_until"] if rows else None
        return Held(None, gone, rows[0]["source"] if rows else None, None, {})
    records = (
        (row, opened(vault, register, subject, row["content"], row["sealed"]).get(name)) for row in rows
    )
    first, value = next(records)
    since = first["valid_from"]
    for row, earlier in records:
        if earlier != value:
            break
        since = row["valid_from"]
    record = opened(vault, register, subject, first["content"], first["sealed"])
    origins = (first["provenance"] or {}).get("fields", {})
    return Held(
        value=None if value is None else fingerprint(vault, register, subject, name, value),
        since=since,
        source=origins.get(name, {}).get("source", first["source"]),
        shown=value,
        identifiers={
            key: record[key] for _kind, keys in register.keys for key in keys if record.get(key) is not None
        },
    )


def fingerprint(vault: Vault, register: RegisterSchema, subject: bytes, name: str, value: Any) -> bytes:
    """Return 16 keyed bytes that stand for a value of this field of this subject, and for nothing else."""
    where = f"{register.table}\0{name}\0".encode() + subject
    return vault.fingerprint(where + b"\0" + orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
