"""Status lists as published: the states are looked at every second, and signed again when one has changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from foundation.errors import NotFound
from foundation.language import _
from foundation.signing import KeyStore
from license_registry import tables
from license_registry.credentials.status_list import LIST_ENTRIES, Status, sign_list, status_of_state

PURPOSE = "credential"
KEPT_SECONDS = 1.0
TTL_SECONDS = 300
LIVES_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list as it was signed last; times are of the monotonic clock, in seconds."""

    statuses: frozenset[tuple[int, Status]]
    token: str
    signed_at: float
    looked_at: float


class StatusLists:
    """Gives status list tokens. A change of state is in the list within `KEPT_SECONDS`."""

    def __init__(self, pool: Any, keys: KeyStore, issuer: str) -> None:
        self._pool = pool
        self._keys = keys
        self._issuer = issuer
        self._kept: dict[int, _Kept] = {}

    def reference(self, index: int) -> dict[str, object]:
        """Return the `status` claim of the licence at an index (Token Status List §6.2)."""
        return {"status_list": {"idx": index % LIST_ENTRIES, "uri": self.uri(index // LIST_ENTRIES)}}

    def uri(self, number: int) -> str:
        """Return the address of a list."""
        return f"{self._issuer}/v1/status-lists/{number}"

    async def token(self, number: int) -> str:
        """Return the signed list: the same token while no state changes, so that caches need not fetch it again.

        Raises:
            NotFound: no licence has an index in it yet.
        """
        kept, moment = self._kept.get(number), time.monotonic()
        if kept is not None and moment - kept.looked_at < KEPT_SECONDS:
            return kept.token
        first = number * LIST_ENTRIES
        highest = await tables.highest_status_index(self._pool)
        if number < 0 or highest is None or first > highest:
            raise NotFound(_("no such status list"))
        rows = await tables.states_not_valid(self._pool, first, first + LIST_ENTRIES)
        statuses = frozenset((index - first, status_of_state(state)) for index, state in rows)
        if kept is not None and kept.statuses == statuses and moment - kept.signed_at < TTL_SECONDS:
            self._kept[number] = replace(kept, looked_at=moment)
            return kept.token
        token = sign_list(
            self._keys.signer(PURPOSE),
            self.uri(number),
            statuses,
            now=int(time.time()),
            ttl=TTL_SECONDS,
            lives=LIVES_SECONDS,
        )
        self._kept[number] = _Kept(statuses, token, moment, moment)
        return token
