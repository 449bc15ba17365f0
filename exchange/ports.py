"""What the exchange works with, built once at start and handed to its routes as `app.state.exchange`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from exchange.audit.record import Recorder
from exchange.catalog.resources import Catalogue
from exchange.grants.held import Grants
from exchange.registers.lookup import Lookups
from exchange.relaying.relays import Relays
from foundation.ledger import DirectoryTiles
from foundation.sensitive import Vault
from foundation.settings import Settings
from foundation.signing import KeyStore


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rooms of the exchange reach everything that is not pure through this.

    Args:
        pool: asyncpg pool, for the hot path.
        engine: SQLAlchemy engine on the same database, for everything else.
    """

    settings: Settings
    pool: Any
    engine: AsyncEngine
    vault: Vault
    keys: KeyStore
    recorder: Recorder
    grants: Grants
    lookups: Lookups
    catalogue: Catalogue
    tiles: DirectoryTiles
    relays: Relays
