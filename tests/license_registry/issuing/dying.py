"""A process that issues, and kills itself at a step: `dying.py HOME ADDRESS STEP before|after TURN`, then the work.

STEP names a function; at its TURN-th call, before or after it has done its work, the process gets SIGKILL. The work:
`one` issues one licence under a key, `job ID` works on a job, `document` draws what is due at a moment.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from foundation.settings import Settings
from license_registry import tables
from license_registry.documents import at_issue, due
from license_registry.documents import tables as document_tables
from license_registry.issuing import issue as story
from license_registry.issuing import requests
from license_registry.issuing.bulk import batch, jobs
from license_registry.issuing.bulk import tables as job_tables
from license_registry.issuing.requests import Key
from license_registry.store.objects import FileStore
from tests.license_registry.requests import AUTHORITY, NOW, registry, request

STEPS: dict[str, tuple[Any, str]] = {
    "draw": (tables, "draw_numbers"),
    "put": (FileStore, "put"),
    "put-many": (FileStore, "put_many"),
    "add": (tables, "add"),
    "keep-key": (requests, "add"),
    "keep": (story, "_keep"),
    "draw-many": (tables, "draw_many"),
    "add-many": (tables, "add_many"),
    "advance": (job_tables, "advance"),
    "write": (batch, "_write"),
    "delete": (FileStore, "delete"),
    "claim": (due, "claim"),
    "add-document": (document_tables, "add"),
    "settle": (due, "settle"),
}


def deadly(function: Callable[..., Any], when: str, turn: int) -> Callable[..., Any]:
    turns = 0

    def strike(now: str) -> None:
        nonlocal turns
        turns += now == "before"
        if turns == turn and now == when:
            os.kill(os.getpid(), signal.SIGKILL)

    async def wrapped_coroutine(*arguments: Any, **named: Any) -> Any:
        strike("before")
        result = await function(*arguments, **named)
        strike("after")
        return result

    def wrapped(*arguments: Any, **named: Any) -> Any:
        strike("before")
        result = function(*arguments, **named)
        strike("after")
        return result

    return wrapped_coroutine if inspect.iscoroutinefunction(function) else wrapped


async def main(home: str, address: str, step: str, when: str, turn: str, *work: str) -> None:
    if step != "none":
        owner, name = STEPS[step]
        setattr(owner, name, deadly(getattr(owner, name), when, int(turn)))
    jobs.BATCH = 200
    settings = Settings(home=Path(home), database_url=address, holder_register="if-known")
    async with registry(settings, address) as ports:
        if work[0] == "one":
            wanted = request(number="ONE")
            await story.issue(ports, AUTHORITY, wanted, NOW, Key("client", "key"))
        elif work[0] == "document":
            moment = datetime.fromisoformat(work[1])
            await at_issue.draw_due(ports, lambda: moment)
        else:
            assert await jobs.work(ports, uuid.UUID(work[1]))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
