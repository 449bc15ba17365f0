"""The catalogue as DCAT 3 in JSON-LD (W3C Recommendation, 2024), and back without a loss.

What DCAT has a term for stands under that term; everything else under a namespace of our own. A document that goes
out and comes in again is the same, member by member; a document of somebody else's needs our terms for what the
exchange cannot do without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from exchange.catalog.document import Document

NAMESPACE = "urn:zhengtong:catalogue:"
RESOURCE = "urn:zhengtong:resource:"
_FREQUENCY = "http://publications.europa.eu/resource/authority/frequency/"
_RIGHTS = "http://publications.europa.eu/resource/authority/access-right/"

CONTEXT: Mapping[str, Any] = {
    "adms": "http://www.w3.org/ns/adms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "zt": NAMESPACE,
    "dct:accrualPeriodicity": {"@type": "@id"},
    "dct:accessRights": {"@type": "@id"},
    "zt:fields": {"@container": "@list"},
}

# ISO 8601 durations that the vocabulary of frequencies has a name for.
_FREQUENCIES = {
    "PT1H": "HOURLY",
    "P1D": "DAILY",
    "P1W": "WEEKLY",
    "P1M": "MONTHLY",
    "P3M": "QUARTERLY",
    "P1Y": "ANNUAL",
}
_DURATIONS = {name: text for text, name in _FREQUENCIES.items()}
_OWN_FREQUENCY = f"{NAMESPACE}frequency:"

# To the public none of it is open: unconditional means among departments.
_ACCESS = {"unconditional": "RESTRICTED", "conditional": "RESTRICTED", "not-shared": "NON_PUBLIC"}

# Member of the document → term of our own, for what is one plain value.
_PLAIN = {
    "register": "zt:register",
    "subject_kind": "zt:subjectKind",
    "sharing_class": "zt:sharingClass",
    "legal_basis": "zt:legalBasis",
    "conditions": "zt:conditions",
    "lead_source": "zt:leadSource",
    "live": "zt:live",
}
_FIELD = {
    "name": "zt:name",
    "type": "zt:type",
    "sensitivity": "zt:sensitivity",
    "masking": "zt:masking",
    "lead_source": "zt:leadSource",
    "owner": "zt:owner",
}


@dataclass(frozen=True, slots=True)
class NotADataset:
    """A node that cannot be read; `place` is a JSON Pointer into the file."""

    place: str
    reason: str


def to_json_ld(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return complete documents as one `dcat:Catalog`."""
    return {
        "@context": dict(CONTEXT),
        "@id": "urn:zhengtong:catalogue",
        "@type": "dcat:Catalog",
        "dct:title": [_text("政务数据目录", "zh"), _text("Catalogue of government data", "en")],
        "dcat:dataset": [_dataset(each) for each in documents],
    }


def from_json_ld(content: Any) -> Iterator[tuple[str, Document | NotADataset]]:
    """Yield the datasets of a catalogue, or of a list of datasets, as documents still to be completed.

    Each with its place (JSON Pointer). The prefixes are taken for those of `CONTEXT`: it is no general processor.
    """
    place, nodes = "", content
    if isinstance(content, dict):
        place = "/dcat:dataset" if "dcat:dataset" in content else "/@graph"
        nodes = content.get("dcat:dataset", content.get("@graph"))
    if isinstance(nodes, dict):
        nodes = [nodes]
    if not isinstance(nodes, list):
        yield place, NotADataset(place, "no-datasets")
        return
    for number, node in enumerate(nodes):
        where = f"{place}/{number}"
        if not isinstance(node, dict) or "dcat:Dataset" not in _many(node.get("@type")):
            yield where, NotADataset(where, "not-a-dataset")
            continue
        yield where, _document(node)


