"""The resources that come along, in `schemas/resources`: what a new house publishes at its first start."""

from __future__ import annotations

from functools import cache
from importlib import resources as files

import orjson

from exchange.catalog.document import Document, complete, require_ready, resource_of
from exchange.catalog.resource import (
    Catalogue,
    Field,
    FieldUnknown,
    Masking,
    ReadsFrom,
    Resource,
    ResourceNotConnected,
    ResourceNotShared,
    ResourceUnknown,
    Sensitivity,
    SharingClass,
    require_resource,
)

__all__ = [
    "Catalogue",
    "Field",
    "FieldUnknown",
    "Masking",
    "ReadsFrom",
    "Resource",
    "ResourceNotConnected",
    "ResourceNotShared",
    "ResourceUnknown",
    "Sensitivity",
    "SharingClass",
    "load_catalogue",
    "read_seeds",
    "require_resource",
]


@cache
def read_seeds() -> tuple[Document, ...]:
    """Read the documents that come along, complete.

    Raises:
        ResourceMalformed: one of them cannot be used.
    """
    found = []
    for path in sorted((files.files("schemas") / "resources").iterdir(), key=lambda p: p.name):
        if path.name.endswith(".json"):
            document = complete(orjson.loads(path.read_bytes()))
            require_ready(document)
            found.append(document)
    return tuple(found)


def load_catalogue() -> Catalogue:
    """Return the resources that come along, as a catalogue without a database."""
    return {document["id"]: resource_of(document) for document in read_seeds()}
