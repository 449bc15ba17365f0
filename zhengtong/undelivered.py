"""Commands on what departments and other systems were to be told and were not: notices of wrong values, messages."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import click

from exchange.audit.record import prepare, record_within
from exchange.corrections.notices import tables as notices
from exchange.outbox import tables as messages
from foundation.errors import NotFound
from foundation.language import _, both
from foundation.settings import Settings
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.connected import OPERATOR, with_connection

LIMIT = click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)


@click.group(help="数据校核 · Reports of wrong values")
def correction() -> None:
    """Hold the commands on corrections."""


@correction.command("dead", help="投递失败的校核通知 · Notices that were given up; exit 1 if there are any")
@click.option("--client", help="只看一个系统 · One system only")
@LIMIT
@JSON_OPTION
@click.pass_context
@one_line
def dead_notices(context: click.Context, client: str | None, limit: int, as_json: bool) -> None:
    async def work(connection: Any) -> list[notices.Dead]:
        return await notices.dead(connection, client, limit)

    found = with_connection(context.obj, work)
    if as_json:
        print_json(
            [
                {
                    "id": each.id,
                    "client_id": each.client_id,
                    "correction": each.correction,
                    "attempts": each.attempts,
                    "dead_at": each.dead_at.isoformat(),
                    "last_failure": each.last_failure,
                }
                for each in found
            ]
        )
    else:
        for each in found:
            click.echo(
                f"{each.id:>8} {each.client_id:<24} {each.correction} {each.attempts:>3} {each.last_failure}"
            )
        click.echo(both(_("{count} notices lie dead"), count=len(found)))
    context.exit(1 if found else 0)


@correction.command("retry", help="重新投递校核通知 · Try notices again that were given up")
@click.option("--client", help="只投一个系统 · One system only; none: all")
@click.option("--notice", "one", type=int, help="只投一份 · One notice only")
@JSON_OPTION
@click.pass_obj
@one_line
def retry_notices(settings: Settings, client: str | None, one: int | None, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(connection: Any) -> int:
        if one is None:
            count = await notices.revive_all(connection, client, now)
        elif await notices.revive(connection, one, client, now):
            count = 1
        else:
            raise NotFound(_("no such dead notice"))
        await record_within(
            connection,
            prepare(
                "correction-notice-revived",
                "revived",
                OPERATOR,
                now,
                notice=one,
                of_client=client,
                number=count,
            ),
        )
        return count

    count = with_connection(settings, work)
    if as_json:
        print_json({"notices": count})
    else:
        click.echo(both(_("{count} notices are tried again"), count=count))


@click.group(help="对外推送 · What other systems are told")
def outbox() -> None:
    """Hold the commands on the outbox."""


@outbox.command("dead", help="投递失败的消息 · Messages that were given up; exit 1 if there are any")
@LIMIT
@JSON_OPTION
@click.pass_context
@one_line
def dead_messages(context: click.Context, limit: int, as_json: bool) -> None:
    async def work(connection: Any) -> list[messages.Sent]:
        return await messages.messages(connection, dead=True, limit=limit)

    found = with_connection(context.obj, work)
    if as_json:
        print_json(
            [
                {
                    "id": each.id,
                    "target": each.target,
                    "kind": each.kind,
                    "attempts": each.attempts,
                    "dead_at": None if each.dead_at is None else each.dead_at.isoformat(),
                    "last_failure": each.last_failure,
                }
                for each in found
            ]
        )
    else:
        for each in found:
            click.echo(f"{each.id} {each.target:<18} {each.kind:<18} {each.attempts:>3} {each.last_failure}")
        click.echo(both(_("{count} messages lie dead"), count=len(found)))
    context.exit(1 if found else 0)


@outbox.command("retry", help="重新投递消息 · Try messages again that were given up")
@click.option("--target", help="只投一个对象：credit 或者部门 · One target only: credit, or a department")
@click.option("--message", "one", type=click.UUID, help="只投一条 · One message only")
@JSON_OPTION
@click.pass_obj
@one_line
def retry_messages(settings: Settings, target: str | None, one: uuid.UUID | None, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(connection: Any) -> int:
        count = await messages.revive_all(connection, target, one, now)
        if one is not None and not count:
            raise NotFound(_("no such dead message"))
        await record_within(
            connection,
            prepare(
                "message-revived",
                "revived",
                OPERATOR,
                now,
                message=None if one is None else str(one),
                of_target=target,
                number=count,
            ),
        )
        return count

    count = with_connection(settings, work)
    if as_json:
        print_json({"messages": count})
    else:
        click.echo(both(_("{count} messages are tried again"), count=count))
