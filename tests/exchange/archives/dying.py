"""A process that packs closed cases, and kills itself at a step: `dying.py HOME ADDRESS PORT OUTCOME STEP before|after`.

STEP names a function; before or after it has done its work, the process gets SIGKILL.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import sys
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from exchange.archives import pack, tables
from foundation.settings import Settings
from license_registry.archive import pack as packing
from license_registry.archive import tables as packages
from license_registry.store.objects import FileStore
from zhengtong.house import open_house

STEPS: dict[str, tuple[Any, str]] = {
    "take": (tables, "take_due"),
    "gather": (pack, "gather"),
    "prove": (pack, "inclusions"),
    "make": (packing, "_made"),
    "put": (FileStore, "put"),
    "note": (packages, "add"),
    "event": (packing, "add_event"),
    "packed": (packing, "pack"),
    "tell": (tables, "note_packed"),
    "record": (pack, "record_within"),
    "done": (pack, "pack"),
}


def deadly(function: Callable[..., Any], when: str) -> Callable[..., Any]:
    def die(at: str) -> None:
        if at == when:
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        die("before")
        result = function(*arguments, **named)
        die("after")
        return result

    @functools.wraps(function)
    async def wrapped_async(*arguments: Any, **named: Any) -> Any:
        die("before")
        result = await function(*arguments, **named)
        die("after")
        return result

    return wrapped_async if inspect.iscoroutinefunction(function) else wrapped


async def main(home: str, address: str, port: str, outcome: str, step: str, when: str) -> None:
    if step != "none":
        owner, name = STEPS[step]
        setattr(owner, name, deadly(getattr(owner, name), when))
    pack.LEASE = timedelta(seconds=0.05)
    settings = Settings(home=Path(home), database_url=address, listen_port=int(port))
    async with open_house(settings, address) as house:
        while True:
            found = await tables.find(house.exchange.pool, uuid.UUID(outcome))
            if found is not None and found.state == tables.PACKED:
                return
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
