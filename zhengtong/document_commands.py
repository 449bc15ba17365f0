"""Commands on documents that are drawn at issue: what kept some from being drawn, and trying those again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from foundation.language import _, both
from foundation.settings import Settings
from license_registry.documents import due
from license_registry.documents.due import Due, Standing
from license_registry.ports import Registry
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.licences import with_registry


@click.group(help="签发时生成的证照文件 · Documents that are drawn at issue")
def document() -> None:
    """Hold the commands on documents."""


@document.command("waiting", help="待生成与未能生成的文件 · How many are due, and what could not be drawn")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@JSON_OPTION
@click.pass_obj
@one_line
def waiting(settings: Settings, limit: int, as_json: bool) -> None:
    async def work(registry: Registry) -> tuple[Standing, list[Due]]:
        return await due.standing(registry.pool), await due.troubled(registry.pool, limit)

    stands, troubled = with_registry(settings, datetime.now(UTC), work)
    if as_json:
        listed: list[dict[str, Any]] = [
            {
                "licence": each.identifier,
                "problem": each.problem,
                "due_at": each.due_at.isoformat(),
                "tries": each.tries,
                "again_at": None if each.next_try_at is None else each.next_try_at.isoformat(),
            }
            for each in troubled
        ]
        print_json({"waiting": stands.waiting, "problems": stands.troubled, "troubled": listed})
        return
    click.echo(both(_("{waiting} documents are still to be drawn"), waiting=stands.waiting))
    for each in troubled:
        again = "" if each.next_try_at is None else f"  {each.next_try_at.isoformat(timespec='seconds')}"
        click.echo(f"✗ {each.identifier}  {each.problem}  {each.due_at.isoformat(timespec='seconds')}{again}")


@document.command(
    "again", help="重新生成 · Draw again what could not be drawn: all, or one licence, one problem"
)
@click.argument("identifier", required=False)
@click.option("--problem", help="只处理该原因 · Only those that met this problem")
@click.pass_obj
@one_line
def again(settings: Settings, identifier: str | None, problem: str | None) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> int:
        return await due.resume(registry.pool, now, identifier=identifier, problem=problem)

    click.echo(
        both(_("{count} documents will be drawn by the service"), count=with_registry(settings, now, work))
    )
