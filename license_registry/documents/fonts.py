"""The fonts that documents are drawn with: which of them has a character, and how wide it is there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import noto_cjk_sans_otc
import pylopdf_fonts_zh_cn
from fontTools.ttLib import TTFont, TTLibError
from fontTools.ttLib.ttCollection import TTCollection

logger = logging.getLogger(__name__)

COLLECTION_FACE = "Noto Sans CJK SC"
_FILES = ("*.otf", "*.ttf", "*.ttc")


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a font file; widths in units of `em`.

    Args:
        number: of the face, where the file holds several.
        glyphs: code point → name of the glyph.
    """

    path: Path
    number: int
    family: str
    em: int
    glyphs: Mapping[int, str]
    advances: Mapping[str, tuple[int, int]]
    font: Any

    def width(self, character: str) -> float:
        """Return the width of a character that it has, as a share of the size."""
        return self.advances[self.glyphs[ord(character)]][0] / self.em


class Fonts:
    """Faces in the order in which they are tried: the first that has a character draws it.

    Noto Serif SC (all ideographs of the basic plane), then Noto Sans CJK SC for two thousand rarer ones, then what a
    city has put into its own folder. The first two come with the program, so that documents look the same on every
    machine.
    """

    def __init__(self, faces: Sequence[Face]) -> None:
        self.faces = tuple(faces)
        self._of: dict[str, Face | None] = {}

    def face(self, character: str) -> Face | None:
        """Return the face that draws a character, None if no font has it."""
        if character not in self._of:
            code = ord(character)
            self._of[character] = next((face for face in self.faces if code in face.glyphs), None)
        return self._of[character]

    def width(self, character: str) -> float:
        """Return the width of a character as a share of the size; one that no font has is a square."""
        face = self.face(character)
        return 1.0 if face is None else face.width(character)

    def lacking(self, text: str) -> str | None:
        """Return the first character that no font has."""
        return next((each for each in text if self.face(each) is None), None)


def load_fonts(own: Path) -> Fonts:
    """Load the fonts that come along, and those of a folder, by their names.

    Args:
        own: folder of `.otf`, `.ttf` and `.ttc` files; it need not be there.
    """
    paths = [Path(pylopdf_fonts_zh_cn.serif_path()), Path(str(noto_cjk_sans_otc.FONT_PATH))]
    faces = [_open(paths[0], None), _open(paths[1], COLLECTION_FACE)]
    faces += [_open(path, None) for path in own_files(own)]
    return Fonts([face for face in faces if face is not None])


def own_files(own: Path) -> Iterator[Path]:
    """Yield the font files of a city's folder, by their names."""
    yield from sorted(path for pattern in _FILES for path in own.glob(pattern))


def _open(path: Path, wanted: str | None) -> Face | None:
    """Open a face, of a collection the one of a family or the first; None: the file is no font that can be drawn."""
    try:
        fonts = TTCollection(path, lazy=True).fonts if path.suffix == ".ttc" else [TTFont(path, lazy=True)]
        number = next((turn for turn, each in enumerate(fonts) if _family(each) == wanted), 0)
        font = fonts[number]
    except TTLibError as error:
        logger.warning("a font file cannot be read", extra={"file": path.name, "error": str(error)})
        return None
    return Face(
        path,
        number,
        _family(font),
        font["head"].unitsPerEm,
        font.getBestCmap() or {},
        font["hmtx"].metrics,
        font,
    )


def _family(font: Any) -> str:
    names = font["name"]
    return str(names.getDebugName(16) or names.getDebugName(1))
