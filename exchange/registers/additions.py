"""Who is new in a register, a batch at a time: subscriptions follow it by number, with the versions that ended."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

SUBJECT_BYTES = 16


def note(connection: Connection, table: str, subjects: bytes, now: datetime) -> None:
    """Note that subjects stand in a register for the first time, in the transaction that brought them in.

    The caller holds the register. One row for all of them, kept until it was followed; whether anybody wants to know is
    asked only then, so that who subscribes while a load goes on misses nobody.

    Args:
        subjects: one behind the other, as the batch has them, which costs a load next to nothing.
    """
    connection.execute(
        "INSERT INTO exchange.register_addition (register, sequence, subjects, added_at) VALUES (%s,"
        " nextval(pg_get_serial_sequence('exchange.' || %s || '_history', 'sequence')), %b, %s)",
        [table, table, subjects, now],
    )
