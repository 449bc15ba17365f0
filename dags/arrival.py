"""Waiting for the files of a source: without a worker, where one is expected and does not wait yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.triggers.base import BaseTrigger, TriggerEvent

from dags.inbox import inbox, waiting
from foundation.settings import Settings

LOOK_EVERY_SECONDS = 10.0


class FindFiles(BaseOperator):  # type: ignore[misc]  # Airflow lives in an environment of its own
    """Lists the files that wait in the inbox of a source.

    Args:
        patience: how long to wait for the first one, in the triggerer; None: what is not there is not waited for.
    """

    def __init__(self, *, source: str, patience: timedelta | None, **options: Any) -> None:
        super().__init__(**options)
        self.source = source
        self.patience = patience

    def execute(self, context: Context) -> list[str]:
        """Return the names, in the order they are to be brought in; leave the worker while there is none."""
        folder = inbox(Settings(), self.source)
        names = waiting(folder)
        if not names and self.patience is not None:
            self.defer(trigger=FileComes(str(folder.resolve())), method_name="arrived", timeout=self.patience)
        return names

    def arrived(self, context: Context, event: Any = None) -> list[str]:
        """Return the names once there are some: looked up anew, since more may have come by now."""
        return waiting(inbox(Settings(), self.source))


class FileComes(BaseTrigger):  # type: ignore[misc]  # as above
    """Fires once a whole file waits in a folder. Holds nothing but its arguments, so any triggerer can take over."""

    def __init__(self, folder: str, every_seconds: float = LOOK_EVERY_SECONDS) -> None:
        super().__init__()
        self.folder = folder
        self.every_seconds = every_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes it anew elsewhere."""
        return "dags.arrival.FileComes", {"folder": self.folder, "every_seconds": self.every_seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look again and again; in a thread, because a folder may stand on a network."""
        # No event tells of a file that another machine puts down.
        while not await asyncio.to_thread(waiting, Path(self.folder)):  # noqa: ASYNC110
            await asyncio.sleep(self.every_seconds)
        yield TriggerEvent(True)
