"""Which sources there are to read: the file that was handed in, or what the mapping's origin has."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from connectors.mapping import SourceMapping
from connectors.mapping.origins import Connections, RestOrigin, S3Origin, SftpOrigin, SqlOrigin
from connectors.sources.fetched import FetchedFile, settled
from connectors.sources.files import FileSource
from connectors.sources.raw import Source, SourceError, Window
from foundation.language import _


class NoWindows(SourceError):
    """A source was asked for a window of time, and cannot be."""

    code = "no-windows"


def open_source(
    mapping: SourceMapping,
    path: Path | None,
    connections: Connections,
    now: datetime,
    taken: Collection[str] = (),
    window: Window | None = None,
) -> list[Source]:
    """Return what is to be read, in this order; empty if a folder has nothing new.

    Args:
        path: a file that was handed in; it goes before the origin.
        connections: gives the URI of a named connection.
        taken: names of the files of a folder that were brought in before.
        window: only what changed within it, for sources whose mapping says `has_windows`.

    Raises:
        SourceError: no file and no origin, or files where records come; a folder cannot be reached.
        NoWindows: the source cannot be asked for a window.
    """
    origin = mapping.origin
    if window is not None and not mapping.has_windows:
        raise NoWindows(
            _(
                "{source} cannot be asked for a window of time: it has no cursor of timestamps, or is a snapshot"
            ),
            source=mapping.source,
        )
    if path is not None:
        if mapping.format == "records":
            raise SourceError(_("{source} is fetched as records, not from files"), source=mapping.source)
        return [FileSource(path, mapping)]
    # Each kind brings its own client along: only the one that is asked for is loaded.
    match origin:
        case SqlOrigin():
            from connectors.sources.databases import DatabaseSource

            return [DatabaseSource(mapping, origin, connections, now, window=window)]
        case RestOrigin():
            from connectors.sources.rest import RestSource

            return [RestSource(mapping, origin, connections)]
        case SftpOrigin():
            from connectors.sources.sftp import SftpFolder

            sftp = SftpFolder(origin, connections(origin.connection))
            return [FetchedFile(sftp, seen, mapping) for seen in settled(sftp, taken)]
        case S3Origin():
            from connectors.sources.s3 import S3Prefix

            s3 = S3Prefix(origin, connections(origin.connection))
            return [FetchedFile(s3, seen, mapping) for seen in settled(s3, taken)]
    raise SourceError(_("{source} has no origin to fetch from; hand in a file"), source=mapping.source)


def named(connections: Mapping[str, str]) -> Connections:
    """Return what gives the URI of a connection out of those configured."""

    def find(name: str) -> str:
        uri = connections.get(name)
        if uri is None or not urlsplit(uri).scheme:
            raise SourceError(_("no connection {name} is configured, or it is no URI"), name=name)
        return uri

    return find
