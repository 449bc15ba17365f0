"""Rules that say who is entitled, read from `schemas/entitlements` (data, not code)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs
import orjson


@dataclass(frozen=True, slots=True)
class Rule:
    """Who fulfils all claims on a resource of persons is entitled.

    Args:
        matter: which grants for batches must name.
        claims: as of a verification.
        acceptance_days: the benefit is given only to who accepts it within these days of being told; None: to all who
            are told.
    """

    id: str
    version: int
    title: str
    title_en: str
    legal_basis: str
    matter: str
    resource: str
    claims: Mapping[str, Any]
    acceptance_days: int | None = None


@cache
def load_rules() -> Mapping[str, Rule]:
    """Read all rules; one that does not fit its schema is refused with ValueError."""
    folder = resources.files("schemas") / "entitlements"
    validator = jsonschema_rs.Draft202012Validator(orjson.loads((folder / "entitlement.json").read_bytes()))
    found = {}
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".json") and path.name != "entitlement.json":
            document = orjson.loads(path.read_bytes())
            for error in validator.iter_errors(document):
                raise ValueError(f"{path.name}: {error.message}")
            document.pop("example", None)
            found[document["id"]] = Rule(**document)
    return found
