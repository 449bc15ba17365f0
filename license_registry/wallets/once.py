"""Proofs that are good once, over all processes.

A proof is used up where what it is for is written, in that transaction. So nobody fills the database with proofs that
give nothing, and of two requests with one proof one goes through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.identity.errors import OAuthError
from license_registry.wallets import tables


@dataclass(frozen=True, slots=True)
class Once:
    """A proof that held.

    Args:
        digest: what stands for it in the database.
        until: when it is too old in any case.
        spent: why it is refused if it was used before.
    """

    digest: bytes
    until: datetime
    spent: OAuthError


async def use_up(connection: Any, proofs: Iterable[Once], now: datetime) -> None:
    """Mark proofs as used.

    Raises:
        OAuthError: that of a proof that was used before; the transaction is to end without effect.
    """
    for each in proofs:
        if not await tables.use_proof(connection, each.digest, each.until, now):
            raise each.spent
