"""A counter verifies a file that somebody brought: credential, signed code, a picture of one, or a document."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from foundation.identity.principals import Principal
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.disclosing.by_document import (
    LONGEST_UNPACKED,
    PDF,
    OfDocument,
    verify_drawn,
    verify_sealed,
    with_list,
)
from license_registry.ports import Registry
from license_registry.presenting.own_trust import current_trust
from license_registry.verifying import images
from license_registry.verifying.file import Ways, is_ofd, verify_bytes
from license_registry.verifying.verdict import Verdict

LONGEST_UPLOAD = 16 << 20
"""Bytes of the largest file that is verified over HTTP: documents with pictures are larger than what else is sent."""

UPLOAD_PROBLEMS = (
    "invalid-request",
    "body-too-large",
    "file-unreadable",
    "picture-unreadable",
    "object-missing",
    "object-altered",
    "store-unavailable",
)
"""Why a file that was sent is not verified, by code."""

NAME = "file"


async def verify_upload(
    registry: Registry, caller: Principal, data: bytes, case: str, now: datetime, occasion: Mapping[str, str]
) -> Verdict:
    """Verify a file with the status list of this moment, and record that it was.

    Args:
        occasion: further facts for the record: matter and cause, where the caller states them.

    Raises:
        FileUnreadable, PictureUnreadable: it is nothing of ours.
        ObjectMissing, ObjectAltered, StoreUnavailable: of a PDF of ours the licence cannot be read.
    """
    if data.startswith(PDF):
        found = await verify_drawn(registry, data, now)
    elif await asyncio.to_thread(is_ofd, data):
        found = await verify_sealed(registry, data, NAME, now)
    else:
        found = await _of_ours(registry, data, now)
    verdict = found.verdict
    facts: dict[str, Any] = {"result": int(verdict.result), "form": verdict.kind, "case": case, **occasion}
    event = happened("file-verified", found.identifier, caller, now, **facts)
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
    return verdict


async def _of_ours(registry: Registry, data: bytes, now: datetime) -> OfDocument:
    text = data
    if images.is_picture(data):
        # Drawn pictures cost; other requests need not wait for them.
        text = (await asyncio.to_thread(images.read_qr, data)).encode()
    trust = current_trust(registry, now)
    if text.isascii():
        trust = await with_list(registry, trust, text.decode("ascii"))
    verdict = await asyncio.to_thread(verify_bytes, text, NAME, trust, now, Ways(longest=LONGEST_UNPACKED))
    return OfDocument(verdict, verdict.fields.get("licence_identifier"))
