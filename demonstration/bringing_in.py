"""Ways for the story's files into the registers: by the pipeline in this process, or by whatever else runs it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connectors.mapping import load_mapping
from connectors.pipeline import Report, run
from connectors.sources.files import FileSource
from demonstration.transcript import Transcript
from foundation.sensitive import Vault, open_keyring
from foundation.settings import Settings, load_master_key


@dataclass(frozen=True, slots=True)
class Way:
    """A way that is open.

    Args:
        bring_in: takes a source and a file of it, and returns the report of the connector run.
        pages: where people can look at it while it is open; None: nowhere.
    """

    bring_in: Callable[[str, Path], Report]
    pages: str | None = None


Opening = Callable[[Settings, str, Transcript], AbstractContextManager[Way]]
"""Opens a way, given the settings and the address of the database, and closes it in the end."""


@contextlib.contextmanager
def by_pipeline(settings: Settings, address: str, told: Transcript) -> Iterator[Way]:
    """Open the shortest way."""
    vault = Vault(open_keyring(settings.keys_folder / "data", load_master_key(settings), datetime.now(UTC)))

    def bring_in(source: str, path: Path) -> Report:
        mapping = load_mapping(source)
        return run(mapping, FileSource(path, mapping), database=address, vault=vault)

    yield Way(bring_in)
