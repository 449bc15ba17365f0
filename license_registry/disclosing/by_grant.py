"""A department sees licences without their holder's act (依职权): only by a grant, for its matter, for a case."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.errors import NotFound
from foundation.identifiers import CitizenId, IdentifierError, Uscc
from foundation.identity.principals import Principal
from foundation.language import _
from license_registry import tables as licences
from license_registry.audit.event import happened, stated
from license_registry.catalog.types import LicenceType, type_of
from license_registry.credentials import sd_jwt
from license_registry.disclosing import tables
from license_registry.disclosing.errors import NotGranted
from license_registry.disclosing.tables import Grant
from license_registry.identities import held_by
from license_registry.issuing.errors import HolderInvalid
from license_registry.lifecycle.states import ENDED
from license_registry.ports import Registry
from license_registry.presenting.own_trust import current_trust
from license_registry.presenting.present import lead_copy
from license_registry.tables import Licence
from license_registry.verifying.credential import CREDENTIAL_KIND
from license_registry.verifying.licence import Shown, judge
from license_registry.verifying.verdict import Verdict

# Of the licence itself, not of its holder: whoever may see anything of it sees these.
_ALWAYS = ("licence_identifier", "licence_name", "licence_number", "issuer_code", "valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the department sees: the verdict with the granted fields only, and by which grant."""

    verdict: Verdict
    licence: Licence
    grant: Grant


def covering(
    grants: list[Grant], type_id: str, matter: str, now: datetime, *, history: bool = False
) -> Grant | None:
    """Return the grant that covers a licence type and a matter now, the one with most fields if several do.

    Args:
        history: it must cover what was before, too.
    """
    fitting = [
        grant
        for grant in grants
        if grant.licence_type == type_id
        and matter in grant.matters
        and grant.valid_from <= now < grant.valid_until
        and (grant.history or not history)
    ]
    return max(fitting, key=lambda grant: len(grant.fields), default=None)


async def see(
    registry: Registry,
    caller: Principal,
    identifier: str,
    matter: str,
    case: str,
    now: datetime,
    use_cause: str | None = None,
) -> Seen:
    """Verify a licence by the caller's grant.

    1. Find licence and grant. Without a grant nobody learns whether the licence exists.
    2. Read the lead copy and verify it with the state of this moment.
    3. Record who saw which fields, for which purpose, matter and case, before they leave.

    Args:
        use_cause: what the caller says that it is for (用证事由), beside the purpose of the grant.

    Raises:
        NotGranted, NotFound, ObjectMissing, ObjectAltered, CredentialInvalid: as they say.
    """
    seen = await look(registry, caller, identifier, matter, now)
    event = happened(
        "seen-by-grant",
        identifier,
        caller,
        now,
        grant=str(seen.grant.id),
        purpose=seen.grant.purpose,
        matter=matter,
        case=case,
        fields=sorted(seen.grant.fields.intersection(seen.verdict.fields)),
        result=int(seen.verdict.result),
        **stated(use_cause),
    )
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
    return seen


async def look(registry: Registry, caller: Principal, identifier: str, matter: str, now: datetime) -> Seen:
    """Do the first two steps of `see`. Nothing of it may leave before the caller of this has recorded what does.

    Raises:
        as `see`.
    """
    grants = await tables.grants_of(registry.pool, caller.id)
    if not any(covering([grant], grant.licence_type, matter, now) for grant in grants):
        raise NotGranted(_("no grant covers this matter now"), pointer="/matter")
    licence = await licences.find(registry.pool, identifier)
    grant = None
    if licence is not None:
        type_ = type_of(registry.types, licence.type_code, licence.type_version)
        grant = covering(grants, type_.id, matter, now)
    if licence is None or grant is None:
        raise NotFound(_("no such licence that you may see"))
    trust = current_trust(registry, now)
    credential = sd_jwt.verify(await lead_copy(registry, licence), trust.public_keys)
    told = {"purpose": grant.purpose, "matter": matter}
    shown = Shown(CREDENTIAL_KIND, str(credential.header["kid"]), credential, presented=told)
    verdict = judge(shown, trust, now, require_status=True, state=licence.state)
    allowed = grant.fields.union(_ALWAYS)
    fields = {name: value for name, value in verdict.fields.items() if name in allowed}
    only = Verdict(verdict.kind, verdict.result, verdict.checks, fields, verdict.reasons, verdict.told)
    return Seen(only, licence, grant)


async def dossier(
    registry: Registry,
    caller: Principal,
    holder_code: str,
    matter: str,
    case: str,
    now: datetime,
    use_cause: str | None = None,
    type_code: str | None = None,
) -> list[Licence]:
    """Return the licences of a person (一人一档) or an entity (一企一档), as far as the caller's grants go.

    What has ended, and with it every earlier version, is history, and there only where the grant covers that.

    Args:
        use_cause: as in `see`.
        type_code: of the licences that are wanted; None: all.

    Raises:
        NotGranted: no grant covers the matter. HolderInvalid: the code is neither of a person nor of an entity.
    """
    grants = await tables.grants_of(registry.pool, caller.id)
    if not any(covering([grant], grant.licence_type, matter, now) for grant in grants):
        raise NotGranted(_("no grant covers this matter now"), pointer="/matter")
    holder = await asyncio.to_thread(subject_of, registry, holder_code)
    visible = []
    for licence in await held_by(registry, holder):
        if type_code not in (None, licence.type_code):
            continue
        type_ = type_of(registry.types, licence.type_code, licence.type_version)
        if covering(grants, type_.id, matter, now, history=licence.state in ENDED) is not None:
            visible.append(licence)
    event = happened(
        "dossier-seen",
        None,
        caller,
        now,
        holder=holder.hex(),
        matter=matter,
        case=case,
        licences=[licence.identifier for licence in visible],
        **stated(use_cause),
    )
    async with registry.pool.acquire() as connection:
        await licences.add_event(connection, event)
    return visible


def subject_of(registry: Registry, holder_code: str) -> bytes:
    """Return the blind index of a citizen ID or a unified code.

    Raises:
        HolderInvalid: it is neither.
    """
    for kind, parse in (("citizen-id", _citizen), ("uscc", _entity)):
        try:
            return registry.vault.blind_index(kind, parse(holder_code))
        except IdentifierError:
            continue
    raise HolderInvalid(
        _("the code of the holder is not valid: {reason}"), pointer="/holder_code", reason="ill-formed"
    )


def _citizen(text: str) -> str:
    return CitizenId.parse(text).reveal()


def _entity(text: str) -> str:
    return str(Uscc.parse(text))


def require_fields(type_: LicenceType, fields: frozenset[str]) -> None:
    """Raise NotGranted, naming the field, if a grant names one that the type does not have."""
    properties: Mapping[str, Any] = type_.schema["properties"]
    unknown = sorted(fields.difference(properties))
    if unknown:
        raise NotGranted(_("the licence type has no field {field}"), pointer="/fields", field=unknown[0])
