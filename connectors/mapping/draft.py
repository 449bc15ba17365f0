"""Drafting a mapping from the header of a sample: most columns find their field by name, a person reads the rest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from connectors.mapping.mapping import Column, load_mapping, mapping_names
from connectors.sources.raw import SourceError
from exchange.registers.schemas import RegisterSchema, load_registers
from foundation.language import _


@dataclass(frozen=True, slots=True)
class Draft:
    """A mapping to be read by somebody who knows the source.

    Args:
        text: YAML, with a remark at each column that found no field.
        unmatched: columns of the sample that found none.
        missing: required fields of the register that no column was found for.
    """

    text: str
    register: str
    unmatched: tuple[str, ...]
    missing: tuple[str, ...]


def draft_mapping(
    source: str, header: Sequence[str], layout: Mapping[str, Any], register_name: str | None = None
) -> Draft:
    """Draft the mapping of a source.

    Args:
        header: names of the columns of a sample.
        layout: what the mapping says of the file: `format`, and what else of it has to be stated.
        register_name: where the rows go; None: the register that most columns fit.

    Raises:
        SourceError: no such register, or hardly a column fits any.
    """
    registers = load_registers()
    if register_name is not None and register_name not in registers:
        raise SourceError(
            _("no register {register}; known are {known}"), register=register_name, known=", ".join(registers)
        )
    candidates = [register_name] if register_name is not None else list(registers)
    matches = {name: _match(header, registers[name]) for name in candidates}
    best = max(candidates, key=lambda name: len(matches[name]))
    found = matches[best]
    if not found:
        raise SourceError(_("no column of the sample looks like a field of a register"))
    register = registers[best]
    missing = tuple(
        name
        for name in register.schema["required"]
        if name not in found.values() and name not in _old_numbers(best)
    )
    unmatched = tuple(column for column in header if column not in found)
    return Draft(_yaml(source, register, header, layout, found, missing), best, unmatched, missing)


def _match(header: Sequence[str], register: RegisterSchema) -> dict[str, str]:
    """Return column → field, each field once; names that are equal win over those that contain another."""
    names = {
        field: {
            _plain(name) for name in (field, properties["title"], *_synonyms(register.name).get(field, ()))
        }
        for field, properties in register.schema["properties"].items()
    }
    found: dict[str, str] = {}
    for fits in (_equal, _contains):
        for column in header:
            free = [field for field in names if field not in found.values()]
            if column not in found:
                field = next((field for field in free if fits(_plain(column), names[field])), None)
                if field is not None:
                    found[column] = field
    return found


def _equal(column: str, names: set[str]) -> bool:
    return column in names


def _contains(column: str, names: set[str]) -> bool:
    # Names of one character, and initials of a few letters, stand in too many others.
    return any(len(name) > (4 if name.isascii() else 1) and name in column for name in names)


def _plain(name: str) -> str:
    """Return a column's name without remarks in brackets, punctuation, spaces and case."""
    text = re.sub(r"[(\[【].*?[)\]】]", "", unicodedata.normalize("NFKC", name))
    return "".join(c for c in text if c.isalnum()).casefold()


@cache
def _synonyms(register: str) -> Mapping[str, Sequence[str]]:
    text = (resources.files("connectors.mapping") / "synonyms.yaml").read_text(encoding="utf-8")
    names: Mapping[str, Sequence[str]] = yaml.safe_load(text).get(register, {})
    return names


@cache
def _shipped(register: str) -> Mapping[str, Column]:
    """Return field → column of the mappings that come with the project: kinds and dictionaries are known there."""
    known: dict[str, Column] = {}
    for name in mapping_names():
        mapping = load_mapping(name)
        if mapping.register_name == register:
            for column in mapping.columns:
                if column.field:
                    known.setdefault(column.field, column)
    return known


def _old_numbers(register: str) -> set[str]:
    return {column.old_number_field for column in _shipped(register).values() if column.old_number_field}


def _yaml(
    source: str,
    register: RegisterSchema,
    header: Sequence[str],
    layout: Mapping[str, Any],
    found: Mapping[str, str],
    missing: Sequence[str],
) -> str:
    top = {
        "source": source,
        "title": source,
        "contact": "谁答得上这份数据 · who can answer for it",
        "register": register.name,
        **layout,
        "empty": ["", "N/A", "n/a", "无", "-"],
    }
    lines = [_flow({name: value})[1:-1] for name, value in top.items()]
    for name in missing:
        lines.append(f"# 没有哪一列是 · no column is {name} ({_title(register, name)})")
        lines.append(
            f"# 若各行相同 · if it is the same of all rows: constants: {{{name}: {_example(register, name)}}}"
        )
    lines.append("columns:")
    for name in header:
        field = found.get(name)
        if field is None:
            lines.append(
                f"  # 请选字段，或列入 ignore · choose a field, or put it under ignore: {_flow(name)}"
            )
            continue
        column: dict[str, Any] = {"column": name, "field": field}
        known = _shipped(register.name).get(field)
        if known is not None:
            column |= known.model_dump(
                exclude={"column", "field", "also", "lead_rank"}, exclude_defaults=True
            )
        lines.append(f"  - {_flow(column)}")
    return "\n".join(lines) + "\n"


def _example(register: RegisterSchema, field: str) -> str:
    return " | ".join(register.schema["properties"][field].get("enum", ("…",)))


def _title(register: RegisterSchema, field: str) -> str:
    return str(register.schema["properties"][field]["title"])


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip()
