"""Every format by the same rules; see `conformance.py`."""

from __future__ import annotations

from tests.connectors.sources.conformance import FileReaderConformance


class TestFiles(FileReaderConformance):
    """All formats, plain and packed."""
