"""A counter verifies a document that somebody brought: the seals of an OFD, the bytes of a PDF, the licence inside."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from foundation.errors import NotFound
from foundation.language import _
from license_registry import tables as licences
from license_registry.credentials.sd_jwt import CredentialInvalid, claims_of
from license_registry.documents import tables as documents
from license_registry.ports import Registry
from license_registry.presenting.check import Result
from license_registry.presenting.own_trust import current_trust, own_further
from license_registry.presenting.present import lead_copy
from license_registry.verifying.credential import verify_credential
from license_registry.verifying.file import Ways, verify_bytes
from license_registry.verifying.ofd import credentials_within
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import DIGESTS, Reason, Verdict

PDF: Final = b"%PDF-"
DOCUMENT_KIND: Final = "document"
LONGEST_UNPACKED: Final = 64 << 20
"""Bytes that a package may unpack to here, however small it came: others want to be answered too."""
MOST_LISTS: Final = 20
"""Licences in a document whose state is looked up; that of any further one stays open."""
_CREDENTIAL: Final = "credential.sdjwt"


@dataclass(frozen=True, slots=True)
class OfDocument:
    """What verifying a document found; `identifier` of the licence whose it is, None if that is not known."""

    verdict: Verdict
    identifier: str | None


async def verify_sealed(registry: Registry, data: bytes, name: str, now: datetime) -> OfDocument:
    """Verify an OFD: its seals by the house's roots and lists of this moment, the licence inside by its state.

    Raises:
        FileUnreadable: it is no OFD, or a larger one than is read here.
    """
    # Beside the requests: a large file takes its time.
    texts = await asyncio.to_thread(credentials_within, data, name, LONGEST_UNPACKED)
    # A key that was revoked a moment ago by a command counts no more.
    await asyncio.to_thread(registry.keys.reload)
    trust = own_further(current_trust(registry, now), registry.keys, registry.settings, now)
    for text in texts[:MOST_LISTS]:
        trust = await with_list(registry, trust, text)
    verdict = await asyncio.to_thread(verify_bytes, data, name, trust, now, Ways(longest=LONGEST_UNPACKED))
    identifiers = [part.fields.get("licence_identifier") for part in verdict.parts.values()]
    return OfDocument(verdict, next((str(each) for each in identifiers if each), None))


async def verify_drawn(registry: Registry, data: bytes, now: datetime) -> OfDocument:
    """Verify a PDF: whether the registry drew these very bytes, and what the licence is worth at this moment.

    A PDF bears no seal, and a genuine credential inside says nothing of the page around it; its digest does.

    Raises:
        ObjectMissing, ObjectAltered, StoreUnavailable: the licence cannot be read.
    """
    kept = await documents.find_by_digest(registry.pool, hashlib.sha256(data).digest())
    licence = None if kept is None else await licences.find(registry.pool, kept.identifier)
    if licence is None:
        reasons: dict[str, Reason] = {DIGESTS: (_("the registry has drawn no document of these bytes"), {})}
        return OfDocument(Verdict(DOCUMENT_KIND, Result.NONE, {DIGESTS: False}, reasons=reasons), None)
    text = await lead_copy(registry, licence)
    trust = await with_list(registry, current_trust(registry, now), text)
    inside = verify_credential(text, trust, now, require_status=True)
    verdict = Verdict(DOCUMENT_KIND, inside.result, {DIGESTS: True}, parts={_CREDENTIAL: inside})
    return OfDocument(verdict, licence.identifier)


async def with_list(registry: Registry, trust: Trust, text: str) -> Trust:
    """Return the trust with the status list that a credential names, if it is ours; nothing of it is believed."""
    try:
        claims = claims_of(text.strip()).payload
        uri = str(claims["status"]["status_list"]["uri"])
        number = int(uri.removeprefix(registry.status_lists.uri(0)[:-1]))
        lists = {**trust.status_lists, uri: await registry.status_lists.token(number)}
        return replace(trust, status_lists=lists)
    except (CredentialInvalid, KeyError, TypeError, ValueError, NotFound):
        return trust
