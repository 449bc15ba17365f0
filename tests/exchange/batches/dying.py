"""A process that works on batches, and kills itself at a step: `dying.py HOME ADDRESS BATCH STEP before|after TURN`.

STEP names a function; at its TURN-th call, before or after it has done its work, the process gets SIGKILL.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from exchange.audit import many
from exchange.audit.record import Recorder
from exchange.batches import live_tables, tables, work
from exchange.batches.batch import OPEN
from exchange.catalog.follow import FollowedCatalogue
from exchange.grants.held import Grants
from exchange.ports import Exchange
from exchange.registers.freshness import Freshness
from exchange.registers.lookup import Lookups
from exchange.registers.schemas import load_registers
from exchange.relaying.relays import Relays
from foundation import database
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings, load_master_key
from foundation.signing import KeyStore

STEPS: dict[str, tuple[Any, str]] = {
    "take": (tables, "take"),
    "ready": (work, "_make_ready"),
    "advance": (tables, "advance"),
    "records": (many, "write"),
    "result": (tables, "add_result"),
    "part": (work, "_write"),
    "end": (tables, "finish"),
    "finish": (work, "finish"),
    "keep": (live_tables, "keep"),
}


def deadly(function: Callable[..., Any], when: str, turn: int) -> Callable[..., Any]:
    turns = 0

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal turns
        turns += 1
        mine = turns == turn
        if mine and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await function(*arguments, **named)
        if mine and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


async def main(home: str, address: str, batch: str, step: str, when: str, turn: str) -> None:
    if step != "none":
        owner, name = STEPS[step]
        setattr(owner, name, deadly(getattr(owner, name), when, int(turn)))
    work.LEASE = timedelta(seconds=0.05)
    settings = Settings(home=Path(home), database_url=address)
    async with database.pool(address, 4) as pool, httpx.AsyncClient() as http:
        recorder = Recorder(pool)
        lookups = Lookups(pool, load_registers().values())
        async with recorder.running(), lookups.running():
            catalogue = FollowedCatalogue(pool, {})
            await catalogue.refresh(datetime.now(UTC))
            keys = KeyStore(settings.keys_folder / "signing", load_master_key(settings))
            needed: dict[str, Any] = {
                "settings": settings,
                "pool": pool,
                "engine": database.engine(address),
                "vault": open_vault(settings, datetime.now(UTC)),
                "keys": keys,
                "recorder": recorder,
                "grants": Grants(pool),
                "lookups": lookups,
                "catalogue": catalogue,
                "freshness": Freshness(pool),
                "relays": Relays(pool, keys, settings.base_url, http),
            }
            exchange = Exchange(**dict.fromkeys(field.name for field in fields(Exchange)) | needed)
            await exchange.relays.load()
            working_on = await tables.find(pool, uuid.UUID(batch))
            assert working_on is not None
            working = asyncio.create_task(work.work_forever(exchange, live=working_on.live))
            while not working.done():
                found = await tables.find(pool, uuid.UUID(batch))
                assert found is not None
                if found.state not in OPEN:
                    return
                await asyncio.sleep(0.02)
            await working


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
