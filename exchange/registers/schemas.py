"""The three registers as their JSON Schemas tell: fields, which are sensitive, how a subject is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import orjson

from foundation.sensitive import Vault, sensitive_fields


@dataclass(frozen=True, slots=True)
class RegisterSchema:
    """One register.

    Args:
        name: `persons`, `legal_entities` or `credentials`.
        table: its table in schema `exchange`; history stands in `<table>_history`.
        schema: JSON Schema (draft 2020-12) of a normalised record.
        keys: alternatives for naming a subject, best first: kind of the blind index and the fields in it.
    """

    name: str
    table: str
    schema: Mapping[str, Any]
    sensitive: frozenset[str]
    keys: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of all fields, in the order of the schema."""
        return tuple(self.schema["properties"])


_TABLES: dict[str, tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "persons": ("person", (("citizen-id", ("citizen_id",)),)),
    "legal_entities": (
        "legal_entity",
        (("uscc", ("code",)), ("registration-number", ("registration_number",))),
    ),
    "credentials": ("credential", (("licence", ("licence_type", "licence_number")),)),
}


@cache
def load_registers() -> Mapping[str, RegisterSchema]:
    """Read the schemas of all registers."""
    found = {}
    for name, (table, keys) in _TABLES.items():
        path = resources.files("schemas") / "registers" / f"{name}.json"
        schema = orjson.loads(path.read_bytes())
        found[name] = RegisterSchema(name, table, schema, sensitive_fields(schema), keys)
    return found


def place(table: str, subject: bytes) -> bytes:
    """Return where a sealed part stands, so that it opens in no other row (see `Vault.seal`)."""
    return place_in(table) + subject


def place_in(table: str) -> bytes:
    """Return what the places of all rows of a table begin with; the subject follows."""
    return table.encode() + b"\0"


def opened(
    vault: Vault, register: RegisterSchema, subject: bytes, content: Mapping[str, Any], sealed: bytes | None
) -> dict[str, Any]:
    """Return all fields of a row in clear.

    Raises:
        SealBroken: the sealed part was altered or moved.
    """
    record = dict(content)
    if sealed is not None:
        record |= orjson.loads(vault.open(sealed, place(register.table, subject)))
    return record


def other_subjects(
    vault: Vault, register: RegisterSchema, record: Mapping[str, Any], subject: bytes
) -> Iterator[bytes]:
    """Yield the subjects under which a record would also be known, by identifiers it names beside its own."""
    for kind, fields in register.keys:
        values = [record.get(name) for name in fields]
        if None not in values:
            other = vault.blind_index(kind, "\0".join(map(str, values)))
            if other != subject:
                yield other
