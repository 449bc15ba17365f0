"""QR codes as SVG, for screens that show them to a phone."""

from __future__ import annotations

import segno


def qr_svg(text: str) -> str:
    """Return an SVG element with the QR code of a text; medium error correction, quiet zone included."""
    svg: str = segno.make(text, error="m", micro=False).svg_inline(scale=4)
    return svg