def _dataset(document: Mapping[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = {
        "@id": f"{RESOURCE}{document['id']}",
        "@type": "dcat:Dataset",
        "dct:identifier": document["id"],
        "dcat:version": str(document["version"]),
        "dct:title": [_text(document["title"], "zh"), _text(document["title_en"], "en")],
        "dct:publisher": {
            "@id": f"urn:zhengtong:department:{document['department']}",
            "@type": "foaf:Organization",
            "dct:identifier": document["department"],
            "foaf:name": _text(document["owner"], "zh"),
        },
        "dct:accessRights": f"{_RIGHTS}{_ACCESS[document['sharing_class']]}",
    }
    if document["description"] is not None:
        node["dct:description"] = _text(document["description"], "zh")
    if document["theme"] is not None:
        node["dcat:theme"] = {"@type": "skos:Concept", "skos:prefLabel": _text(document["theme"], "zh")}
    if document["freshness"] is not None:
        named = _FREQUENCIES.get(document["freshness"])
        node["dct:accrualPeriodicity"] = (
            f"{_OWN_FREQUENCY}{document['freshness']}" if named is None else f"{_FREQUENCY}{named}"
        )
    if document["synonyms"]:
        node["dcat:keyword"] = [_text(each, "zh") for each in document["synonyms"]]
    if document["notice"] is not None:
        node["adms:versionNotes"] = _text(document["notice"], "zh")
    node |= {term: document[name] for name, term in _PLAIN.items() if document[name] is not None}
    node["zt:fields"] = [
        {
            "@type": "zt:Field",
            "dct:title": [_text(each["title"], "zh"), _text(each["title_en"], "en")],
            **{term: each[name] for name, term in _FIELD.items()},
        }
        for each in document["fields"]
    ]
    return node


def _document(node: Mapping[str, Any]) -> Document:
    """Return what a node says; what it does not say is left out, and `complete` tells what is missing."""
    publisher = node.get("dct:publisher")
    publisher = publisher if isinstance(publisher, dict) else {}
    theme = node.get("dcat:theme")
    version = str(node.get("dcat:version", ""))
    found: Document = {
        "id": node.get("dct:identifier"),
        "version": int(version) if version.isascii() and version.isdigit() else None,
        "title": _said(node.get("dct:title"), "zh"),
        "title_en": _said(node.get("dct:title"), "en"),
        "description": _said(node.get("dct:description"), "zh"),
        "owner": _said(publisher.get("foaf:name"), "zh"),
        "department": publisher.get("dct:identifier"),
        "theme": _said(theme.get("skos:prefLabel"), "zh") if isinstance(theme, dict) else None,
        "freshness": _duration(node.get("dct:accrualPeriodicity")),
        "synonyms": [_plain(each) for each in _many(node.get("dcat:keyword"))],
        "notice": _said(node.get("adms:versionNotes"), "zh"),
        "fields": [_field(each) for each in _many(node.get("zt:fields"))],
        **{name: node.get(term) for name, term in _PLAIN.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


def _field(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    found = {
        "title": _said(node.get("dct:title"), "zh"),
        "title_en": _said(node.get("dct:title"), "en"),
        **{name: node.get(term) for name, term in _FIELD.items()},
    }
    return {name: value for name, value in found.items() if value is not None}


def _text(value: str, language: str) -> dict[str, str]:
    return {"@language": language, "@value": value}


def _said(value: Any, language: str) -> Any:
    """Return a text in a language; a text without one counts as Chinese."""
    for each in _many(value):
        if isinstance(each, dict):
            if str(each.get("@language", "zh")).split("-")[0] == language:
                return each.get("@value")
        elif language == "zh":
            return each
    return None


def _plain(value: Any) -> Any:
    return value.get("@value") if isinstance(value, dict) else value


def _duration(value: Any) -> Any:
    text = value.get("@id") if isinstance(value, dict) else value
    if not isinstance(text, str):
        return text
    if text.startswith(_FREQUENCY):
        return _DURATIONS.get(text.removeprefix(_FREQUENCY), text)
    return text.removeprefix(_OWN_FREQUENCY)


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
