"""Commands on subscriptions: what could not be delivered, and trying it again."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import click

from exchange.audit.record import prepare, record_within
from exchange.subscriptions import feed_tables
from exchange.subscriptions.routes import shown_dead
from foundation.language import _, both
from foundation.settings import Settings
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.connected import OPERATOR, with_connection


@click.group(help="变更订阅 · Subscriptions to changes")
def subscription() -> None:
    """Hold the commands on subscriptions."""


@subscription.command("dead", help="投递失败的事件 · Events that were given up; exit 1 if there are any")
@click.option("--subscription", "one", type=click.UUID, help="只看一个订阅 · One subscription only")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@JSON_OPTION
@click.pass_context
@one_line
def dead(context: click.Context, one: uuid.UUID | None, limit: int, as_json: bool) -> None:
    async def work(connection: Any) -> list[dict[str, Any]]:
        return [shown_dead(each) for each in await feed_tables.dead(connection, one, limit)]

    found = with_connection(context.obj, work)
    if as_json:
        print_json(found)
    else:
        for each in found:
            click.echo(
                f"{each['subscription']} {each['sequence']:>8} {each['kind']:<22} {each['attempts']:>3}"
                f" {each['last_failure']}"
            )
        click.echo(both(_("{count} events lie dead"), count=len(found)))
    context.exit(1 if found else 0)


@subscription.command("retry", help="重新投递失败的事件 · Try events again that were given up")
@click.option(
    "--subscription", "one", type=click.UUID, help="只投一个订阅 · One subscription only; none: all"
)
@JSON_OPTION
@click.pass_obj
@one_line
def retry(settings: Settings, one: uuid.UUID | None, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(connection: Any) -> int:
        which = None if one is None else str(one)
        told = prepare("events-revived", "accepted", OPERATOR, now, subscription=which)
        await record_within(connection, told)
        return await feed_tables.revive(connection, one, None, now)

    count = with_connection(settings, work)
    if as_json:
        print_json({"events": count})
    else:
        click.echo(both(_("{count} events are tried again"), count=count))
