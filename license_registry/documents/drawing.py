"""Drawing beside the service: in processes of their own, since it takes tens of milliseconds of a core each."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from foundation.children import belong_to_parent
from foundation.language import _
from license_registry.documents.errors import (
    CharacterLacking,
    FormatUnknown,
    NotDrawn,
    character_lacking,
)
from license_registry.documents.fonts import Fonts, load_fonts
from license_registry.documents.ofd import draw_ofd
from license_registry.documents.pdf import PdfDrawer
from license_registry.documents.placing import place
from license_registry.documents.template import Template
from license_registry.documents.written import Written

WORKERS = 1
"""Processes beside each process of the service; each holds both fonts, some 170 MB."""
TRIES = 2


class Format(StrEnum):
    """In what a document is drawn."""

    PDF = "pdf"
    OFD = "ofd"

    @property
    def media_type(self) -> str:
        """Return the media type of the file."""
        return {"pdf": "application/pdf", "ofd": "application/ofd"}[self.value]


def format_of(name: str) -> Format:
    """Return a format by its name, or raise FormatUnknown."""
    try:
        return Format(name)
    except ValueError as error:
        raise FormatUnknown(_("documents are drawn as pdf or ofd"), pointer="/format") from error


@dataclass(frozen=True, slots=True)
class _Refused:
    """A refusal as it comes out of another process: for want of a character of which field, of which plane."""

    field: str
    plane: int


class Drawing:
    """Processes that draw, started when the first document is asked for."""

    def __init__(self, own_fonts: Path, niceness: int = 0) -> None:
        """Start nothing yet.

        Args:
            niceness: by how much others go before these processes on the processor, 0 to 19.
        """
        self._own_fonts = own_fonts
        self._niceness = niceness
        self._pool: ProcessPoolExecutor | None = None

    async def draw(self, form: Format, written: Written, template: Template) -> bytes:
        """Draw a document; equal arguments give equal bytes.

        Raises:
            CharacterLacking: no font has one of its characters.
            NotDrawn: the process that drew it ended, twice.
        """
        for _turn in range(TRIES):
            pool = self._pool or self._started()
            try:
                drawn = await asyncio.wrap_future(
                    pool.submit(_draw, self._own_fonts, form, written, template)
                )
            except BrokenProcessPool:
                # Killed for want of memory, say. Whoever sees it first takes the pool away; the next one is fresh.
                if self._pool is pool:
                    self._pool = None
                continue
            if isinstance(drawn, _Refused):
                raise character_lacking(drawn.field, drawn.plane)
            return drawn
        raise NotDrawn(_("the process that draws documents ended before its work did"))

    def close(self) -> None:
        """End the processes; what they draw is finished first."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        # Not forked: this process has threads and an event loop.
        self._pool = ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context("spawn"), _begin, (self._niceness,)
        )
        return self._pool


def _begin(niceness: int) -> None:
    belong_to_parent()
    os.nice(niceness)


@cache
def _with(own_fonts: Path) -> tuple[Fonts, PdfDrawer]:
    fonts = load_fonts(own_fonts)
    return fonts, PdfDrawer(fonts)


def _draw(own_fonts: Path, form: Format, written: Written, template: Template) -> bytes | _Refused:
    try:
        return draw(own_fonts, form, written, template)
    except CharacterLacking as refusal:
        return _Refused(str(refusal.values["field"]), int(str(refusal.values["plane"])))


def draw(own_fonts: Path, form: Format, written: Written, template: Template) -> bytes:
    """Draw a document in this process.

    Raises:
        CharacterLacking: no font has one of its characters.
    """
    fonts, pdf = _with(own_fonts)
    pages = place(written, template, fonts)
    if form is Format.PDF:
        return pdf.draw(written, template, pages)
    return draw_ofd(written, template, pages, fonts)
