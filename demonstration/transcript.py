"""Telling the story on a terminal: numbered chapters, facts with counts and timings, expectations checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from foundation.errors import DomainError
from foundation.language import _, both


class StoryBroken(DomainError):
    """A step could not be told at all; what was done before it stands."""

    code = "story-broken"


@dataclass(slots=True)
class Transcript:
    """What was told so far. `write` takes one line; nothing is written where it is None."""

    write: Callable[[str], None] | None
    chapters: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """Tell a chapter and how long it took."""
        number = len(self.chapters) + 1
        entry: dict[str, Any] = {"chapter": title, "facts": {}, "expectations": {}}
        self.chapters.append(entry)
        self._line("")
        self._line(f"{number}. {both(title)}")
        started = time.perf_counter()
        yield
        entry["seconds"] = round(time.perf_counter() - started, 3)
        self._line(f"   {both(_('took'))} {entry['seconds']:.2f} s")

    def fact(self, name: str, value: object) -> None:
        """Tell one fact."""
        self.chapters[-1]["facts"][name] = value
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
        self._line(f"   {both(name)}: {shown}")

    def expect(self, name: str, came_out: bool, **values: object) -> None:
        """Tell whether something came out as told; what did not decides the exit code."""
        text = both(name, **values)
        self.chapters[-1]["expectations"][name.format_map(values)] = came_out
        self._line(f"   {'✓' if came_out else '✗'} {text}")
        if not came_out:
            self.failures.append(name.format_map(values))

    def _line(self, text: str) -> None:
        if self.write is not None:
            self.write(text)
