"""Finding a QR code in a picture: a scan, a photograph, a screenshot."""

from __future__ import annotations

import io
from typing import Final

from foundation.errors import DomainError
from foundation.language import _

try:
    import zxingcpp
    from PIL import Image, UnidentifiedImageError

    _INSTALLED = True
except ImportError:  # the extra `images` of the small verifier
    _INSTALLED = False

LONGEST_BYTES: Final = 20 << 20
MOST_PIXELS: Final = 50_000_000
MAGICS: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM")


class PictureUnreadable(DomainError):
    code = "picture-unreadable"


def is_picture(data: bytes) -> bool:
    """True for what begins as a PNG, JPEG, WebP, GIF or BMP does."""
    return data.startswith(MAGICS)


def read_qr(data: bytes) -> str:
    """Return the text of the one QR code in a picture.

    Raises:
        PictureUnreadable: too large, no picture, no QR code in it, or several.
    """
    if not _INSTALLED:
        raise PictureUnreadable(_("pictures are read with the extra `images`, which is not installed"))
    if len(data) > LONGEST_BYTES:
        raise PictureUnreadable(_("the picture is too large"))
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise PictureUnreadable(_("the picture is too large"))
            grey = picture.convert("L")
    except Image.DecompressionBombError as error:
        raise PictureUnreadable(_("the picture is too large")) from error
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise PictureUnreadable(_("the picture cannot be read")) from error
    found = {
        code.text
        for code in zxingcpp.read_barcodes(
            grey, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
        )
        if code.text
    }
    if not found:
        raise PictureUnreadable(_("there is no QR code in the picture"))
    if len(found) > 1:
        raise PictureUnreadable(_("there are several QR codes in the picture"))
    return found.pop()
