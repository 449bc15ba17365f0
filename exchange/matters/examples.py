"""Example matters (`schemas/matters/examples`): invented, to show how a matter is described."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

import orjson

from exchange.matters import tables
from exchange.matters.matter import Matter, read_matter


@cache
def load_examples() -> tuple[Matter, ...]:
    """Read all examples, by code.

    Raises:
        MatterMalformed: one of them is no description.
    """
    folder = resources.files("schemas") / "matters" / "examples"
    documents = [orjson.loads(path.read_bytes()) for path in folder.iterdir() if path.name.endswith(".json")]
    return tuple(sorted((read_matter(each) for each in documents), key=lambda matter: matter.code))


async def bring_in_examples(pool: Any, changed_by: str, now: datetime) -> list[tuple[str, int]]:
    """Store the examples as drafts; return code and version of those that were not there as they are."""
    made: list[tuple[str, int]] = []
    async with pool.acquire() as connection, connection.transaction():
        newest = await tables.newest(connection, [matter.code for matter in load_examples()])
        for matter in load_examples():
            known = newest.get(matter.code)
            document = dict(matter.document)
            if known is not None:
                if known.document == document | {"version": known.version}:
                    continue
                document["version"] = known.version + 1
            await tables.put_draft(connection, document, changed_by, now)
            made.append((document["code"], document["version"]))
    return made
