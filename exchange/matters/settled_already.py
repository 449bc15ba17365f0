"""Papers that should no longer be asked: required, and the exchange can settle them already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from exchange.matters.report import Means, means


@dataclass(frozen=True, slots=True)
class Asked:
    """What plans made of one material of one matter: how often it came up, and how often it was settled at once."""

    planned: int = 0
    settled: int = 0


@dataclass(frozen=True, slots=True)
class SettledAlready:
    """A material that a matter still requires although the exchange can settle it.

    Args:
        evidence: names of the resources and licence types that do.
        asked: None: no plans are kept.
    """

    matter: str
    title: str
    department: str
    department_name: str
    material: str
    name: str
    evidence: tuple[str, ...]
    asked: Asked | None


def settled_already(
    documents: Iterable[Mapping[str, Any]], asked: Mapping[tuple[str, str], Asked] | None
) -> list[SettledAlready]:
    """Return what should no longer be asked, that which plans settled most often first.

    Args:
        documents: published descriptions.
        asked: matter and id of a material → what plans made of it.
    """
    found = []
    for document in documents:
        for material in document["materials"]:
            if not material.get("required", True) or means(material.get("evidence")) is not Means.EXCHANGE:
                continue
            found.append(
                SettledAlready(
                    matter=document["code"],
                    title=document["title"],
                    department=document["department"],
                    department_name=document["department_name"],
                    material=material["id"],
                    name=material["name"],
                    evidence=tuple(dict.fromkeys(_sources(material["evidence"]))),
                    asked=None if asked is None else asked.get((document["code"], material["id"]), Asked()),
                )
            )
    return sorted(
        found, key=lambda each: (-(each.asked.settled if each.asked else 0), each.matter, each.material)
    )


def _sources(evidence: Mapping[str, Any]) -> Iterable[str]:
    ((kind, value),) = evidence.items()
    match kind:
        case "any_of" | "all_of":
            for each in value:
                yield from _sources(each)
        case "claims" | "query":
            yield str(value["resource"])
        case "licence":
            yield f"licence.{value['type']}"
        case "material":
            yield f"material.{value}"
