"""Where a source is fetched: from a database, an interface, a folder on a server. No origin: files are handed in.

Credentials never stand here. An origin names a connection; what it is resolved to is a URI whose user, password, host
and query say the rest (`docs/sources.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Connections = Callable[[str], str]
"""Gives the URI of a named connection, or raises SourceError."""

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimestampCursor(_Frozen):
    """A column that says when a row last changed.

    Args:
        overlap_seconds: how far behind its cursor the next run begins: for transactions that commit late and for
            clocks that disagree. Rows read twice are found unchanged.
    """

    kind: Literal["timestamp"]
    column: str
    overlap_seconds: Annotated[int, Field(ge=0)] = 300


class SequenceCursor(_Frozen):
    """A column of numbers that only grow, one for each change."""

    kind: Literal["sequence"]
    column: str


class SqlOrigin(_Frozen):
    """A table or view of a database.

    Args:
        table: its name, with its schema before a dot where that is not the default one.
        key: its primary key or another column with a value in every row, no two of them equal: the table is read in
            its order.
        ranges: into how many ranges of keys Airflow cuts the table, to bring them in side by side (decision 12); the
            command reads it in one piece, with the same outcome.
        cursor: by which a run reads only what is new; None: every run reads all.
    """

    kind: Literal["sql"]
    connection: Name
    table: Annotated[str, Field(min_length=1)]
    key: str
    ranges: Annotated[int, Field(ge=1, le=64)] = 1
    cursor: Annotated[TimestampCursor | SequenceCursor, Field(discriminator="kind")] | None = None

    @property
    def steering(self) -> frozenset[str]:
        """Columns that are read to steer, whether or not the mapping takes them."""
        return frozenset({self.key} | ({self.cursor.column} if self.cursor is not None else set()))


class OnePage(_Frozen):
    """Everything comes in one answer."""

    kind: Literal["none"] = "none"


class CursorPaging(_Frozen):
    """The answer names the next page at `member`, and takes it as `parameter`."""

    kind: Literal["cursor"]
    member: str
    parameter: str


class NumberPaging(_Frozen):
    """Pages are numbered; one that is empty, or shorter than `size` where that is stated, is the last."""

    kind: Literal["page"]
    parameter: str
    first: Annotated[int, Field(ge=0)] = 1
    size_parameter: str | None = None
    size: Annotated[int, Field(ge=1)] | None = None


class LinkPaging(_Frozen):
    """The next page stands in the header `Link` with `rel="next"` (RFC 8288)."""

    kind: Literal["link"]


class OAuth(_Frozen):
    """OAuth 2 client credentials (RFC 6749 §4.4): user and password of the connection are client ID and secret."""

    kind: Literal["oauth2"]
    token_path: str
    scope: str | None = None


class ApiKey(_Frozen):
    """The password of the connection in a header."""

    kind: Literal["api-key"]
    header: str = "X-Api-Key"


class Signed(_Frozen):
    """Each request is signed by HMAC-SHA-256 under the password of the connection; its user is the key's ID."""

    kind: Literal["hmac"]


class RestOrigin(_Frozen):
    """An interface that gives records in JSON.

    Args:
        path: below the address of the connection.
        parameters: of the query, the same for all pages.
        records: members, with dots between, that lead to the array of records; empty: the body is the array.
        append_only: records are only ever appended and pages keep their marks: the next run goes on where the last
            one ended. Otherwise every run reads all.
        per_second: requests, at most.
        most_pages: of one run; more, and it is stopped.
        most_bytes: of one answer.
    """

    kind: Literal["rest"]
    connection: Name
    path: Annotated[str, Field(pattern=r"^/?[^?#]*$")] = ""
    parameters: dict[str, str] = {}
    records: str = ""
    paging: Annotated[OnePage | CursorPaging | NumberPaging | LinkPaging, Field(discriminator="kind")] = (
        OnePage()
    )
    auth: Annotated[OAuth | ApiKey | Signed, Field(discriminator="kind")] | None = None
    append_only: bool = False
    per_second: Annotated[float, Field(gt=0)] | None = None
    most_pages: Annotated[int, Field(ge=1)] = 100_000
    most_bytes: Annotated[int, Field(ge=1)] = 16 << 20


class SftpOrigin(_Frozen):
    """A folder on an SFTP server; the connection pins the server's host key."""

    kind: Literal["sftp"]
    connection: Name
    folder: str = "."
    pattern: str = "*"


class S3Origin(_Frozen):
    """Objects of a bucket; `pattern` holds for what follows the prefix."""

    kind: Literal["s3"]
    connection: Name
    bucket: str
    prefix: str = ""
    pattern: str = "*"


Origin = Annotated[SqlOrigin | RestOrigin | SftpOrigin | S3Origin, Field(discriminator="kind")]
