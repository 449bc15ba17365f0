"""The catalogue in memory: what applies when, what survives a missing database, and writers that meet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exchange.catalog import tables
from exchange.catalog.drafts import edit
from exchange.catalog.drafts.edit import ResourceInReview, ResourceOfAnother, decide_draft
from exchange.catalog.follow import FollowedCatalogue
from exchange.catalog.resources import read_seeds
from foundation import database
from license_registry.catalog.types import load_types
from tests.exchange.catalog.written import POLICE, document, written
from zhengtong.licence_resources import licence_resources

NOW = datetime(2025, 6, 1, 8, tzinfo=UTC)
NAME = "housing-fund-accounts"
DAY = timedelta(days=1)

LESS = {"fields": written()["fields"][:1], "notice": "余额改由银行提供"}


def with_pool(address: str, work: Callable[[Any], Awaitable[None]], size: int = 4) -> None:
    async def connected() -> None:
        async with database.pool(address, size) as pool:
            await work(pool)

    asyncio.run(connected())


async def published(pool: Any, now: datetime, **changes: Any) -> None:
    (drafted,) = await edit.draft(pool, [document(**changes)], "writer", now)
    version = drafted.document["version"]
    await edit.submit(pool, NAME, version, POLICE, "writer", now)
    await edit.publish(pool, NAME, version, "authority", now, notice=30 * DAY)


def test_a_narrower_version_applies_when_its_notice_is_over_and_a_retired_one_ends(database_url: str) -> None:
    async def work(pool: Any) -> None:
        catalogue = FollowedCatalogue(pool)
        await published(pool, NOW)
        await published(pool, NOW, **LESS)
        fields: dict[int, tuple[str, ...]] = {}
        for day in (0, 29, 30):
            await catalogue.refresh(NOW + day * DAY)
            fields[day] = catalogue[NAME].fields
        assert fields == {
            0: ("account_state", "balance"),
            29: ("account_state", "balance"),
            30: ("account_state",),
        }
        await edit.retire(pool, NAME, "authority", NOW + 40 * DAY, reason="停止", notice=30 * DAY)
        for day, there in ((40, True), (69, True), (70, False)):
            await catalogue.refresh(NOW + day * DAY)
            assert (NAME in catalogue) is there, day
        # Published anew, it comes back with the next version.
        await published(pool, NOW + 80 * DAY)
        await catalogue.refresh(NOW + 80 * DAY)
        assert catalogue[NAME].version == 3
        assert [each.version for each in catalogue.published(NAME)] == [3, 2, 1]

    with_pool(database_url, work)


def test_a_look_reads_only_what_changed_and_nothing_where_nothing_did(database_url: str) -> None:
    async def work(pool: Any) -> None:
        catalogue = FollowedCatalogue(pool, licence_resources(load_types()))
        assert "licence.business-licence" in catalogue
        assert await edit.publish_seeds(pool, read_seeds(), NOW) == len(read_seeds())
        assert await edit.publish_seeds(pool, read_seeds(), NOW) == 0
        await catalogue.refresh(NOW)
        before = catalogue.snapshot()
        await catalogue.refresh(NOW)
        assert catalogue.snapshot() is before
        await published(pool, NOW)
        await catalogue.refresh(NOW)
        after = catalogue.snapshot()
        assert set(after) - set(before) == {NAME}
        assert all(after[name] is each for name, each in before.items())

    with_pool(database_url, work)


def test_while_the_database_is_away_what_was_in_force_stays_and_then_it_follows_again(
    database_url: str,
) -> None:
    class Failing:
        away = True

        def __init__(self, pool: Any) -> None:
            self.pool = pool

        async def fetchval(self, *given: Any) -> Any:
            if self.away:
                raise ConnectionResetError
            return await self.pool.fetchval(*given)

        async def fetch(self, *given: Any) -> Any:
            return await self.pool.fetch(*given)

    async def work(pool: Any) -> None:
        await published(pool, NOW)
        line = Failing(pool)
        catalogue = FollowedCatalogue(line)
        line.away = False
        await catalogue.refresh(NOW)
        line.away = True
        task = asyncio.create_task(catalogue.follow())
        await published(pool, NOW, title="新名")
        await asyncio.sleep(1.2)
        assert catalogue[NAME].version == 1
        line.away = False
        await asyncio.sleep(1.1)
        assert (catalogue[NAME].version, task.done()) == (2, False)
        task.cancel()

    with_pool(database_url, work)


def test_writers_that_meet_wait_for_each_other(database_url: str) -> None:
    async def work(pool: Any) -> None:
        many = [document(f"resource-{number}") for number in range(40)]
        await asyncio.gather(*(edit.publish_seeds(pool, many, NOW) for _ in range(4)))
        assert await tables.latest_change(pool) == 40
        drafts = await asyncio.gather(
            *(edit.draft(pool, [document("resource-1", title=f"第{n}稿")], "writer", NOW) for n in range(8))
        )
        assert {each.document["version"] for (each,) in drafts} == {2}
        assert len(await tables.open_versions(pool, None)) == 1

    with_pool(database_url, work)


def test_what_becomes_of_a_draft_follows_from_what_is_there() -> None:
    def stored(state: str, version: int = 1, **changes: Any) -> tables.StoredVersion:
        of = document(version=version, **changes)
        applies = NOW - DAY if state == "published" else None
        return tables.StoredVersion(NAME, version, state, POLICE, of, None, applies, None, NOW, "writer")

    def outcome(*there: tables.StoredVersion, **changes: Any) -> tuple[str, int]:
        decided = decide_draft(document(version=99, **changes), there, NOW)
        if decided.refusal is not None:
            raise decided.refusal
        return decided.outcome, decided.document["version"]

    assert outcome() == ("drafted", 1)
    assert outcome(stored("draft")) == ("unchanged", 1)
    assert outcome(stored("draft"), notice="说明") == ("drafted", 1)
    assert outcome(stored("published")) == ("unchanged", 1)
    assert outcome(stored("published"), notice="说明") == ("unchanged", 1)
    assert outcome(stored("published"), title="新名") == ("drafted", 2)
    assert outcome(stored("published"), stored("draft", 2, title="新名")) == ("drafted", 2)
    assert outcome(stored("retired")) == ("drafted", 2)
    # Told, and not yet in force: a file that has what is in force does not undo it; a department may.
    told = replace(stored("published", 2, title="新名"), applies_from=NOW + DAY)
    assert outcome(told, stored("published")) == ("drafted", 3)
    assert decide_draft(document(), [told, stored("published")], NOW, reverting=False).outcome == "unchanged"
    with pytest.raises(ResourceInReview):
        outcome(stored("in-review"))
    with pytest.raises(ResourceOfAnother):
        outcome(stored("published"), department="11990100MC0000039Q")


def test_thousands_of_drafts_are_one_short_transaction(database_url: str) -> None:
    async def work(pool: Any) -> None:
        many = [document(f"resource-{number}") for number in range(3000)]
        done = await edit.draft(pool, many, "writer", NOW)
        assert {each.outcome for each in done} == {"drafted"}
        again = await edit.draft(pool, many, "writer", NOW)
        assert {each.outcome for each in again} == {"unchanged"}

    with_pool(database_url, work)
