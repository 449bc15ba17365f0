"""Commands of the house as tasks: what lives on the floor above this one is run, not called."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run_command(*words: str) -> Any:
    """Run `zhengtong WORDS --json` in a process of its own, and return what it reports.

    Raises:
        CalledProcessError: it failed; its own words stand in the log of the task.
    """
    done = subprocess.run(  # noqa: S603 -- our own command
        [sys.executable, "-m", "zhengtong", *words, "--json"], stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout)
