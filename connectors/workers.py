"""Making slices ready in processes beside this one, in their order.

Taking rows apart, checking and sealing them is most of the work of a run, and each slice is its own. What a worker
gives back is what the database takes; only this process talks to it. Rows come back through memory that all share: a
pipe would copy them four times more.
"""

from __future__ import annotations

import gc
import mmap
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from connectors.ready import Preparer, Ready
from connectors.sources.raw import Slice
from foundation.children import belong_to_parent
from foundation.errors import DomainError
from foundation.language import _
from foundation.memory import keep_freed_memory

SlicesReady = Callable[[Iterable[Slice]], Iterator[tuple[Slice, Ready]]]


LARGE_FILE = 16 << 20
"""Bytes from which a file is worth the start of workers."""
MOST_WORKERS = 8
WINDOW_BYTES = 16 << 20
"""Of shared memory for the rows of one slice; only what is written to takes memory. Larger ones go through the pipe."""


def workers_for(path: Path | None) -> int:
    """Return how many workers a file is worth on this machine; 0 where there is one core, or no large file."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if cores == 1 or path is None or not path.is_file() or path.stat().st_size < LARGE_FILE:
        return 0
    return min(cores, MOST_WORKERS)


class WorkerDied(DomainError):
    """A process that made rows ready came to an end before its work did."""

    code = "worker-died"


@contextmanager
def making_ready(preparer: Preparer, workers: int) -> Iterator[SlicesReady]:
    """Give what makes slices ready, one after the other in their order.

    Enter it before this process opens connections or starts threads: the workers are copies of it as it is then.

    Args:
        workers: processes; 0: in this one. Each holds at most two slices at a time.
    """
    if workers == 0:
        yield lambda slices: ((piece, preparer.make_ready(piece)) for piece in slices)
        return
    most = workers * 2
    with mmap.mmap(-1, WINDOW_BYTES * most) as shared:
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(workers, context, _begin, (preparer, shared))
        try:
            # The first task starts all processes.
            pool.submit(_nothing).result()
            yield lambda slices: _in_order(pool, shared, slices, most)
        finally:
            pool.shutdown(cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor, shared: mmap.mmap, slices: Iterable[Slice], most: int
) -> Iterator[tuple[Slice, Ready]]:
    waiting: deque[tuple[Slice, int, Future[tuple[Ready, int]]]] = deque()

    def next_ready() -> tuple[Slice, Ready]:
        piece, window, future = waiting.popleft()
        ready, size = future.result()
        rows = ready.rows if size == 0 else replace(ready.rows, rows=shared[window : window + size])
        return piece, replace(ready, rows=rows)

    try:
        for number, piece in enumerate(slices):
            # Free again: what was in it before has been taken out, since no more than so many are on their way.
            window = number % most * WINDOW_BYTES
            waiting.append((piece, window, pool.submit(_make_ready, piece, window)))
            if len(waiting) >= most:
                yield next_ready()
        while waiting:
            yield next_ready()
    except BrokenProcessPool as error:
        raise WorkerDied(_("a process that takes rows apart ended before its work did")) from error


_preparer: Preparer
_shared: mmap.mmap
"""Of a worker: what it was started with."""


def _begin(preparer: Preparer, shared: mmap.mmap) -> None:
    global _preparer, _shared
    _preparer, _shared = preparer, shared
    belong_to_parent()
    # As in the parent (`pipeline`): a run makes no cycles, and its memory is wanted again at once.
    gc.disable()
    keep_freed_memory()


def _nothing() -> None:
    pass


def _make_ready(piece: Slice, window: int) -> tuple[Ready, int]:
    """Make a slice ready; put its rows into a window of the shared memory, and return the rest and their size.

    Rows that do not fit stay where they are, and their size is 0.
    """
    ready = _preparer.make_ready(piece)
    rows, size = ready.rows, len(ready.rows.rows)
    if size > WINDOW_BYTES:
        return ready, 0
    _shared[window : window + size] = rows.rows
    return replace(ready, rows=replace(rows, rows=b"")), size
