"""Opening the vault that the settings name."""

from __future__ import annotations

from datetime import datetime

from foundation.sensitive.keyring import open_keyring
from foundation.sensitive.seal import Vault
from foundation.settings import Settings, load_master_key


def open_vault(settings: Settings, now: datetime) -> Vault:
    """Open the vault for sensitive fields."""
    keyring = open_keyring(
        settings.keys_folder / "data", load_master_key(settings), now, settings.data_cipher
    )
    return Vault(keyring)
