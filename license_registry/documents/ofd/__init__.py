"""Placed pages as OFD (GB/T 33190)."""

from license_registry.documents.ofd.package import draw_ofd

__all__ = ["draw_ofd"]
