"""Comparing a batch with other registers: unknown subjects, and values that the lead source has otherwise.

The lead source's value stays (一数一源); the disagreement is a finding for the data steward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import Connection

from connectors.mapping import Comparison
from connectors.quality import Finding
from exchange.registers.schemas import load_registers, opened
from exchange.registers.tables import current_rows
from foundation.sensitive import Vault


def compare(
    connection: Connection,
    vault: Vault,
    comparisons: Sequence[Comparison],
    records: Sequence[tuple[int, Mapping[str, Any]]],
) -> list[Finding]:
    """Return findings `not-in-register` and `differs-from-lead-source` of a batch.

    Args:
        records: each with the number of its row.
    """
    if not comparisons:
        return []
    found: list[Finding] = []
    for comparison in comparisons:
        other = load_registers()[comparison.register_name]
        kind = other.keys[0][0]
        wanted = [
            (row, record, vault.blind_index(kind, str(record[comparison.key])))
            for row, record in records
            if record.get(comparison.key) is not None
        ]
        known = current_rows(connection, other.table, [subject for _, _, subject in wanted])
        for origin_row, record, subject in wanted:
            row = known.get(subject)
            if row is None:
                found.append(Finding(origin_row, comparison.key, "not-in-register"))
                continue
            content, sealed = row
            theirs = opened(vault, other, subject, content, sealed if comparison.fields else None)
            for mine, other_field in comparison.fields.items():
                if (
                    None not in (record.get(mine), theirs.get(other_field))
                    and record[mine] != theirs[other_field]
                ):
                    found.append(Finding(origin_row, mine, "differs-from-lead-source"))
    return found
