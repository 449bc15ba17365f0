"""One small TrueType font with just the characters of a document, whichever fonts they come from."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.transformPen import TransformPen
from fontTools.pens.ttGlyphPen import TTGlyphPen

from license_registry.documents.fonts import Fonts

FAMILY = "ZhengtongDocument"
EM = 1000
ERROR = 0.6
"""How far a TrueType outline may be from the cubic one, in thousandths of the size."""
_ASCENT, _DESCENT = 880, -120
_1970 = 2082844800
"""The beginning of Unix time as fonts count seconds."""


def subset(fonts: Fonts, characters: Iterable[str]) -> bytes:
    """Return the font file. Every character must be in one of the fonts; equal characters give equal bytes."""
    glyphs: dict[str, Any] = {".notdef": TTGlyphPen(None).glyph()}
    widths: dict[str, tuple[int, int]] = {".notdef": (EM, 0)}
    coded: dict[int, str] = {}
    for character in sorted(set(characters)):
        face = fonts.face(character)
        assert face is not None, "what no font has is refused before"
        name = f"u{ord(character):05X}"
        scale = EM / face.em
        pen = TTGlyphPen(None)
        outline = TransformPen(Cu2QuPen(pen, ERROR, reverse_direction=True), (scale, 0, 0, scale, 0, 0))
        face.font.getGlyphSet()[face.glyphs[ord(character)]].draw(outline)
        glyph = pen.glyph()
        glyph.recalcBounds(None)
        glyphs[name] = glyph
        widths[name] = (round(face.width(character) * EM), getattr(glyph, "xMin", 0) or 0)
        coded[ord(character)] = name
    builder = FontBuilder(EM, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(coded)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(widths)
    builder.setupHorizontalHeader(ascent=_ASCENT, descent=_DESCENT)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular", "psName": f"{FAMILY}-Regular"})
    builder.setupOS2(
        sTypoAscender=_ASCENT, sTypoDescender=_DESCENT, usWinAscent=_ASCENT, usWinDescent=-_DESCENT, fsType=0
    )
    builder.setupPost()
    builder.font["head"].created = builder.font["head"].modified = _1970
    builder.font.recalcTimestamp = False
    held = io.BytesIO()
    builder.save(held)
    return held.getvalue()
