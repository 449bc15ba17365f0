"""Keys that were made, rotated or revoked by a command or another process: known here within two seconds.

Without it a revoked key would go on to count until something else happens to read the folder again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, NoReturn

from foundation.signing import KeyStore, KeyStoreError

LOOK_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


async def follow_keys(keys: KeyStore) -> NoReturn:
    """Look at the folder every second; a folder that cannot be read leaves the keys as they were."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await asyncio.to_thread(keys.reload)
        except KeyStoreError as error:
            logger.error("keys not read", extra={"error": str(error)})
