"""Linking records of one subject across sources: by strong identifiers first, by likeness only as a proposal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from itertools import combinations
from typing import Any

import psycopg

from exchange.registers import aliases, links
from exchange.registers.aliases import Naming
from exchange.registers.links import Link
from exchange.registers.schemas import RegisterSchema, opened, other_subjects
from exchange.registers.tables import current_rows, lock_register
from foundation.sensitive import Vault

BATCH = 5_000
LEAST_SCORE = 0.75


@dataclass(frozen=True, slots=True)
class Likeness:
    """What makes two records of a register alike.

    Args:
        exact: fields that must be equal; records are only compared where they are.
        similar: field whose similarity decides the rest of the score.
        base: score of equal `exact` fields alone.
    """

    exact: tuple[str, ...]
    similar: str
    base: float


LIKENESS = {
    "persons": Likeness(("name", "birth_date"), "address", 0.5),
    "legal_entities": Likeness(("name",), "address", 0.45),
}


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What a search found: records looked at, links by kind, and how many of them are new.

    Args:
        ambiguous: identifiers that several subjects have.
    """

    register: str
    records: int
    strong: int
    candidates: int
    new: int
    ambiguous: int = 0


def find_links(database: str, vault: Vault, register: RegisterSchema, now: datetime) -> LinkReport:
    """Search a register for records that may be of one subject, and store the links; nothing is merged.

    Aliases of rows that came in before there were any are begun, too.

    The keys that records are compared by are blinded before they reach the database.
    """
    likeness = LIKENESS[register.name]
    records = 0
    with psycopg.connect(database) as reading, psycopg.connect(database) as connection:
        links.prepare_keys(connection)
        aliases.prepare(connection)
        keys: list[tuple[bytes, bytes]] = []
        named: list[tuple[bytes, bytes]] = []
        namings: list[Naming] = []
        for subject, content, sealed, mark in links.rows(reading, register.table):
            record = opened(vault, register, subject, content, sealed)
            records += 1
            values = [record.get(name) for name in likeness.exact]
            if None not in values:
                keys.append((vault.blind_index("likeness", "\0".join(map(str, values))), subject))
            for other in other_subjects(vault, register, record, subject):
                named.append((other, subject))
                namings.append(Naming(subject, mark, other))
            if len(keys) >= BATCH:
                links.put_keys(connection, "match_key", keys)
                links.put_keys(connection, "named", named)
                aliases.put(connection, namings)
                keys, named, namings = [], [], []
        links.put_keys(connection, "match_key", keys)
        links.put_keys(connection, "named", named)
        aliases.put(connection, namings)
        strong = {
            _pair(a, b): Link(*_pair(a, b), "strong", 1.0, {})
            for a, b in links.named(connection, register.table)
        }
        alike = {
            (each.subject, each.other): each
            for group in links.groups(connection)
            for each in _compared(connection, vault, register, likeness, group)
        }
        found = alike | strong
        new = links.put(connection, register.name, list(found.values()), now)
        lock_register(connection, register.table)
        aliases.begin(connection, register, now)
        several = aliases.ambiguous(connection, register.name)
    return LinkReport(register.name, records, len(strong), len(found) - len(strong), new, several)


def score(
    first: Mapping[str, Any], second: Mapping[str, Any], likeness: Likeness
) -> tuple[float, dict[str, float]]:
    """Return how likely two records are of one subject, and what speaks for it, by field.

    The `exact` fields are equal; the rest is the similarity of the `similar` field, nothing where one has none.
    """
    evidence = dict.fromkeys(likeness.exact, 1.0)
    mine, theirs = first.get(likeness.similar), second.get(likeness.similar)
    if mine is None or theirs is None:
        return likeness.base, evidence
    alike = round(SequenceMatcher(None, str(mine), str(theirs), autojunk=False).ratio(), 3)
    evidence[likeness.similar] = alike
    return round(likeness.base + (1 - likeness.base) * alike, 3), evidence


def _compared(
    connection: psycopg.Connection,
    vault: Vault,
    register: RegisterSchema,
    likeness: Likeness,
    group: list[bytes],
) -> Iterator[Link]:
    records = {
        subject: opened(vault, register, subject, content, sealed)
        for subject, (content, sealed) in current_rows(connection, register.table, group).items()
    }
    for first, second in combinations(sorted(records), 2):
        likely, evidence = score(records[first], records[second], likeness)
        if likely >= LEAST_SCORE:
            yield Link(first, second, "candidate", likely, evidence)


def _pair(first: bytes, second: bytes) -> tuple[bytes, bytes]:
    return (first, second) if first < second else (second, first)
