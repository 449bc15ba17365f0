"""A city without HTTP: registers filled by connectors, a client with a grant, and rounds that are gone by hand."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from connectors.mapping import load_mapping
from connectors.pipeline import run
from connectors.sources.files import FileSource
from exchange.audit.record import Recorder
from exchange.catalog.resources import load_catalogue
from exchange.grants import tables as grant_tables
from exchange.grants.grant import Grant, Mode
from exchange.grants.held import Grants
from exchange.ports import Exchange
from exchange.registers.lookup import Lookups
from exchange.registers.schemas import load_registers
from exchange.subscriptions import subscribing
from exchange.subscriptions.delivering import deliver_due, stop_ungranted
from exchange.subscriptions.following import follow
from exchange.subscriptions.heads import Heads
from exchange.subscriptions.reading import Page, read
from exchange.subscriptions.spread import spread
from exchange.subscriptions.subscribing import Wanted
from exchange.subscriptions.subscription import Scope, Subscription
from foundation import database
from foundation.identifiers import CitizenId, Uscc
from foundation.identity.principals import Principal, Role
from foundation.sensitive.opening import open_vault
from foundation.settings import Settings
from foundation.webhooks.sending import Delivered, sender
from license_registry.ports import Registry
from tests.conftest import MARKET, fresh_database
from tests.foundation.webhooks.receiving import Receiver, receiving
from tests.license_registry.conftest import registry
from zhengtong.house_keys import open_keys
from zhengtong.licence_changes import FollowedLicences
from zhengtong.licence_resources import licence_resources

PEOPLE = [CitizenId.compute("990101", date(1980, 2, 29), n).reveal() for n in range(1, 8)]
PERSON, OTHER = PEOPLE[:2]
ENTITIES = [str(Uscc.compute(f"91990101MA000000{n}")) for n in range(1, 4)]
ENTITY = ENTITIES[0]
CALLER = Principal("housing-fund", MARKET, frozenset({Role.DEPARTMENT_SYSTEM}))
_HEADER = "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
_MAPPING = (
    "source: entities\ntitle: 法人\ncontact: 市场监管局\nregister: legal_entities\nformat: delimited\n"
    "encoding: utf-8\nsnapshot: {ended_share: 1.0}\ncolumns:\n  - {column: 代码, field: code, kind: uscc}\n"
    "  - {column: 名称, field: name}\n  - {column: 地址, field: address}\n"
    "  - {column: 法人, field: representative_name}\n"
)


@dataclass(slots=True)
class City:
    """Registers, filled as departments fill them, and the exchange on them.

    Args:
        ahead: how far the clock is ahead of the real one.
    """

    settings: Settings
    address: str
    folder: Path
    exchange: Exchange
    registry: Registry
    ahead: timedelta = timedelta()
    files: int = 0
    grant: uuid.UUID = field(default_factory=uuid.uuid4)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def people(self, *citizen_ids: str, **changes: Any) -> None:
        """Bring in people, as they now are."""
        facts = {
            "name": "张三丰",
            "marital": "已婚",
            "division": "990102",
            "address": "东湖路1号",
            "status": "正常",
            "died": "",
        } | changes
        rows = [
            f"{citizen_id},{facts['name']},男,1980-02-29,汉族,{facts['marital']},,H1,户主,990101,"
            f"{facts['division']},{facts['address']},2001-05-06,{facts['status']},{facts['died']}\r\n"
            for citizen_id in citizen_ids or (PERSON,)
        ]
        self._bring("population", f"{_HEADER}\r\n{''.join(rows)}".encode("gb18030"))

    def entities(self, *rows: tuple[str, str, str, str]) -> None:
        """Bring in all entities that there are: code, name, address, representative."""
        text = "代码,名称,地址,法人\n" + "".join(",".join(row) + "\n" for row in rows)
        self._bring("entities", text.encode())

    def _bring(self, source: str, content: bytes) -> None:
        self.files += 1
        path = self.folder / f"{self.files}.csv"
        path.write_bytes(content)
        mapping = load_mapping(source, self.settings.sources_folder)
        report = run(
            mapping, FileSource(path, mapping), database=self.address, vault=self.exchange.vault, workers=0
        )
        assert report.quarantined == 0

    async def give(self, **changes: Any) -> Grant:
        """Give the client a grant; `grant` is the last one's id."""
        made = Grant(
            id=uuid.uuid4(),
            client_id=CALLER.id,
            resource="persons-basic",
            fields=frozenset({"name", "marital_status", "address", "status"}),
            matters=frozenset({"withdrawal"}),
            purpose="公积金管理",
            legal_basis="国务院令第809号",
            valid_from=datetime.now(UTC) - timedelta(hours=1),
            valid_until=datetime.now(UTC) + timedelta(days=900),
            granted_by="data-bureau",
            granted_at=datetime.now(UTC),
            modes=frozenset({Mode.SUBSCRIBE}),
        )
        made = replace(made, **changes)
        assert await grant_tables.add(self.exchange.engine, made)
        self.grant = made.id
        return made

    async def subscribe(
        self, *kinds: str, scope: Scope = Scope.NAMED, url: str | None = None, **named: str
    ) -> Subscription:
        """Subscribe, and name subjects: reference → identifier."""
        wanted = Wanted(uuid.uuid4(), self.grant, "withdrawal", kinds, scope, url)
        made = await subscribing.subscribe(self.exchange, CALLER, wanted, self.now())
        if named:
            added = [(subject, reference) for reference, subject in named.items()]
            await subscribing.name_subjects(self.exchange, CALLER, made.id, added, (), self.now())
        return made

    async def tell(self) -> int:
        """Follow all sources, and let changes become events; return how many."""
        await stop_ungranted(self.exchange, self.now())
        await follow(self.exchange, FollowedLicences(self.registry))
        return await spread(self.exchange, self.now())

    async def deliver(self) -> Delivered:
        """Deliver what is due."""
        async with sender(self.settings) as opened:
            return await deliver_due(self.exchange, opened, self.now)

    async def read(self, subscription: Subscription, after: int = 0, **options: Any) -> Page:
        """Read a feed."""
        given = {"limit": 100, "wait": 0, **options}
        return await read(self.exchange, CALLER, subscription.id, after=after, clock=self.now, **given)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def records(self, event: str) -> list[dict[str, Any]]:
        """Return the access records of an event, the oldest first."""
        found = self.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
        return [record for (content,) in found if (record := orjson.loads(content))["event"] == event]

    def subject(self, citizen_id: str = PERSON) -> bytes:
        return self.exchange.vault.blind_index("citizen-id", citizen_id)


