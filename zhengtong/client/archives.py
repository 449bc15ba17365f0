"""E-archive packages of closed cases (docs/archive.md): the calls as values, and what they give."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from foundation.calling.calls import Call
from foundation.calling.errors import ReplyUnreadable
from zhengtong.client.results import reading


@dataclass(frozen=True, slots=True)
class CaseArchive:
    """The package of a case and a matter.

    Args:
        state: `waiting-for-log`, `packed` or `failed`.
        problem: code of what was in the way last.
        sha256: of the package (hex), once it is packed.
    """

    outcome: uuid.UUID
    matter: str
    state: str
    problem: str | None
    sha256: str | None
    document: Mapping[str, Any]


def of_case(case: str) -> Call[tuple[CaseArchive, ...]]:
    """See which packages a case has."""
    return Call("GET", _path(case), read_archives, repeatable=True)


def package(case: str, matter: str) -> Call[bytes]:
    """Fetch a package, whose digest is compared; each time it is recorded."""
    return Call(
        "GET",
        f"{_path(case)}/package",
        _whole_package,
        params={"matter": matter},
        repeatable=True,
        timeout=600.0,
    )


def retry(case: str, matter: str) -> Call[CaseArchive]:
    """Have a package made that could not be. One that is sound stays, so it may be sent again."""
    return Call("POST", f"{_path(case)}/retry", read_archive, params={"matter": matter}, repeatable=True)


def _path(case: str) -> str:
    return f"/exchange/v1/cases/{quote(case, safe='')}/archive"


def _whole_package(reply: httpx.Response) -> bytes:
    digest = base64.b64encode(hashlib.sha256(reply.content).digest()).decode("ascii")
    if reply.headers.get("Repr-Digest") != f"sha-256=:{digest}:":
        raise ReplyUnreadable("the package is not the one that was announced")
    return reply.content


def _archive(body: Mapping[str, Any]) -> CaseArchive:
    return CaseArchive(
        uuid.UUID(body["outcome"]),
        str(body["matter"]),
        str(body["state"]),
        body["problem"],
        body["sha256"],
        body,
    )


read_archive = reading(_archive)
read_archives = reading(lambda body: tuple(_archive(each) for each in body["archives"]))
