"""Verifying a file, whatever of ours it is: told by its content, never by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from foundation.language import _
from foundation.signing import decode_base64url
from license_registry.credentials.key_binding import ExpectedBinding
from license_registry.verifying import images
from license_registry.verifying.answer import ANSWER_TYPE, STATEMENT_TYPES, verify_answer
from license_registry.verifying.archive import verify_archive
from license_registry.verifying.copy import TYPE as COPY_TYPE
from license_registry.verifying.copy import verify_copy
from license_registry.verifying.credential import verify_credential, verify_offline_code
from license_registry.verifying.errors import FileUnreadable
from license_registry.verifying.ofd import ROOT, verify_ofd
from license_registry.verifying.offline_code import PREFIX
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import Verdict
from license_registry.verifying.zipped import LONGEST_BYTES, ZIP, has_file

LONGEST_TEXT = 1 << 20
ONLINE_PREFIX = "ZT1:"


@dataclass(frozen=True, slots=True)
class Ways:
    """How to verify.

    Args:
        require_status: a licence of unknown status is not called valid; with a trust bundle one knows better.
        first_use: see `verify_offline_code`.
        expected: what a holder must have signed for; only a presentation that has it is valid then.
        longest: bytes that a package may unpack to.
    """

    require_status: bool = True
    first_use: Callable[[bytes, int], bool] | None = None
    expected: ExpectedBinding | None = None
    longest: int = LONGEST_BYTES


def verify_path(path: Path, trust: Trust, now: datetime, ways: Ways) -> Verdict:
    """Verify a file; see `verify_bytes`."""
    return verify_bytes(path.read_bytes(), path.name, trust, now, ways)


def verify_bytes(data: bytes, name: str, trust: Trust, now: datetime, ways: Ways) -> Verdict:
    """Verify a credential (SD-JWT VC), a signed code as text or picture, a signed answer, plan or
    commitment (compact JWS), an archive, or the seals of an OFD document.

    Raises:
        FileUnreadable: it is nothing of this; `name` is the file's, for the message.
        PictureUnreadable: a picture without one QR code.
    """
    if data.startswith(ZIP):
        if ways.expected is not None:
            raise FileUnreadable(_("{file} is no presentation that its holder could have signed"), file=name)
        if is_ofd(data):
            return verify_ofd(
                data, name, trust, now, require_status=ways.require_status, longest=ways.longest
            )
        return verify_archive(data, name, trust, ways.longest)
    text = images.read_qr(data) if images.is_picture(data) else _text(data, name)
    if ways.expected is not None and "~" not in text:
        raise FileUnreadable(_("{file} is no presentation that its holder could have signed"), file=name)
    if text.startswith(PREFIX):
        return verify_offline_code(text, trust, now, ways.first_use)
    if text.startswith(ONLINE_PREFIX):
        raise FileUnreadable(_("this code is verified online, at the counter"))
    if "~" in text:
        return verify_credential(text, trust, now, require_status=ways.require_status, expected=ways.expected)
    if text.count(".") == 2:
        typ = _type(text)
        if typ == COPY_TYPE:
            return verify_copy(text, trust, now)
        return verify_answer(text, trust, now, typ if typ in STATEMENT_TYPES else ANSWER_TYPE)
    raise FileUnreadable(_("{file} holds no licence"), file=name)


def is_ofd(data: bytes) -> bool:
    """True for an OFD document."""
    return data.startswith(ZIP) and has_file(data, ROOT)


def is_package(data: bytes) -> bool:
    """True for an archive package, which may bring along what it is verified by (`trust_within`)."""
    return data.startswith(ZIP) and not is_ofd(data)


def _type(token: str) -> str:
    """Return what a token says that it is; whether that holds is checked with its signature."""
    try:
        return str(orjson.loads(decode_base64url(token.partition(".")[0])).get("typ"))
    except (AttributeError, ValueError):
        return ""


def _text(data: bytes, name: str) -> str:
    try:
        return data[: LONGEST_TEXT + 1].decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise FileUnreadable(_("{file} holds no licence"), file=name) from error
