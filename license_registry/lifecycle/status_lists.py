"""Status lists as published: built from the states on demand, signed, and kept for a second."""

from __future__ import annotations

import time
from typing import Any

from foundation.errors import NotFound
from foundation.language import _
from foundation.signing import KeyStore
from license_registry import tables
from license_registry.credentials.status_list import LIST_ENTRIES, sign_list, status_of_state

PURPOSE = "credential"
KEPT_SECONDS = 1.0
TTL_SECONDS = 300
LIVES_SECONDS = 24 * 3600


class StatusLists:
    """Gives status list tokens. A change of state is in the list within `KEPT_SECONDS`."""

    def __init__(self, pool: Any, keys: KeyStore, issuer: str) -> None:
        self._pool = pool
        self._keys = keys
        self._issuer = issuer
        self._kept: dict[int, tuple[float, str]] = {}

    def reference(self, index: int) -> dict[str, object]:
        """Return the `status` claim of the licence at an index (Token Status List §6.2)."""
        return {"status_list": {"idx": index % LIST_ENTRIES, "uri": self.uri(index // LIST_ENTRIES)}}

    def uri(self, number: int) -> str:
        """Return the address of a list."""
        return f"{self._issuer}/v1/status-lists/{number}"

    async def token(self, number: int) -> str:
        """Return the signed list.

        Raises:
            NotFound: no licence has an index in it yet.
        """
        kept = self._kept.get(number)
        if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        first = number * LIST_ENTRIES
        highest = await tables.highest_status_index(self._pool)
        if number < 0 or highest is None or first > highest:
            raise NotFound(_("no such status list"))
        rows = await tables.states_not_valid(self._pool, first, first + LIST_ENTRIES)
        token = sign_list(
            self._keys.signer(PURPOSE),
            self.uri(number),
            ((index - first, status_of_state(state)) for index, state in rows),
            now=int(time.time()),
            ttl=TTL_SECONDS,
            lives=LIVES_SECONDS,
        )
        self._kept[number] = (time.monotonic(), token)
        return token
