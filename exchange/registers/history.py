"""What a register held of a subject on some day, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, sql

from exchange.registers.schemas import RegisterSchema, opened
from foundation.sensitive import Vault


@dataclass(frozen=True, slots=True)
class Version:
    """A record as it stood from `valid_from` until `valid_until` (None: still).

    Args:
        provenance: field → source, run, part and row it came from, and `transforms` where normalising changed it.
    """

    version: int
    record: dict[str, Any]
    provenance: dict[str, dict[str, Any]]
    valid_from: datetime
    valid_until: datetime | None


def as_of(
    connection: Connection, vault: Vault, register: RegisterSchema, subject: bytes, moment: datetime
) -> Version | None:
    """Return what the register held of a subject at a moment; None if nothing.

    Raises:
        SealBroken: the sealed part was altered or moved.
    """
    columns = sql.SQL(
        "version, content, sealed, source, run_id, origin_part, origin_row, provenance, valid_from"
    )
    found = connection.execute(
        sql.SQL(
            "SELECT {columns}, NULL::timestamptz FROM {table} WHERE subject = %(subject)s AND valid_from <= %(moment)s"
            " UNION ALL SELECT {columns}, valid_until FROM {history} WHERE subject = %(subject)s"
            " AND valid_from <= %(moment)s AND %(moment)s < valid_until"
        ).format(
            columns=columns,
            table=sql.Identifier("exchange", register.table),
            history=sql.Identifier("exchange", f"{register.table}_history"),
        ),
        {"subject": subject, "moment": moment},
    ).fetchone()
    if found is None:
        return None
    version, content, sealed, source, run_id, part, row, kept, valid_from, valid_until = found
    record = opened(vault, register, subject, content, sealed)
    own = {"source": source, "run": str(run_id), "part": part, "row": row}
    fields = (kept or {}).get("fields", {})
    transforms = (kept or {}).get("transforms", {})
    provenance = {
        name: dict(fields.get(name, own)) | ({"transforms": transforms[name]} if name in transforms else {})
        for name in record
    }
    return Version(version, record, provenance, valid_from, valid_until)
