"""A code that stands for the release: a person makes it after they saw what would go, and shows it at the counter.

It is good for nothing but the release of exactly that, to that department, in that case, once. Whoever finds it can
give the department no more than its person has decided to give.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchange.audit.record import prepare, record_within
from exchange.consents import tables
from exchange.consents.consent import KIND
from exchange.consents.errors import ConsentCodeNotAllowed, ConsentCodeUsed, ConsentIdTaken
from exchange.consents.tables import ConsentCode
from exchange.plans import offer_states
from exchange.plans.errors import OfferNotOpen
from exchange.plans.offer_states import Offer
from exchange.ports import Exchange
from foundation.errors import NotFound
from foundation.identity.principals import Principal
from foundation.language import _

PREFIX = "ZT3:"


@dataclass(frozen=True, slots=True)
class Made:
    """A code for the person's screen, and what it is for."""

    text: str
    code: ConsentCode


def code_digest(text: str) -> bytes:
    """Return what stands for a code in the database."""
    return hashlib.sha256(text.encode()).digest()


def evidence_digest(offers: Sequence[Offer]) -> bytes:
    """Return a digest of what was fetched for offers, as it is sealed: what the person saw, and nothing else."""
    whole = hashlib.sha256()
    for each in offers:
        assert each.evidence is not None
        whole.update(each.id.bytes + hashlib.sha256(each.evidence).digest())
    return whole.digest()


async def make_code(
    exchange: Exchange, caller: Principal, code_id: uuid.UUID, wanted: Sequence[uuid.UUID], now: datetime
) -> Made:
    """Make a code that releases consents of the caller, all of one case, which they have previewed.

    The code comes from its id and the vault's key, so that the same request again gives the same code; nobody else can
    tell it from the id. It works until it is used, withdrawn, or late, and only while each of its consents is open.

    Raises:
        NotFound: one is not the caller's. OfferNotOpen: one is not previewed, or they are of several cases.
        ConsentCodeNotAllowed: the matter does not let a code stand for one. ConsentIdTaken: as it says.
    """
    assert caller.subject is not None
    ids = tuple(sorted(set(wanted)))
    text = PREFIX + _text(exchange, caller.subject, code_id)
    async with exchange.pool.acquire() as connection, connection.transaction():
        known = await tables.code_of(connection, code_id, caller.subject)
        if known is not None:
            if known.offers != ids:
                raise ConsentIdTaken(_("take a new id for each request"), pointer="/id")
            return Made(text, known)
        offers = await offer_states.several(connection, ids, lock=True)
        if len(offers) < len(ids) or any(
            (each.person, each.kind) != (caller.subject, KIND) for each in offers
        ):
            raise NotFound(_("nothing of that name was asked of you"))
        for each in offers:
            if not each.by_code:
                raise ConsentCodeNotAllowed(_("release it yourself"), pointer="/consents")
            if each.state != "previewed" or not each.is_open(now):
                raise OfferNotOpen(_("it is {state}"), state=each.standing(now))
        first = offers[0]
        if len({(each.department, each.matter, each.case_ref) for each in offers}) > 1:
            raise OfferNotOpen(_("one code is for one case"), pointer="/consents")
        lives = now + timedelta(seconds=exchange.settings.consent_code_seconds)
        made = ConsentCode(
            code_id,
            code_digest(text),
            caller.subject,
            first.department,
            first.matter,
            first.case_ref,
            ids,
            evidence_digest(offers),
            now,
            min([lives, *(each.expires_at for each in offers)]),
        )
        if not await tables.add_code(connection, made):
            raise ConsentIdTaken(_("take a new id for each request"), pointer="/id")
        await record_within(
            connection,
            prepare(
                "consent-code-made",
                "made",
                caller,
                now,
                subject=caller.subject,
                code=str(code_id),
                consents=[str(each) for each in ids],
                matter=first.matter,
                case=first.case_ref,
                to_department=first.department,
                expires_at=made.expires_at.isoformat(),
            ),
        )
    return Made(text, made)


async def withdraw_code(exchange: Exchange, caller: Principal, code_id: uuid.UUID, now: datetime) -> None:
    """Let a code release nothing from now on; said again, it changes nothing. The consents stay open.

    Raises:
        NotFound: it is none of the caller's. ConsentCodeUsed: it has released already; the release can be withdrawn.
    """
    assert caller.subject is not None
    async with exchange.pool.acquire() as connection, connection.transaction():
        code = await tables.code_of(connection, code_id, caller.subject, lock=True)
        if code is None:
            raise NotFound(_("no such code"))
        if code.used_at is not None:
            raise ConsentCodeUsed(_("withdraw the consents that it has released"))
        if code.withdrawn_at is not None:
            return
        await tables.withdraw(connection, code_id, now)
        await record_within(
            connection,
            prepare(
                "consent-code-withdrawn",
                "withdrawn",
                caller,
                now,
                subject=caller.subject,
                code=str(code_id),
                matter=code.matter,
                case=code.case_ref,
                to_department=code.department,
            ),
        )


def _text(exchange: Exchange, person: bytes, code_id: uuid.UUID) -> str:
    keyed = exchange.vault.fingerprint(b"consent-code\0" + person + b"\0" + code_id.bytes)
    return base64.b32encode(keyed).decode().rstrip("=")
