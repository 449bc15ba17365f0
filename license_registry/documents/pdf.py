"""Placed pages as PDF/A-3b: tagged, fonts embedded, the credential and the metadata attached inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, Final

import orjson
import typst

from license_registry.documents.fonts import Fonts
from license_registry.documents.placing import Page
from license_registry.documents.template import Template
from license_registry.documents.written import Written

STANDARD: Final = "a-3b"
"""The part of PDF/A that allows files of any kind inside; else it is as A-2b."""
METADATA = "metadata.json"


class PdfDrawer:
    """Draws with fonts that are loaded once."""

    def __init__(self, fonts: Fonts) -> None:
        folders = list(dict.fromkeys(str(face.path.parent) for face in fonts.faces))
        known = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
        # Typst has its own way of naming families; files and numbers of faces are the same for both.
        names = {
            (str(Path(each.path).resolve()), each.index): each.family
            for each in known.fonts()
            if each.path is not None
        }
        self._families = [
            names.get((str(face.path.resolve()), face.number), face.family) for face in fonts.faces
        ]
        self._program = (resources.files("license_registry.documents") / "sheet.typ").read_bytes()
        self._compiler = typst.Compiler(self._program, font_paths=known)

    def draw(self, written: Written, template: Template, pages: Sequence[Page]) -> bytes:
        """Return the file; equal arguments give equal bytes."""
        made = written.made_at
        told: dict[str, Any] = {
            "title": written.title,
            "author": written.issuer,
            "keywords": [f"{name}={value}" for name, value in written.metadata.items() if name in _KEYWORDS],
            "description": written.metadata["ZZBS"],
            "date": {
                "year": made.year,
                "month": made.month,
                "day": made.day,
                "hour": made.hour,
                "minute": made.minute,
                "second": made.second,
            },
            "width": template.width,
            "height": template.height,
            "fonts": self._families,
            "attached": [
                {
                    "name": METADATA,
                    "media_type": "application/json",
                    "description": "证照元数据 GB/T 36903",
                    "relationship": "data",
                    "data": orjson.dumps(dict(written.metadata), option=orjson.OPT_INDENT_2).decode(),
                },
                *({**asdict(file), "relationship": "source"} for file in written.attached),
            ],
            "pages": [asdict(page) for page in pages],
        }
        made_pdf = self._compiler.compile(
            self._program,
            sys_inputs={"told": orjson.dumps(told).decode()},
            format="pdf",
            pdf_standards=[STANDARD],
            timestamp=int(made.timestamp()),
        )
        assert isinstance(made_pdf, bytes)
        return made_pdf


# The document's information is read by every viewer and indexed by mail servers: nothing of the holder stands there.
_KEYWORDS = frozenset(
    {"ZZMC", "ZZLXDM", "ZZBH", "ZZBS", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ", "GLZZBS"}
    | {"JZJZZ", "JZJZZZ", "JZJZZSJ", "JZJZZSY", "JZJYXQJZSJ"}
)
