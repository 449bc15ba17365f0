"""Processes that work for another one: it decides when they end, and they never outlive it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable


def _leave() -> None:
    os._exit(1)


def belong_to_parent(end: Callable[[], None] = _leave) -> None:
    """Leave interrupts to the process that started this one, and end with it. Called once, when this one begins.

    An interrupt reaches the whole group; the parent decides what becomes of the work. However the parent ends, this
    process ends, too: the pipes between them do not tell.

    Args:
        end: ends this process; by default at once.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(end,), daemon=True).start()


def _end_with_parent(end: Callable[[], None]) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    end()
