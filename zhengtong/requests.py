"""Commands on share requests, for operators: which there are, and where a term has passed."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import click

from exchange.deadlines import load_deadlines
from exchange.requests import tables
from exchange.requests.request import ShareRequest
from exchange.requests.states import STEPS, State
from foundation import database
from foundation.civil import civil_date
from foundation.language import _, both
from foundation.settings import Settings
from zhengtong.command import JSON_OPTION, one_line, print_json

_LIMIT = click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)


@click.group(help="共享申请 · Share requests")
def request() -> None:
    """Hold the commands on share requests."""


@request.command("list", help="列出共享申请，最近的在前 · List share requests, the latest first")
@click.option(
    "--state", type=click.Choice([each.value for each in State]), help="只列一种状态 · One state only"
)
@_LIMIT
@JSON_OPTION
@click.pass_obj
@one_line
def list_requests(settings: Settings, state: str | None, limit: int, as_json: bool) -> None:
    _print(settings, _read(settings, state, None, limit), as_json=as_json)


@request.command("overdue", help="列出逾期的共享申请 · List share requests whose term has passed")
@_LIMIT
@JSON_OPTION
@click.pass_obj
@one_line
def list_overdue(settings: Settings, limit: int, as_json: bool) -> None:
    found = _read(settings, None, civil_date(datetime.now(UTC)), limit)
    _print(settings, found, as_json=as_json)


def _read(settings: Settings, state: str | None, overdue_on: date | None, limit: int) -> list[ShareRequest]:
    async def read(address: str) -> list[ShareRequest]:
        async with database.pool(address, 1) as pool:
            return await tables.listed(
                pool,
                department=None,
                owner=None,
                state=state,
                overdue_on=overdue_on,
                before=None,
                limit=limit,
            )

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        return asyncio.run(read(address))


def _print(settings: Settings, found: list[ShareRequest], *, as_json: bool) -> None:
    deadlines = load_deadlines(settings)
    shown: list[dict[str, Any]] = [
        {
            "id": str(each.id),
            "resource": each.asked.resource,
            "client_id": each.client_id,
            "department": each.department,
            "owner": each.owner,
            "state": each.state.value,
            "step": STEPS.get(each.state),
            **deadlines.told(each.due_on),
        }
        for each in found
    ]
    if as_json:
        print_json(shown)
        return
    for each in shown:
        click.echo(
            f"{each['id']} {each['resource']:<24} {each['client_id']:<20} → {each['owner']:<18}"
            f" {each['state']:<16} {each['due_on'] or ''}"
        )
    click.echo(both(_("{count} requests"), count=len(shown)))
