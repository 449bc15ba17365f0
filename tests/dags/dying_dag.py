"""Run a DAG as run_dag.py does, and die at a named point. Usage: dying_dag.py POINT NUMBER MODULE DAG-ID."""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dags.arrival
import dags.sources
from connectors import cursors, pipeline, quarantine

point, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]
calls = 0


def dying(work: Callable[..., Any], before: bool = False) -> Callable[..., Any]:
    """Return the work, which kills this process at its call of that number, before or after it is done."""

    def wrapped(*arguments: Any, **options: Any) -> Any:
        global calls
        calls += 1
        if before and calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        result = work(*arguments, **options)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


match point:
    case "found":
        dags.arrival.waiting = dying(dags.arrival.waiting)
    case "brought":
        pipeline.bring_in = dying(pipeline.bring_in)
    case "merging":
        pipeline.bring_in = dying(pipeline.bring_in, before=True)
    case "quarantined":
        quarantine.put = dying(quarantine.put)
    case "cursor moved":
        cursors.move = dying(cursors.move)
    case "committed":
        cursors.finish_run = dying(cursors.finish_run, before=True)
    case "reported":
        cursors.finish_run = dying(cursors.finish_run)
    case "put away":
        dags.sources.file_away = dying(dags.sources.file_away)
pipeline.run.__kwdefaults__["batch_rows"] = int(os.environ.get("BATCH_ROWS", "60"))
runpy.run_path(str(Path(__file__).with_name("run_dag.py")), run_name="__main__")
