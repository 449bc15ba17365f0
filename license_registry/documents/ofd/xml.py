"""Elements of OFD's one namespace, in the order in which they are written."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

NAMESPACE = "http://www.ofdspec.org/2016"


def element(name: str, *inside: str, **attributes: object) -> str:
    """Return an element; `inside` are elements, or one text that `text` has made."""
    told = "".join(f" {key}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<ofd:{name}{told}>{''.join(inside)}</ofd:{name}>" if inside else f"<ofd:{name}{told}/>"


def text(content: str) -> str:
    """Return text as it stands between tags."""
    return escape(content)


def document(name: str, *inside: str, **attributes: object) -> bytes:
    """Return a whole XML file with this root."""
    root: Mapping[str, object] = {"xmlns:ofd": NAMESPACE, **attributes}
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{element(name, *inside, **root)}'.encode()


def number(value: float) -> str:
    """Return a length in millimetres, to a thousandth."""
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"


def numbers(*values: float) -> str:
    """Return lengths parted by blanks."""
    return " ".join(number(each) for each in values)
