"""A counter verifies what was presented, online."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from foundation.civil import civil_date
from foundation.errors import DomainError, NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables
from license_registry.audit.event import happened
from license_registry.credentials import sd_jwt
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.ports import Registry
from license_registry.presenting.check import Checked, check
from license_registry.presenting.present import QR_PREFIX, code_digest


class CodeUsed(DomainError):
    code = "code-used"


class CodeExpired(DomainError):
    code = "code-expired"


@dataclass(frozen=True, slots=True)
class Verified:
    """What the counter learns: the outcome, and for what purpose and matter the holder presented it."""

    checked: Checked
    identifier: str
    purpose: str
    matter: str


async def verify_code(registry: Registry, caller: Principal, code: str, case: str, now: datetime) -> Verified:
    """Verify a presentation by its code.

    1. Use the code: it works once, before it expires. Verification and event are one transaction with this, so
       that dying in between leaves the code unused.
    2. Check the signature of what is shown, and the state of the licence as it is now.
    3. Record who verified it for which case.

    Raises:
        NotFound, CodeUsed, CodeExpired: the code gives nothing. CredentialInvalid: the signature does not hold.
    """
    digest = code_digest(code.removeprefix(QR_PREFIX))
    async with registry.pool.acquire() as connection, connection.transaction():
        presentation = await tables.take_presentation(connection, digest, now)
        if presentation is None:
            known = await tables.find_presentation(connection, digest)
            if known is None:
                raise NotFound(_("no such code"))
            if known.used_at is not None:
                raise CodeUsed(_("a code works once; ask the holder for a new one"))
            raise CodeExpired(_("ask the holder for a new code"))
        shown = registry.vault.open(presentation.sealed, digest).decode("ascii")
        credential = sd_jwt.verify(shown, registry.keys.verification_keys(PURPOSE))
        licence = await tables.find(connection, presentation.identifier)
        assert licence is not None
        issuer_right = credential.claims.get("issuer_code") == licence.issuer
        checked = check(credential, licence.state, issuer_right, civil_date(now))
        await tables.add_event(
            connection,
            happened(
                "presentation-verified",
                licence.identifier,
                caller,
                now,
                result=int(checked.result),
                fields=sorted(credential.disclosed),
                purpose=presentation.purpose,
                matter=presentation.matter,
                case=case,
            ),
        )
    return Verified(checked, licence.identifier, presentation.purpose, presentation.matter)
