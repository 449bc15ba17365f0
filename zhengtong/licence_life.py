"""Commands on the life of licences: what each day brings, what the registers bring, notices, tasks."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from foundation.errors import NotFound
from foundation.language import _, both
from foundation.settings import Settings
from foundation.webhooks.addresses import WebhookRefused, reach_of, require_reachable
from foundation.webhooks.sending import sender
from license_registry.annual_reports.due import open_due, overdue
from license_registry.lifecycle import schedule
from license_registry.linked_change.follow import follow
from license_registry.linked_change.routes import TaskReply
from license_registry.linked_change.routes import shown as shown_task
from license_registry.linked_change.tables import tasks
from license_registry.notices import tables as notices
from license_registry.notices.deliver import KINDS, deliver, require_kinds
from license_registry.notices.routes import NoticeReply
from license_registry.notices.routes import shown as shown_notice
from license_registry.ports import Registry
from license_registry.wallets.authorising import tables as authorisations
from license_registry.wallets.tables import forget_expired
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.followed import FollowedRegisters
from zhengtong.licences import licence, with_registry

__all__ = ["licence"]

WALLETS_KEPT = timedelta(days=1)
"""How long a department may fetch what a wallet answered, after the request for it expired."""


def _told(counts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(counts)
        return
    for name, count in counts.items():
        click.echo(f"{name:<16} {count:>10,}")


@licence.command("expire", help="有效期届满的证照置为失效 · Let licences lapse whose last day has passed")
@JSON_OPTION
@click.pass_obj
@one_line
def expire(settings: Settings, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> dict[str, Any]:
        return {"expired": await schedule.expire(registry, now)}

    _told(with_registry(settings, now, work), as_json)


@licence.command(
    "daily",
    help="每日作业：失效、暂扣期满发还、到期提醒、年度报告、清理 · All that a day brings; again without harm",
)
@JSON_OPTION
@click.pass_obj
@one_line
def daily(settings: Settings, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> dict[str, Any]:
        # In this order: what has lapsed does not come back, is not reminded of, and reports no more.
        counts: dict[str, Any] = {
            "expired": await schedule.expire(registry, now),
            "returned": await schedule.return_suspended(registry, now),
        }
        for days, count in (await schedule.remind(registry, now)).items():
            counts[f"reminded_{days}"] = count
        counts["reports_due"] = await open_due(registry, now)
        counts["reports_overdue"] = await overdue(registry, now)
        counts["wallets_forgotten"] = await forget_expired(registry.pool, now - WALLETS_KEPT)
        counts["wallets_forgotten"] += await authorisations.forget_expired(registry.pool, now - WALLETS_KEPT)
        return counts

    _told(with_registry(settings, now, work), as_json)


@licence.command(
    "follow-registers",
    help="跟踪登记库变化，产生联动变更待办 · Raise tasks for what changed of holders; again without harm",
)
@JSON_OPTION
@click.pass_obj
@one_line
def follow_registers(settings: Settings, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> dict[str, Any]:
        return asdict(await follow(registry, FollowedRegisters(registry.pool, registry.vault), now))

    _told(with_registry(settings, now, work), as_json)


@licence.command("deliver", help="投递到期的通知 · Send the notices that are due; exit 1 if any lies dead")
@JSON_OPTION
@click.pass_context
@one_line
def deliver_due(context: click.Context, as_json: bool) -> None:
    now, settings = datetime.now(UTC), context.obj

    async def work(registry: Registry) -> dict[str, Any]:
        async with sender(settings) as opened:
            return asdict(await deliver(registry, opened, now))

    counts = with_registry(settings, now, work)
    _told(counts, as_json)
    context.exit(1 if counts["dead"] else 0)


@licence.command("subscribe", help="登记通知地址 · Send a department's notices to an address")
@click.option("--department", required=True, help="部门统一社会信用代码 · Unified code of the department")
@click.option("--url", required=True, help="https 地址 · Address")
@click.option("--kind", "kinds", multiple=True, help="通知种类，可多次；缺省为全部 · Kinds; none: all")
@JSON_OPTION
@click.pass_obj
@one_line
def subscribe(settings: Settings, department: str, url: str, kinds: tuple[str, ...], as_json: bool) -> None:
    now = datetime.now(UTC)
    # As departments are named where clients are registered: the form counts, not the check character.
    if not re.fullmatch(r"[0-9A-HJ-NPQRTUWXY]{18}", department):
        raise WebhookRefused(_("this is no unified code of an authority"))
    wanted = require_kinds(frozenset(kinds) or KINDS)

    async def work(registry: Registry) -> str:
        address = await require_reachable(url, reach_of(settings))
        async with registry.pool.acquire() as connection:
            return str(await notices.put_subscription(connection, department, address, wanted, now))

    made = with_registry(settings, now, work)
    if as_json:
        print_json({"subscription": made, "department": department, "url": url, "kinds": sorted(wanted)})
    else:
        click.echo(made)


@licence.command("dead-notices", help="投递失败的通知 · Notices that were given up")
@click.option("--retry", is_flag=True, help="全部重新投递 · Try all of them again")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def dead_notices(settings: Settings, retry: bool, limit: int, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> list[NoticeReply]:
        async with registry.pool.acquire() as connection, connection.transaction():
            found = await notices.deliveries(connection, None, dead=True, limit=limit)
            if retry:
                for each in found:
                    if not await notices.revive(connection, each.id, None, now):
                        raise NotFound(_("no such dead notice"))
        return [shown_notice(each) for each in found]

    found = with_registry(settings, now, work)
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(
            f"{each['id']} {each['kind']:<22} {each['attempts']:>3} {each['last_failure']} {each['url']}"
        )
    click.echo(both(_("{count} notices lie dead"), count=len(found)))


@licence.command("tasks", help="联动变更待办 · Tasks from changes of holders")
@click.option("--department", help="只看一个部门 · One department only")
@click.option("--state", type=click.Choice(["open", "claimed", "done"]), default="open", show_default=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def list_tasks(settings: Settings, department: str | None, state: str, limit: int, as_json: bool) -> None:
    async def work(registry: Registry) -> list[TaskReply]:
        return [shown_task(each) for each in await tasks(registry.pool, department, state, limit)]

    found = with_registry(settings, datetime.now(UTC), work)
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(f"{each['id']} {each['reaction']:<7} {each['cause']:<15} {each['licence']}")
