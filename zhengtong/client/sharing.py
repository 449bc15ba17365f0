"""Licence interfaces by short names (docs/sharing-interfaces.md): the calls as values, and what they give."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx

from foundation.calling.calls import REGISTRY, Call
from foundation.calling.errors import ReplyUnreadable
from zhengtong.client.results import Read, reading

PATH: Final = "/registry/v1/sharing"

Document = Literal["ofd", "pdf"]
DataValue = str | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Use:
    """What a licence is used for: cause of use (用证事由), matter and case; all of it is recorded."""

    use_cause: str
    matter: str
    case: str


@dataclass(frozen=True, slots=True)
class SharedLicence:
    """A licence as another platform knows it.

    Args:
        data: by short name (ZZBS, ZZBH, CZZT …), fields of its type as `KZ_<field>`.
        state: `01` to `07`, or `99`.
        result: as for LicenceCheck; None where licences were only listed.
    """

    data: Mapping[str, Any]
    state: str
    result: int | None
    document: Mapping[str, Any]

    @property
    def identifier(self) -> str:
        """ZZBS."""
        return str(self.data["ZZBS"])


@dataclass(frozen=True, slots=True)
class LicenceFile:
    """A marked copy that was made: `link` fetches it once, until `link_expires_at`; `sha256` is its digest (hex)."""

    identifier: str
    link: str
    link_expires_at: datetime
    sha256: str
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DataCheck:
    """Whether data agree with a licence: names that differ, and names that the licence does not say."""

    result: int
    valid: bool
    differing: tuple[str, ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedFileCheck:
    """What a file is and whether it holds; `data` of the licence where it is one."""

    result: int
    valid: bool
    kind: str
    checks: Mapping[str, bool | None]
    data: Mapping[str, Any] | None
    document: Mapping[str, Any]


def by_holder(holder_code: str, use: Use, type_code: str | None) -> Call[tuple[SharedLicence, ...]]:
    """List the licences of a holder that grants cover. It changes nothing; each time it is recorded."""
    body = {"CZZTDM": holder_code, "ZZLXDM": type_code}
    return _call("data-by-holder", read_held, use, body, repeatable=True)


def by_identifier(identifier: str, use: Use) -> Call[SharedLicence]:
    """See a licence by grant. It changes nothing; each time it is recorded."""
    return _call("data-by-identifier", read_licence, use, {"ZZBS": identifier}, repeatable=True)


def by_code(code: str, use: Use) -> Call[tuple[SharedLicence, ...]]:
    """See what a code shows. A code works once: it is not sent again when nobody knows whether it arrived."""
    return _call("data-by-code", read_held, use, {"code": code}, repeatable=False)


def file(identifier: str, use: Use, document: Document | None) -> Call[LicenceFile]:
    """Have a marked copy made; each call makes another, so it is not sent twice unasked."""
    return _call("files", read_file, use, {"ZZBS": identifier, "format": document}, repeatable=False)


def download(made: LicenceFile) -> Call[bytes]:
    """Fetch a marked copy, whose digest is compared. Its link works once, so it is not sent again."""

    def whole(reply: httpx.Response) -> bytes:
        if hashlib.sha256(reply.content).hexdigest() != made.sha256:
            raise ReplyUnreadable("the copy is not the one that was made")
        return reply.content

    token = made.link.rpartition("/")[2]
    path = f"/registry/v1/downloads/{quote(token, safe='')}"
    return Call("GET", path, whole, audience=REGISTRY, timeout=600.0)


def data_check(identifier: str, data: Mapping[str, DataValue], use: Use) -> Call[DataCheck]:
    """Compare data with a licence. It changes nothing; each time it is recorded."""
    given = {
        name: value if value is None or isinstance(value, str) else list(value)
        for name, value in data.items()
    }
    body = {"ZZBS": identifier, "data": given}
    return _call("data-verifications", read_data_check, use, body, repeatable=True)


def file_check(data: bytes, use: Use) -> Call[SharedFileCheck]:
    """Verify a file. It changes nothing; each time it is recorded."""
    return Call(
        "POST",
        f"{PATH}/file-verifications",
        read_file_check,
        audience=REGISTRY,
        content=data,
        content_type="application/octet-stream",
        params=_said(use),
        repeatable=True,
    )


def _call(
    name: str,
    read: Callable[[httpx.Response], Read],
    use: Use,
    body: Mapping[str, Any],
    *,
    repeatable: bool,
) -> Call[Read]:
    json = {**body, **_said(use)}
    return Call("POST", f"{PATH}/{name}", read, audience=REGISTRY, json=json, repeatable=repeatable)


def _said(use: Use) -> dict[str, str]:
    return {"use_cause": use.use_cause, "matter": use.matter, "case": use.case}


def _licence(body: Mapping[str, Any]) -> SharedLicence:
    # A list of what somebody holds has the names beside the state; what was verified has them in `data`.
    listed = {name: value for name, value in body.items() if name not in {"state", "state_name"}}
    return SharedLicence(
        dict(body.get("data", listed)),
        str(body["state"]),
        int(body["result"]) if "result" in body else None,
        body,
    )


def _file(body: Mapping[str, Any]) -> LicenceFile:
    return LicenceFile(
        str(body["ZZBS"]),
        str(body["link"]),
        datetime.fromisoformat(body["link_expires_at"]),
        str(body["sha256"]),
        body,
    )


def _file_check(body: Mapping[str, Any]) -> SharedFileCheck:
    return SharedFileCheck(
        int(body["result"]), bool(body["valid"]), str(body["kind"]), dict(body["checks"]), body["data"], body
    )


read_licence = reading(_licence)
read_held = reading(lambda body: tuple(_licence(each) for each in body["licences"]))
read_file = reading(_file)
read_data_check = reading(
    lambda body: DataCheck(
        int(body["result"]), bool(body["valid"]), tuple(body["differing"]), tuple(body["lacking"])
    )
)
read_file_check = reading(_file_check)
