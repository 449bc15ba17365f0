"""What the exchange works with, built once at start and handed to its routes as `app.state.exchange`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from exchange.audit.record import Recorder
from exchange.catalog.follow import FollowedCatalogue
from exchange.grants.held import Grants
from exchange.registers.freshness import Freshness
from exchange.registers.lookup import Lookups
from foundation.ledger import DirectoryTiles
from foundation.sensitive import Vault
from foundation.settings import Settings
from foundation.signing import KeyStore


class LicencesHeld(Protocol):
    """The registry of licences; the exchange does not know where it is."""

    def knows(self, licence_type: str) -> bool:
        """True when there is a licence type of this id."""

    async def in_force(self, licence_type: str, holder: bytes, day: date) -> bool:
        """Tell whether somebody, alone or with others, holds a licence of a type that is valid on a day.

        Args:
            holder: blind index.
        """


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rooms of the exchange reach everything that is not pure through this.

    Args:
        pool: asyncpg pool, for the hot path.
        engine: SQLAlchemy engine on the same database, for everything else.
        catalogue: resources in force; a change takes effect in every process within two seconds.
    """

    settings: Settings
    pool: Any
    engine: AsyncEngine
    vault: Vault
    keys: KeyStore
    recorder: Recorder
    grants: Grants
    lookups: Lookups
    catalogue: FollowedCatalogue
    tiles: DirectoryTiles
    licences: LicencesHeld
    freshness: Freshness
