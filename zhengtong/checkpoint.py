"""The command that folds what waits into the log, where no service does, or before one looks at it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import click

from foundation import database
from foundation.language import _, both
from foundation.ledger import tables
from foundation.ledger.sequencer import SequencerError, sequence_once
from foundation.settings import Settings
from zhengtong.command import JSON_OPTION, Refused, one_line, print_json
from zhengtong.house_keys import open_keys, open_log


@click.command(
    "checkpoint", help="将待入日志的承诺并入并发布检查点 · Fold what waits into the log, and publish it"
)
@JSON_OPTION
@click.pass_obj
@one_line
def checkpoint_command(settings: Settings, as_json: bool) -> None:
    tiles, signer = open_log(settings, open_keys(settings, datetime.now(UTC)))

    async def fold(address: str) -> dict[str, Any]:
        async with database.pool(address, 1) as pool, pool.acquire() as connection:
            before = await tables.read_head(connection)
            # None, too, where the service is at it: it folds the same.
            while await sequence_once(connection, tiles, signer, datetime.now(UTC)) is not None:
                pass
            head = await tables.read_head(connection)
        size = 0 if head is None else head.size
        return {
            "size": size,
            "root": None if head is None else head.root.hex(),
            "folded": size - (0 if before is None else before.size),
        }

    with database.running_database(settings) as address:
        database.require_current_schema(address)
        try:
            found = asyncio.run(fold(address))
        except SequencerError as error:
            raise Refused(f"{error.code}: {error}") from error
    if as_json:
        print_json(found)
    else:
        click.echo(
            both(
                _("the log has {size} entries, {folded} of them new; its checkpoint is published"),
                size=f"{found['size']:,}",
                folded=f"{found['folded']:,}",
            )
        )
