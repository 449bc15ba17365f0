"""Drawing QR codes."""

from __future__ import annotations

import io

import segno

PIXELS_PER_MODULE = 6


def picture(text: str) -> bytes:
    """Return a PNG of a QR code: error correction M, with the quiet zone of four modules."""
    held = io.BytesIO()
    segno.make(text, error="m", micro=False, boost_error=False).save(
        held, kind="png", scale=PIXELS_PER_MODULE, border=4
    )
    return held.getvalue()
