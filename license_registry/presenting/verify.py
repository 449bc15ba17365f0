"""A counter verifies what was presented, online."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened, stated
from license_registry.credentials import sd_jwt
from license_registry.issuing.errors import HolderEnded
from license_registry.lifecycle.states import State
from license_registry.linked_change.standing import require_standing
from license_registry.ports import Registry
from license_registry.presenting import tables
from license_registry.presenting.errors import CodeExpired, CodeUsed, DelegationInvalid, MatterDiffers
from license_registry.presenting.own_trust import current_trust
from license_registry.presenting.present import QR_PREFIX, code_digest
from license_registry.presenting.tables import Part
from license_registry.verifying.credential import CREDENTIAL_KIND, OFFLINE_KIND
from license_registry.verifying.licence import CLOCK_SKEW_SECONDS, Shown, judge
from license_registry.verifying.offline_code import PREFIX as OFFLINE_PREFIX
from license_registry.verifying.offline_code import OfflineCodeInvalid, dates_refused, read_code
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import Verdict

TRIES = 3


@dataclass(frozen=True, slots=True)
class Verified:
    """What the counter learns of one licence: the outcome, and for what purpose and matter it was presented.

    Args:
        agent: whether somebody else than its holder has presented it, by a delegation.
    """

    verdict: Verdict
    state: State
    identifier: str
    purpose: str
    matter: str
    agent: bool


@dataclass(frozen=True, slots=True)
class Intended:
    """What a verifier states: the matter that it is for, which must be the one presented for, and the cause of use."""

    matter: str
    use_cause: str


async def verify_code(
    registry: Registry,
    caller: Principal,
    code: str,
    case: str,
    now: datetime,
    intended: Intended | None = None,
) -> list[Verified]:
    """Verify a presentation by its code; of a code for several licences each is told.

    1. Fetch what the code shows, with the state of each licence as it is now.
    2. Check signature, certificate, right of the issuer, state and dates.
    3. Use the code up and record who verified it for which case, in one statement: it works once, before it
       expires, and only if no state has changed since step 1 (else back there). Dying before, the code is unused.

    Args:
        intended: where the verifier states it; a code for another matter is refused, recorded, and left unused.

    Raises:
        NotFound, CodeUsed, CodeExpired: the code gives nothing. DelegationInvalid: its holder has withdrawn it.
        CredentialInvalid: the signature does not hold. MatterDiffers: it was presented for another matter.
        HolderEnded: the holder of a signed code is dead, struck off or merged into another by now; recorded.
    """
    if code.startswith(OFFLINE_PREFIX):
        return [await _verify_offline(registry, caller, code, case, now, intended)]
    digest = code_digest(code.removeprefix(QR_PREFIX))
    trust = current_trust(registry, now)
    for _try in range(TRIES):
        shown = await _find(registry, digest)
        if shown is None:
            raise NotFound(_("no such code"))
        presentation = shown.presentation
        if presentation.used_at is not None:
            raise CodeUsed(_("a code works once; ask the holder for a new one"))
        if presentation.expires_at <= now:
            raise CodeExpired(_("ask the holder for a new code"))
        told = {"purpose": presentation.purpose, "matter": presentation.matter}
        identifiers = [part.identifier for part in shown.parts]
        await _require_matter(registry, caller, identifiers, told["matter"], case, now, intended)
        acting: dict[str, str] = {}
        if presentation.agent is not None:
            acting = {"holder": presentation.presenter.hex(), "agent": presentation.agent.hex()}
            acting["delegation"] = str(presentation.delegation)
        cause = stated(None if intended is None else intended.use_cause)
        verified, events = [], []
        for part in shown.parts:
            text = registry.vault.open(part.sealed, digest).decode("ascii")
            verdict, disclosed = _judge(part, text, trust, told, now)
            verified.append(
                Verified(verdict, part.state, part.identifier, **told, agent=presentation.agent is not None)
            )
            facts: dict[str, Any] = {
                "result": int(verdict.result),
                "fields": disclosed,
                "case": case,
                **cause,
            }
            events.append(
                happened("presentation-verified", part.identifier, caller, now, **facts, **told, **acting)
            )
        if await _use(registry, tables.Use(shown, now, tuple(events))):
            return verified
        if presentation.delegation is not None:
            await _require_delegation(registry, presentation.delegation)
    raise CodeUsed(_("a code works once; ask the holder for a new one"))


async def _find(registry: Registry, digest: bytes) -> tables.Shown | None:
    if registry.codes is None:
        return await tables.find_shown(registry.pool, digest)
    return await registry.codes.find(digest)


async def _use(registry: Registry, use: tables.Use) -> bool:
    if registry.codes is None:
        return (await tables.use_many(registry.pool, [use]))[0]
    return await registry.codes.use(use)


def _judge(
    part: Part, text: str, trust: Trust, told: Mapping[str, str], now: datetime
) -> tuple[Verdict, list[str]]:
    credential = sd_jwt.verify(text, trust.public_keys)
    if credential.claims.get("issuer_code") != part.issuer:
        raise sd_jwt.CredentialInvalid(_("the identifier names another issuer"))
    # The registry made the code for its holder, signed in: that is the binding.
    shown = Shown(CREDENTIAL_KIND, str(credential.header["kid"]), credential, binding=True, presented=told)
    return judge(shown, trust, now, require_status=True, state=part.state), sorted(credential.disclosed)


async def _require_delegation(registry: Registry, delegation: Any) -> None:
    found = await tables.find_delegation(registry.pool, delegation)
    if found is None or found.withdrawn_at is not None:
        raise DelegationInvalid(_("the holder has withdrawn the delegation"))


async def _require_matter(
    registry: Registry,
    caller: Principal,
    identifiers: Sequence[str],
    presented_for: str,
    case: str,
    now: datetime,
    intended: Intended | None,
) -> None:
    if intended is None or intended.matter == presented_for:
        return
    facts = {"matter": intended.matter, "case": case, **stated(intended.use_cause)}
    async with registry.pool.acquire() as connection, connection.transaction():
        for identifier in identifiers:
            event = happened("presentation-refused", identifier, caller, now, **facts)
            await licences.add_event(connection, event)
    raise MatterDiffers(_("its holder has presented it for another matter"), pointer="/matter")


async def _verify_offline(
    registry: Registry, caller: Principal, text: str, case: str, now: datetime, intended: Intended | None
) -> Verified:
    trust = current_trust(registry, now)
    try:
        code = read_code(text, trust)
    except OfflineCodeInvalid as error:
        raise sd_jwt.CredentialInvalid(_("the code does not hold: {reason}"), reason=str(error)) from error
    late = dates_refused(code, now, CLOCK_SKEW_SECONDS)
    if late is not None:
        raise CodeExpired(_("ask the holder for a new code"))
    identifier = str(code.credential.claims.get("licence_identifier"))
    licence = await licences.find(registry.pool, identifier)
    if licence is None:
        raise NotFound(_("no such licence"))
    acting: dict[str, str] = {}
    delegation = code.presented.get("delegation")
    if delegation is not None:
        await _require_delegation(registry, uuid.UUID(str(delegation)))
        acting = {"delegation": str(delegation)}
    told = {name: str(code.presented.get(name, "")) for name in ("purpose", "matter")}
    await _require_matter(registry, caller, [identifier], told["matter"], case, now, intended)
    try:
        await require_standing(registry, licence)
    except HolderEnded:
        # It was made while the holder was there, days ago maybe. Who refuses it learns why, so that is recorded.
        refused = happened("presentation-refused", identifier, caller, now, matter=told["matter"], case=case)
        async with registry.pool.acquire() as connection, connection.transaction():
            await licences.add_event(connection, refused)
        raise
    shown = Shown(OFFLINE_KIND, code.kid, code.credential, binding=True, presented=told)
    verdict = judge(shown, trust, now, require_status=True, state=licence.state)
    event = happened(
        "presentation-verified",
        identifier,
        caller,
        now,
        result=int(verdict.result),
        offline_code=code.id.hex(),
        case=case,
        **told,
        **acting,
        **stated(None if intended is None else intended.use_cause),
    )
    async with registry.pool.acquire() as connection:
        if not await tables.use_offline(connection, code.id, now, event):
            raise CodeUsed(_("a code works once; ask the holder for a new one"))
    return Verified(verdict, licence.state, identifier, **told, agent=delegation is not None)