@asynccontextmanager
async def city_of(settings: Settings, address: str, folder: Path) -> AsyncIterator[City]:
    settings.sources_folder.mkdir(parents=True, exist_ok=True)
    (settings.sources_folder / "entities.yaml").write_text(_MAPPING, encoding="utf-8")
    keys, vault = open_keys(settings, datetime.now(UTC)), open_vault(settings, datetime.now(UTC))
    engine = database.engine(address)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        pool = await stack.enter_async_context(database.pool(address, 8))
        recorder, heads = Recorder(pool), Heads(pool)
        lookups = Lookups(pool, load_registers().values())
        for running in (recorder.running(), heads.running(), lookups.running()):
            await stack.enter_async_context(running)
        ports = await stack.enter_async_context(registry(settings, address))
        grants = Grants(pool)
        await stack.enter_async_context(grants.followed())
        licences = {each.id: each for each in licence_resources(ports.types)}
        given = {
            "settings": settings,
            "pool": pool,
            "engine": engine,
            "vault": vault,
            "keys": keys,
            "recorder": recorder,
            "grants": grants,
            "lookups": lookups,
            "catalogue": load_catalogue() | licences,
            "heads": heads,
        }
        # What subscriptions have no use for is not there.
        made = Exchange(**{each.name: given.get(each.name) for each in fields(Exchange)})
        yield City(settings, address, folder, made, ports)


Story = Callable[[City], Awaitable[None]]

_EMPTIED = """
TRUNCATE exchange.subscription, exchange.subscription_subject, exchange.feed_event, exchange.change,
    exchange.share_grant, exchange.grant_use, exchange.access_record, exchange.person, exchange.person_history,
    exchange.legal_entity, exchange.legal_entity_history, exchange.alias, exchange.alias_history, exchange.link,
    exchange.register_return, exchange.register_addition, exchange.ingest_run, exchange.ingest_cursor,
    license_registry.licence, license_registry.event, ledger.pending, ledger.entry CASCADE;
UPDATE exchange.feed_cursor SET position = CASE source WHEN 'licences' THEN -1 ELSE 0 END
"""


@pytest.fixture(scope="module")
def ground(server_address: str, template: str) -> Iterator[str]:
    """A database for a whole module; what its stories leave is cleared away."""
    with fresh_database(server_address, template) as address:
        yield address


@pytest.fixture
def told(ground: str, tmp_path: Path) -> Callable[[Story], None]:
    """Tell a story in a city of its own."""
    given = Settings(
        home=tmp_path / "home",
        database_url=ground,
        holder_register="if-known",
        documents="when-asked",
        webhook_networks=("127.0.0.0/8",),
    )

    def tell(story: Story) -> None:
        async def work() -> None:
            async with city_of(given, ground, tmp_path) as city:
                city.sql(_EMPTIED)
                await story(city)

        asyncio.run(work())

    return tell


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as here:
        yield here
