"""Whether a holder is still there to hold: who is dead, struck off or merged into another gets and shows nothing."""

from __future__ import annotations

from datetime import datetime

from foundation.errors import DomainError
from foundation.identifiers import CitizenId, IdentifierError, Uscc
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.sensitive import Vault
from license_registry import tables as registry_tables
from license_registry.audit.event import happened
from license_registry.catalog.types import type_of
from license_registry.issuing.errors import HolderEnded, HolderInvalid
from license_registry.lifecycle.rules import Cause
from license_registry.linked_change import tables
from license_registry.linked_change.follow import raise_tasks
from license_registry.ports import Registry
from license_registry.tables import Licence


class MergedAlready(DomainError):
    code = "holder-merged-already"


async def require_standing(registry: Registry, licence: Licence) -> None:
    """Raise HolderEnded, saying why, if the first holder of a licence is dead, struck off, or merged into another."""
    type_ = type_of(registry.types, licence.type_code, licence.type_version)
    (known,) = await registry.holders.find(type_.holder_code_type, [licence.holder])
    if known is not None and known.standing == "dead":
        raise HolderEnded(_("the holder is dead"))
    if known is not None and known.standing == "ended":
        raise HolderEnded(_("the holder is no longer in its register"))
    if await tables.survivor_of(registry.pool, licence.holder) is not None:
        raise HolderEnded(_("the holder has been merged into another"))


async def merge(
    registry: Registry,
    caller: Principal,
    code_type: str,
    code: str,
    survivor: str,
    reason: str,
    now: datetime,
) -> int:
    """Note that a holder was merged into another; return how many tasks that raised.

    Its licences are not handed over: for each, the authority that issued it decides.

    Raises:
        HolderInvalid: one of the codes is none, or both are one.
        MergedAlready: it was merged before, or whom it is merged into was, so that it would hold nothing either.
    """
    gone = subject(registry.vault, code_type, code, "/holder_code")
    stays = subject(registry.vault, code_type, survivor, "/survivor_code")
    if gone == stays:
        raise HolderInvalid(_("nobody is merged into themselves"), pointer="/survivor_code")
    async with registry.pool.acquire() as connection, connection.transaction():
        # Two mergers at once, each into the other, would leave nobody.
        await connection.execute("LOCK TABLE license_registry.holder_merger IN SHARE ROW EXCLUSIVE MODE")
        if await tables.survivor_of(connection, stays) is not None:
            raise MergedAlready(_("that holder was itself merged into another"), pointer="/survivor_code")
        if not await tables.add_merger(connection, gone, stays, reason, now):
            raise MergedAlready(_("this holder was merged before"), pointer="/holder_code")
        event = happened(
            "holder-merged", None, caller, now, holder=gone.hex(), survivor=stays.hex(), reason=reason
        )
        await registry_tables.add_event(connection, event)
        return await raise_tasks(registry, connection, gone, frozenset({Cause.STRUCK_OFF}), 0, None, now)


def subject(vault: Vault, code_type: str, code: str, pointer: str) -> bytes:
    """Return the blind index of a holder's code (`001` USCC, `111` citizen ID), or raise HolderInvalid."""
    try:
        if code_type == "111":
            return vault.blind_index("citizen-id", CitizenId.parse(code).reveal())
        return vault.blind_index("uscc", str(Uscc.parse(code)))
    except IdentifierError as error:
        raise HolderInvalid(
            _("the code of the holder is not valid: {reason}"), pointer=pointer, reason=error.code
        ) from error
