"""The access record: written durably before any answer leaves, and committed by itself.

Records of requests that run at the same moment share one transaction (a group commit), which costs each of them
less than a transaction of its own and gives up nothing: each waits until the transaction that holds its record is
durable. Refusals are recorded the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.audit.tables import INSERT_RECORDS
from foundation.identity.principals import Principal
from foundation.ledger import commit, new_salt
from foundation.signing import canonical_json

LARGEST_GROUP = 256


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """One record as it will stand: `content` is canonical JSON, `entry` its salted commitment in the log."""

    id: uuid.UUID
    recorded_at: datetime
    client_id: str
    subject: bytes | None
    outcome: str
    entry: bytes
    salt: bytes
    content: bytes


def prepare(
    event: str,
    outcome: str,
    caller: Principal,
    now: datetime,
    *,
    subject: bytes | None = None,
    **facts: Any,
) -> AccessRecord:
    """Make a record of what a caller did.

    Args:
        event: what was asked, such as `verify`.
        outcome: `answered`, `refused`, ...
        subject: blind index of whose data it was about; never the identifier itself.
        facts: further members, JSON without fractions.
    """
    record_id = uuid.uuid4()
    content = canonical_json(
        {
            "id": str(record_id),
            "at": now.isoformat(),
            "event": event,
            "outcome": outcome,
            "client": caller.id,
            "department": caller.department,
            "subject": None if subject is None else subject.hex(),
            **facts,
        }
    )
    salt = new_salt()
    return AccessRecord(record_id, now, caller.id, subject, outcome, commit(salt, content), salt, content)


class Recorder:
    """Writes records in groups. One per process; `running()` owns the task that writes."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._waiting: list[tuple[AccessRecord, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._closing = False

    async def record(self, record: AccessRecord) -> None:
        """Return once the record is durable; raise what the database raised if it could not be written."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((record, done))
        self._wake.set()
        await done

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the writer; on leaving, what still waits is written first."""
        task = asyncio.create_task(self._write_until_closed())
        try:
            yield
        finally:
            self._closing = True
            self._wake.set()
            await task

    async def _write_until_closed(self) -> None:
        while True:
            await self._wake.wait()
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            if group:
                await self._write(group)
            if not self._waiting:
                if self._closing:
                    return
                self._wake.clear()

    async def _write(self, group: list[tuple[AccessRecord, asyncio.Future[None]]]) -> None:
        records = [record for record, _ in group]
        try:
            await self._pool.execute(
                INSERT_RECORDS,
                [r.id for r in records],
                [r.recorded_at for r in records],
                [r.client_id for r in records],
                [r.subject for r in records],
                [r.outcome for r in records],
                [r.entry for r in records],
                [r.salt for r in records],
                [r.content for r in records],
            )
        except Exception as error:  # noqa: BLE001 -- handed to every request that waits for it
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
        else:
            for _, done in group:
                if not done.done():
                    done.set_result(None)
