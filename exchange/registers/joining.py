"""Joining what several sources say of one subject into one row, within the transaction of the batch.

A subject that one source speaks of has one row and nothing else: that is the usual case, and costs nothing more. When
a second source speaks, what each says is kept as its contribution, and the row becomes what `lead.combine` makes of
them, with the provenance of each field.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from psycopg import Connection

from exchange.registers import contributions
from exchange.registers.aliases import Naming
from exchange.registers.contributions import ContributionRow
from exchange.registers.lead import Joined, Rank, Said, combine, provenance
from exchange.registers.schemas import RegisterSchema, other_subjects, place
from foundation.sensitive import Vault


@dataclass(frozen=True, slots=True)
class JoinReport:
    """What joining did with the rows of a batch.

    Args:
        changed: rows with a new version.
        unchanged: rows to which this source added nothing that leads.
        differing: (origin row, field) of this source's rows where another source leads with another value.
        namings: the other identifiers that the joined rows name.
    """

    changed: int
    unchanged: int
    differing: tuple[tuple[int, str], ...]
    namings: tuple[Naming, ...] = ()


def join(
    connection: Connection,
    vault: Vault,
    register: RegisterSchema,
    subjects: Sequence[bytes],
    *,
    source: str,
    run_id: uuid.UUID,
    part: str,
    rank: Rank,
    now: datetime,
) -> JoinReport:
    """Take the staged rows of these subjects in as what `source` says of them, beside what others say."""
    table = register.table
    standing = contributions.current(connection, table, subjects)
    said = contributions.contributions(connection, table, subjects)
    new: list[ContributionRow] = []
    for subject, row in standing.items():
        if not row.shared:
            # The first that spoke becomes one of several.
            first = _moved(vault, row.said, place(table, subject), _place(table, row.said))
            said[subject] = [first]
            new.append(first)
    for brought in contributions.staged(connection, subjects, source, run_id, part, now):
        mine = _moved(vault, brought, place(table, brought.subject), _place(table, brought))
        said[mine.subject] = [each for each in said[mine.subject] if each.source != source] + [mine]
        new.append(mine)
    contributions.put_contributions(connection, table, new)
    joined = {
        subject: combine([_opened(vault, table, row) for row in said[subject]], rank) for subject in subjects
    }
    rows_of = {each.subject: each.origin_row for each in new if each.source == source}
    changed, namings = _put(connection, vault, register, standing, said, joined, now)
    return JoinReport(
        changed,
        len(subjects) - changed,
        tuple(
            (rows_of[subject], name)
            for subject, each in joined.items()
            for who, name in sorted(each.differing)
            if who == source
        ),
        namings,
    )


def leave(
    connection: Connection, vault: Vault, register: RegisterSchema, source: str, rank: Rank, now: datetime
) -> tuple[list[bytes], tuple[Naming, ...]]:
    """Go on without what `source` said of the subjects in `gone` that others speak of too.

    Returns:
        These subjects, and the other identifiers that their rows name from now on.
    """
    table = register.table
    subjects = contributions.missing_shared(connection)
    if not subjects:
        return [], ()
    standing = contributions.current(connection, table, subjects)
    contributions.drop_contributions(connection, table, source, subjects)
    said = contributions.contributions(connection, table, subjects)
    joined = {
        subject: combine([_opened(vault, table, row) for row in said[subject]], rank) for subject in subjects
    }
    _changed, namings = _put(connection, vault, register, standing, said, joined, now)
    alone = [subject for subject in subjects if len(said[subject]) == 1]
    for subject in alone:
        contributions.drop_contributions(connection, table, said[subject][0].source, [subject])
    return subjects, namings


def _put(
    connection: Connection,
    vault: Vault,
    register: RegisterSchema,
    standing: dict[bytes, contributions.CurrentRow],
    said: dict[bytes, list[ContributionRow]],
    joined: dict[bytes, Joined],
    now: datetime,
) -> tuple[int, tuple[Naming, ...]]:
    """Put the joined rows in place of the standing ones; a new version only where a value is new.

    Returns:
        How many have one, and the other identifiers that the rows name.
    """
    rows: list[tuple[ContributionRow, dict[str, Any] | None, bool]] = []
    for subject, each in joined.items():
        row = _row(vault, register, subject, each, said[subject], now)
        is_new = row.fingerprint != standing[subject].said.fingerprint
        alone = len(said[subject]) == 1
        rows.append((row, _alone(each) if alone else provenance(each), is_new))
    changed = [row.subject for row, _, is_new in rows if is_new]
    contributions.keep_version(connection, register.table, changed, now)
    contributions.put_joined(connection, register.table, rows)
    namings = [
        Naming(row.subject, row.fingerprint, other)
        for row, _, _ in rows
        for other in other_subjects(vault, register, joined[row.subject].record, row.subject)
    ]
    return len(changed), tuple(namings)


def _alone(joined: Joined) -> dict[str, Any] | None:
    transforms = provenance(joined).get("transforms")
    return {"transforms": transforms} if transforms else None


def _row(
    vault: Vault,
    register: RegisterSchema,
    subject: bytes,
    joined: Joined,
    said: Sequence[ContributionRow],
    now: datetime,
) -> ContributionRow:
    """Seal a joined record; the row is named after the source that leads most of its fields."""
    leading = Counter(each.source for each in joined.lead.values())
    first = max(said, key=lambda row: (leading[row.source], row.source))
    record = dict(sorted(joined.record.items()))
    shown = {name: value for name, value in record.items() if name not in register.sensitive}
    hidden = {name: value for name, value in record.items() if name in register.sensitive}
    secret = orjson.dumps(hidden)
    return replace(
        first,
        content=shown,
        sealed=vault.seal(secret, place(register.table, subject)) if hidden else None,
        fingerprint=vault.fingerprint(orjson.dumps(shown) + b"\0" + secret),
        valid_from=now,
    )


def _place(table: str, row: ContributionRow) -> bytes:
    """Return where a contribution stands: what one source says opens as no other's."""
    return place(f"{table}_contribution", row.subject + row.source.encode())


def _moved(vault: Vault, row: ContributionRow, before: bytes, after: bytes) -> ContributionRow:
    if row.sealed is None:
        return row
    return replace(row, sealed=vault.seal(vault.open(row.sealed, before), after))


def _opened(vault: Vault, table: str, row: ContributionRow) -> Said:
    record = dict(row.content)
    if row.sealed is not None:
        record |= orjson.loads(vault.open(row.sealed, _place(table, row)))
    return Said(
        row.source,
        record,
        str(row.run_id),
        row.origin_part,
        row.origin_row,
        row.transforms or {},
        row.valid_from,
    )
