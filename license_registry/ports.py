"""What the registry works with, built once at start and handed to its routes as `app.state.registry`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from foundation.sensitive import Vault
from foundation.settings import Settings
from foundation.signing import KeyStore
from license_registry.catalog.types import LicenceTypes
from license_registry.lifecycle.status_lists import StatusLists
from license_registry.store.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Registry:
    """Rooms of the registry reach everything that is not pure through this; `pool` is of asyncpg."""

    settings: Settings
    pool: Any
    vault: Vault
    keys: KeyStore
    store: ObjectStore
    types: LicenceTypes
    status_lists: StatusLists

    @property
    def issuer(self) -> str:
        """Address of the registry, the `iss` of its credentials."""
        return f"{self.settings.base_url}/registry"
