"""A counter verifies a file that somebody brought: credential, signed code, or a picture of one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.credentials.sd_jwt import CredentialInvalid, claims_of
from license_registry.ports import Registry
from license_registry.presenting.own_trust import current_trust
from license_registry.verifying import images
from license_registry.verifying.errors import FileUnreadable
from license_registry.verifying.file import Ways, is_ofd, verify_bytes
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import Verdict

NAME = "file"


async def verify_upload(
    registry: Registry, caller: Principal, data: bytes, case: str, now: datetime, occasion: Mapping[str, str]
) -> Verdict:
    """Verify a file with the status list of this moment, and record that it was.

    Args:
        occasion: further facts for the record: matter and cause, where the caller states them.

    Raises:
        FileUnreadable, PictureUnreadable: it is nothing of ours.
    """
    if is_ofd(data):
        # A good seal does not tell the state of the licence; what lies inside of it does, and is what is sent here.
        raise FileUnreadable(_("{file} holds no licence"), file=NAME)
    text = data
    if images.is_picture(data):
        # Drawn pictures cost; other requests need not wait for them.
        text = (await asyncio.to_thread(images.read_qr, data)).encode()
    trust = await _with_list(registry, current_trust(registry, now), text)
    verdict = verify_bytes(text, NAME, trust, now, Ways())
    identifier = verdict.fields.get("licence_identifier")
    facts: dict[str, Any] = {"result": int(verdict.result), "form": verdict.kind, "case": case, **occasion}
    event = happened("file-verified", identifier, caller, now, **facts)
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
    return verdict


async def _with_list(registry: Registry, trust: Trust, text: bytes) -> Trust:
    """Return the trust with the status list that the file names, if it is one of ours; nothing of it is believed."""
    try:
        claims = claims_of(text.decode("ascii").strip()).payload
        uri = str(claims["status"]["status_list"]["uri"])
        number = int(uri.removeprefix(registry.status_lists.uri(0)[:-1]))
        return replace(trust, status_lists={uri: await registry.status_lists.token(number)})
    except (CredentialInvalid, KeyError, TypeError, ValueError, NotFound):
        return trust
