"""When the document of a licence is drawn."""

from __future__ import annotations

from license_registry.catalog.types import LicenceType
from license_registry.ports import Registry


def at_issue(registry: Registry, type_: LicenceType) -> bool:
    """Tell whether licences of a type get their document at issue; else it is drawn when it is asked for."""
    return registry.settings.documents == "at-issue" and type_.layout is not None
