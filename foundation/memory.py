"""Memory of the process: what the allocator does with what was freed."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD = -1, -2
"""Parameters of glibc's `mallopt` (malloc.h)."""
KEPT_BYTES = 256 << 20
STEP_BYTES = 32 << 20


def keep_freed_memory() -> bool:
    """Keep up to 256 MB of freed memory in the process, and take new memory in steps of 32 MB.

    By default glibc gives the top of the heap back as soon as 128 KB of it are free. Work that fills and frees tens of
    megabytes again and again then pays for each page anew, which in a virtual machine costs more than the work itself.

    Returns:
        Whether the allocator took it; False where it is not glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT_BYTES)) and bool(mallopt(_TOP_PAD, STEP_BYTES))
