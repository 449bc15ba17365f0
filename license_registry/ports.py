"""What the registry works with, built once at start and handed to its routes as `app.state.registry`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from foundation.identity.signing_in import SigningIn
from foundation.sensitive import Vault
from foundation.settings import Settings
from foundation.signing import KeyStore
from license_registry.catalog.types import LicenceTypes
from license_registry.documents.drawing import Drawing
from license_registry.lifecycle.status_lists import StatusLists
from license_registry.presenting.tables import Codes
from license_registry.store.objects import ObjectStore
from license_registry.wallets.attesters import Attesters


@dataclass(frozen=True, slots=True)
class KnownHolder:
    """A person or an entity as the city's registers have it.

    Args:
        standing: `ended`: an entity that its register no longer names.
    """

    name: str
    standing: Literal["living", "dead", "ended"]


class HolderRegister(Protocol):
    """The city's registers of people and entities; the registry of licences does not know where they are."""

    async def find(self, code_type: str, subjects: Sequence[bytes]) -> list[KnownHolder | None]:
        """Return in step who is behind these blind indexes, None for nobody.

        Args:
            code_type: `001` for entities, `111` for people.
        """


class Identities(Protocol):
    """Who stands under several identifiers, as was decided of the registers; the registry does not know where."""

    async def of(self, subject: bytes) -> list[bytes]:
        """Return all blind indexes that stand for the one behind this one, which is among them."""


class NoOtherIdentities:
    """Everybody has one identifier."""

    async def of(self, subject: bytes) -> list[bytes]:
        """Return this one alone."""
        return [subject]


@dataclass(frozen=True, slots=True)
class Registry:
    """Rooms of the registry reach everything that is not pure through this; `pool` is of asyncpg.

    Args:
        codes: shares round trips between verifications; None where they are few.
        drawing: processes that draw documents; None where few are drawn.
        identities: who stands under several identifiers: their licences are found under each.
        attesters: who attests which wallet.
        signing_in: where people sign in whom a wallet sends; None without an issuer of people.
    """

    settings: Settings
    pool: Any
    vault: Vault
    keys: KeyStore
    store: ObjectStore
    types: LicenceTypes
    status_lists: StatusLists
    holders: HolderRegister
    codes: Codes | None = None
    drawing: Drawing | None = None
    signing_in: SigningIn | None = None
    identities: Identities = field(default_factory=NoOtherIdentities)
    attesters: Attesters = field(default_factory=dict)

    @property
    def wallets_come_by_themselves(self) -> bool:
        """Whether wallets are registered, and people can sign in."""
        return self.signing_in is not None and bool(self.settings.wallet_clients)

    @property
    def issuer(self) -> str:
        """Address of the registry, the `iss` of its credentials."""
        return f"{self.settings.base_url}/registry"
