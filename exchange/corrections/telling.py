"""Telling all who were given a wrong value."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from exchange.audit.record import prepare, record_within
from exchange.corrections import tables
from exchange.corrections.correction import Correction
from exchange.corrections.recipients import recipients
from exchange.ports import Exchange
from exchange.registers.schemas import load_registers
from exchange.requests.act import ITSELF


async def tell_recipients(
    exchange: Exchange, connection: Any, correction: Correction, until: datetime, now: datetime
) -> int:
    """Write a notice for each system that was given the value, and was not told of it yet; return how many.

    In the caller's transaction, each notice with its record.

    Args:
        until: when the register ceased to show the value, or now.
    """
    resources = [
        each.id
        for each in exchange.catalogue.values()
        if each.register.name == correction.register and correction.field in each.fields
    ]
    found = await recipients(
        connection,
        load_registers()[correction.register].table,
        correction.subject,
        resources,
        correction.field,
        correction.value_since,
        until,
        correction.id,
    )
    for each in found:
        number = await tables.add_notice(connection, correction.id, each, now)
        await record_within(
            connection,
            prepare(
                "correction-told",
                "told",
                ITSELF,
                now,
                subject=correction.subject,
                correction=str(correction.id),
                resource=correction.resource,
                field=correction.field,
                to=each.client_id,
                notice=number,
                records=len(each.records),
            ),
        )
    return len(found)
