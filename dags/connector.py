"""What a connector run needs, opened alike for all tasks: the database, the keys, the mapping as it is now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.mapping import SourceMapping, load_mapping
from foundation.settings import Settings

if TYPE_CHECKING:
    from connectors.pipeline import Report
    from connectors.sources.raw import Source
    from foundation.sensitive import Vault


@dataclass(frozen=True, slots=True)
class Connector:
    """Ready to run.

    Args:
        address: libpq address of the database.
        now: when it was opened.
    """

    mapping: SourceMapping
    address: str
    vault: Vault
    sources_folder: Path
    now: datetime

    def run(self, origin: Source, **options: Any) -> Report:
        """Bring in what an origin has, see `connectors.pipeline.run`."""
        from connectors.pipeline import run

        return run(
            self.mapping,
            origin,
            database=self.address,
            vault=self.vault,
            sources_folder=self.sources_folder,
            **options,
        )


@contextmanager
def connector(source: str) -> Iterator[Connector]:
    """Open what a run of a source needs.

    Raises:
        SourceError: its mapping is wrong.
        SchemaVersionError: the tables are not this program's.
        KeyringError: the keys cannot be read.
    """
    # Here and not above: the DAG files are read every half minute, and only running tasks need these.
    from foundation import database
    from foundation.sensitive import Vault, open_keyring
    from foundation.settings import load_master_key

    settings = Settings()
    now = datetime.now(UTC)
    vault = Vault(open_keyring(settings.keys_folder / "data", load_master_key(settings), now))
    with database.running_database(settings) as address:
        database.require_current_schema(address)
        mapping = load_mapping(source, settings.sources_folder)
        yield Connector(mapping, address, vault, settings.sources_folder, now)
