"""Commands on what is kept: reading the whole object store against its digests."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from foundation.language import _, both
from foundation.settings import Settings
from license_registry.ports import Registry
from license_registry.store.scrub import Scrubbed, scrub
from zhengtong.command import JSON_OPTION, one_line, print_json
from zhengtong.licences import licence, with_registry

__all__ = ["licence"]


@licence.command(
    "scrub", help="逐一读取存储对象并核对摘要 · Read every object and compare its digest; exit 0 or 1"
)
@JSON_OPTION
@click.pass_obj
@one_line
def scrub_command(settings: Settings, as_json: bool) -> None:
    now = datetime.now(UTC)

    async def work(registry: Registry) -> Scrubbed:
        return await scrub(registry, now)

    found = with_registry(settings, now, work)
    if as_json:
        print_json(
            {
                "read": found.read,
                "findings": [
                    {"licence": each.identifier, "object": each.key, "kind": each.kind}
                    for each in found.findings
                ],
            }
        )
    else:
        click.echo(
            both(
                _("{read} objects read, {findings} altered or missing"),
                read=found.read,
                findings=len(found.findings),
            )
        )
        for each in found.findings:
            click.echo(f"✗ {each.kind} {each.identifier} {each.key}")
    sys.exit(1 if found.findings else 0)
