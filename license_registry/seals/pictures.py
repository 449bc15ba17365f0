"""What seals look like: a PNG that is given, or one that is drawn."""

from __future__ import annotations

import io
import math
from typing import Final

from PIL import Image, ImageDraw

from foundation.language import _
from license_registry.seals.errors import SealPictureUnreadable
from license_registry.seals.structures import Picture

MILLIMETRES: Final = 40
LARGEST_BYTES: Final = 512 * 1024
_MOST_PIXELS = 2000
_PIXELS = 480
_RED = (220, 20, 30, 255)


def given(data: bytes, width: int, height: int) -> Picture:
    """Return a picture that somebody sent; width and height in millimetres.

    Raises:
        SealPictureUnreadable: no PNG, or a larger one than is taken.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if max(image.size) > _MOST_PIXELS or len(data) > LARGEST_BYTES:
                raise SealPictureUnreadable(
                    _("a picture has at most {pixels} pixels a side"), pointer="/picture", pixels=_MOST_PIXELS
                )
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise SealPictureUnreadable(_("the picture is no PNG"), pointer="/picture") from error
    return Picture("PNG", data, width, height)


def drawn() -> Picture:
    """Return the plain round seal: a ring around a star, no writing; the name stands in the seal's data."""
    image = Image.new("RGBA", (_PIXELS, _PIXELS), (255, 255, 255, 0))
    pen = ImageDraw.Draw(image)
    pen.ellipse((6, 6, _PIXELS - 6, _PIXELS - 6), outline=_RED, width=14)
    middle, outer = _PIXELS / 2, _PIXELS / 5
    star = []
    for corner in range(10):
        reach = outer if corner % 2 == 0 else outer * 0.382
        turn = math.pi * corner / 5
        star.append((middle + reach * math.sin(turn), middle - reach * math.cos(turn)))
    pen.polygon(star, fill=_RED)
    file = io.BytesIO()
    image.save(file, "PNG")
    return Picture("PNG", file.getvalue(), MILLIMETRES, MILLIMETRES)
