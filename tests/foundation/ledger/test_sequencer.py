"""The sequencer against real PostgreSQL: order, dying at every step, two at once, and refusals."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import create_engine

from foundation.ledger import (
    Checkpoint,
    DirectoryTiles,
    LogSigner,
    TileMissing,
    consistency_proof,
    leaf_hash,
    open_checkpoint,
    verify_consistency,
    verify_inclusion,
    verify_log,
)
from foundation.ledger.sequencer import (
    SequencerError,
    find_leaf_index,
    inclusion,
    republish,
    run_forever,
    sequence_once,
)
from foundation.ledger.tables import DDL, enqueue, metadata
from foundation.ledger.tiles import read_bundle
from tests.conftest import fresh_database

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key().public_bytes_raw()
SIGNER = LogSigner("zhengtong.example/ledger", PUBLIC, PRIVATE.sign)
NOW = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)
T = TypeVar("T")


@pytest.fixture
def empty_database(server_address: str) -> Iterator[str]:
    # Copied from the server's own template: with nothing in it.
    with fresh_database(server_address, "template0") as address:
        yield address


@pytest.fixture
def ledger_database(empty_database: str) -> str:
    """Address of a fresh database with the tables of the ledger and nothing else."""
    with psycopg.connect(empty_database) as connection:
        for statement in DDL:
            connection.execute(statement.encode())
    return empty_database


@pytest.fixture
def tiles(tmp_path: Path) -> DirectoryTiles:
    return DirectoryTiles(tmp_path / "log")


def entries(first: int, count: int) -> list[bytes]:
    return [hashlib.sha256(i.to_bytes(8)).digest() for i in range(first, first + count)]


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(address)
    try:
        yield connection
    finally:
        await connection.close()


def run(address: str, story: Callable[[Any], Awaitable[T]]) -> T:
    async def with_connection() -> T:
        async with connected(address) as connection:
            return await story(connection)

    return asyncio.run(with_connection())


def published(tiles: DirectoryTiles) -> Checkpoint:
    return open_checkpoint(tiles.read("checkpoint").decode(), SIGNER.verifier_key)


def logged(tiles: DirectoryTiles) -> list[bytes]:
    size = published(tiles).size
    return [entry for number in range(-(-size // 256)) for entry in read_bundle(tiles, size, number)]


async def drain(connection: Any, tiles: DirectoryTiles, limit: int = 4096) -> None:
    while await sequence_once(connection, tiles, SIGNER, NOW, limit):
        pass


def test_tables_and_statements_agree(ledger_database: str) -> None:
    columns = """
        SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'ledger' ORDER BY 1, 2
    """
    constraints = """
        SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'ledger'::regnamespace ORDER BY 1, 2, 3
    """

    def schema() -> tuple[list[Any], list[Any]]:
        with psycopg.connect(ledger_database) as connection:
            return connection.execute(columns).fetchall(), connection.execute(constraints).fetchall()

    by_statements = schema()
    assert len(by_statements[0]) == 10
    with psycopg.connect(ledger_database) as connection:
        connection.execute("DROP SCHEMA ledger CASCADE")
        connection.execute("CREATE SCHEMA ledger")
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(ledger_database))
    metadata.create_all(engine)
    engine.dispose()
    assert schema() == by_statements


def test_first_start_signs_the_empty_tree(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        assert await republish(connection, tiles) is None
        first = await sequence_once(connection, tiles, SIGNER, NOW)
        assert first == Checkpoint(SIGNER.origin, 0, hashlib.sha256().digest())
        assert await sequence_once(connection, tiles, SIGNER, NOW) is None

    run(ledger_database, story)
    assert published(tiles).size == 0
    assert verify_log(tiles, SIGNER.verifier_key).ok


def test_batches_in_order(ledger_database: str, tiles: DirectoryTiles) -> None:
    heads: list[Checkpoint] = []

    async def story(connection: Any) -> None:
        for first, count in ((0, 1), (1, 254), (255, 2), (257, 0), (257, 600)):
            await enqueue(connection, entries(first, count))
            head = await sequence_once(connection, tiles, SIGNER, NOW)
            assert (head is None) == (count == 0)
            heads.extend([head] if head else [])
        assert await connection.fetchval("SELECT count(*) FROM ledger.pending") == 0
        for index in (0, 255, 256, 856):
            (entry,) = entries(index, 1)
            assert await find_leaf_index(connection, entry) == index
            found = await inclusion(connection, tiles, entry)
            assert found is not None
            head = open_checkpoint(found.checkpoint, SIGNER.verifier_key)
            verify_inclusion(found.leaf_index, found.size, leaf_hash(entry), found.proof, head.root)
        await enqueue(connection, entries(5000, 1))
        assert await inclusion(connection, tiles, entries(5000, 1)[0]) is None

    run(ledger_database, story)
    assert logged(tiles) == entries(0, 857)
    assert verify_log(tiles, SIGNER.verifier_key, older=heads[0]).ok
    newest = heads[-1]
    for older in heads:
        proof = consistency_proof(tiles, older.size, newest.size)
        verify_consistency(older.size, newest.size, proof, older.root, newest.root)


def test_limit(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await enqueue(connection, entries(0, 10))
        head = await sequence_once(connection, tiles, SIGNER, NOW, limit=4)
        assert head is not None
        assert head.size == 4
        await drain(connection, tiles, limit=4)

    run(ledger_database, story)
    assert logged(tiles) == entries(0, 10)


def test_entry_that_comes_again_is_logged_once(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await enqueue(connection, entries(0, 3))
        await drain(connection, tiles)
        await enqueue(connection, [*entries(1, 2), *entries(7, 1)])
        await drain(connection, tiles)
        await enqueue(connection, entries(0, 1))
        assert await sequence_once(connection, tiles, SIGNER, NOW) is None
        assert await connection.fetchval("SELECT count(*) FROM ledger.pending") == 0

    run(ledger_database, story)
    assert logged(tiles) == [*entries(0, 3), *entries(7, 1)]


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it and go on."""


class FailingTiles(DirectoryTiles):
    """Dies at the n-th write, before or after the file is in place."""

    def __init__(self, root: Path, fail_at: int, persisted: bool) -> None:
        super().__init__(root)
        self.left = fail_at
        self.persisted = persisted

    def _place(self, temporary: Path, target: Path) -> None:
        self.left -= 1
        if self.left == 0 and not self.persisted:
            raise Killed
        super()._place(temporary, target)
        if self.left == 0:
            raise Killed


class FailingConnection:
    """Dies at the n-th statement, or at the commit, before or after it reached the database."""

    def __init__(self, connection: Any, step: str, persisted: bool) -> None:
        self.connection = connection
        self.step = step
        self.persisted = persisted

    def is_in_transaction(self) -> bool:
        return bool(self.connection.is_in_transaction())

    @contextlib.asynccontextmanager
    async def transaction(self, **options: Any) -> AsyncIterator[None]:
        async with self.connection.transaction(**options):
            yield
            if self.step == "COMMIT" and not self.persisted:
                raise Killed
        if self.step == "COMMIT":
            raise Killed

    async def execute(self, query: str, *arguments: Any) -> Any:
        return await self._through(self.connection.execute, query, *arguments)

    async def fetch(self, query: str, *arguments: Any) -> Any:
        return await self._through(self.connection.fetch, query, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        return await self._through(self.connection.fetchrow, query, *arguments)

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        return await self._through(self.connection.fetchval, query, *arguments)

    async def _through(self, call: Any, query: str, *arguments: Any) -> Any:
        if self.step in query and not self.persisted:
            raise Killed
        answer = await call(query, *arguments)
        if self.step in query:
            raise Killed
        return answer


# Growing from 250 to 770 leaves writes bundles 0, 1, 2 and 3.p/2, the same tiles of level 0, tile/1/000.p/3
# and the checkpoint: ten files.
FILES = 10


async def before(connection: Any, tiles: DirectoryTiles) -> None:
    await enqueue(connection, entries(0, 250))
    await drain(connection, tiles)
    await enqueue(connection, entries(250, 520))


async def recovered(connection: Any, tiles: DirectoryTiles, *, committed: bool) -> None:
    """Check the state after dying, let more come, go on, and check the end."""
    size = published(tiles).size
    assert size == 250
    assert verify_log(tiles, SIGNER.verifier_key).ok
    older = published(tiles)
    in_database = await connection.fetchval("SELECT size FROM ledger.tree_head")
    assert in_database == (770 if committed else 250)
    assert await connection.fetchval("SELECT count(*) FROM ledger.pending") == (0 if committed else 520)
    if not committed:
        # The next batch is another one under the same widths: its order changes, and it grows.
        await connection.execute(
            "WITH gone AS (DELETE FROM ledger.pending WHERE entry = $1 RETURNING entry) "
            "INSERT INTO ledger.pending (entry) SELECT entry FROM gone",
            entries(250, 1)[0],
        )
    again = await republish(connection, tiles)
    assert again is not None
    assert published(tiles) == again
    assert again.size == in_database
    assert verify_log(tiles, SIGNER.verifier_key, older=older).ok
    await enqueue(connection, entries(770, 30))
    await drain(connection, tiles, limit=520)
    final = logged(tiles)
    assert len(final) == 800
    assert sorted(final) == sorted(entries(0, 800))
    rows = await connection.fetch("SELECT entry FROM ledger.entry ORDER BY leaf_index")
    assert [row["entry"] for row in rows] == final
    assert await connection.fetchval("SELECT count(*) FROM ledger.pending") == 0
    report = verify_log(tiles, SIGNER.verifier_key, older=older)
    assert report.ok, report.problems
    assert report.size == 800


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("fail_at", range(1, FILES))
def test_dying_at_each_file(
    ledger_database: str, tiles: DirectoryTiles, fail_at: int, persisted: bool
) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        with pytest.raises(Killed):
            await sequence_once(connection, FailingTiles(tiles.root, fail_at, persisted), SIGNER, NOW)
        await recovered(connection, tiles, committed=False)

    run(ledger_database, story)


def test_dying_before_publication(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        with pytest.raises(Killed):
            await sequence_once(connection, FailingTiles(tiles.root, FILES, False), SIGNER, NOW)
        await recovered(connection, tiles, committed=True)

    run(ledger_database, story)


def test_dying_after_publication(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        with pytest.raises(Killed):
            await sequence_once(connection, FailingTiles(tiles.root, FILES, True), SIGNER, NOW)
        assert published(tiles).size == 770
        assert await sequence_once(connection, tiles, SIGNER, NOW) is None

    run(ledger_database, story)
    assert logged(tiles) == entries(0, 770)


def test_next_batch_publishes_what_was_left_unpublished(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        with pytest.raises(Killed):
            await sequence_once(connection, FailingTiles(tiles.root, FILES, False), SIGNER, NOW)
        assert published(tiles).size == 250
        assert await sequence_once(connection, tiles, SIGNER, NOW) is None
        assert published(tiles).size == 770

    run(ledger_database, story)


def test_dying_while_signing(ledger_database: str, tiles: DirectoryTiles) -> None:
    def die(text: bytes) -> bytes:
        raise Killed

    async def story(connection: Any) -> None:
        await before(connection, tiles)
        with pytest.raises(Killed):
            await sequence_once(connection, tiles, LogSigner(SIGNER.origin, PUBLIC, die), NOW)
        await recovered(connection, tiles, committed=False)

    run(ledger_database, story)


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize(
    "step",
    [
        "pg_try_advisory_xact_lock",
        "FROM ledger.tree_head",
        "FROM ledger.pending ORDER BY",
        "INTO ledger.entry",
        "DELETE FROM ledger.pending",
        "INTO ledger.tree_head",
        "COMMIT",
    ],
)
def test_dying_at_each_statement(
    ledger_database: str, tiles: DirectoryTiles, step: str, persisted: bool
) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        with pytest.raises(Killed):
            await sequence_once(FailingConnection(connection, step, persisted), tiles, SIGNER, NOW)
        await recovered(connection, tiles, committed=step == "COMMIT" and persisted)

    run(ledger_database, story)


def test_lost_connection(ledger_database: str, tiles: DirectoryTiles) -> None:
    """The database ends the session between the tiles and the commit."""

    async def story(connection: Any) -> None:
        await before(connection, tiles)
        async with connected(ledger_database) as doomed:
            session = doomed.get_server_pid()

            def cut(text: bytes) -> bytes:
                with psycopg.connect(ledger_database) as other:
                    other.execute("SELECT pg_terminate_backend(%s, 5000)", [session])
                return PRIVATE.sign(text)

            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await sequence_once(doomed, tiles, LogSigner(SIGNER.origin, PUBLIC, cut), NOW)
        await recovered(connection, tiles, committed=False)

    run(ledger_database, story)


def test_cancelled_while_writing_leaves_no_writer_behind(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        loop, started = asyncio.get_running_loop(), asyncio.Event()
        written: list[str] = []

        class Slow(DirectoryTiles):
            def _place(self, temporary: Path, target: Path) -> None:
                loop.call_soon_threadsafe(started.set)
                super()._place(temporary, target)
                written.append(target.name)

        task = asyncio.create_task(sequence_once(connection, Slow(tiles.root), SIGNER, NOW))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(written) == FILES - 1
        await recovered(connection, tiles, committed=False)

    run(ledger_database, story)


def test_two_sequencers(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        async with connected(ledger_database) as other:

            async def feed() -> None:
                for first in range(0, 1000, 50):
                    await enqueue(connection, entries(first, 50))
                    await asyncio.sleep(0)

            async def work(on: Any, times: int) -> int:
                done = 0
                for _ in range(times):
                    done += await sequence_once(on, tiles, SIGNER, NOW, limit=70) is not None
                    await asyncio.sleep(0.001)
                return done

            async with connected(ledger_database) as third:
                await asyncio.gather(feed(), work(other, 60), work(third, 60))
            await drain(connection, tiles)

    run(ledger_database, story)
    assert sorted(logged(tiles)) == sorted(entries(0, 1000))
    assert verify_log(tiles, SIGNER.verifier_key).ok


def test_only_one_at_a_time(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        with tiles.exclusive():
            assert await sequence_once(connection, tiles, SIGNER, NOW) is None
            assert await republish(connection, tiles) is None
        async with connected(ledger_database) as other, other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock($1)", int.from_bytes(b"ztledger"))
            assert await sequence_once(connection, tiles, SIGNER, NOW) is None
        assert await sequence_once(connection, tiles, SIGNER, NOW) is not None

    run(ledger_database, story)


async def refused(connection: Any, tiles: DirectoryTiles, signer: LogSigner = SIGNER) -> str:
    checkpoint = tiles.read("checkpoint")
    with pytest.raises(SequencerError) as caught:
        await sequence_once(connection, tiles, signer, NOW)
    assert tiles.read("checkpoint") == checkpoint
    assert not connection.is_in_transaction()
    return caught.value.code


def test_restored_database_must_not_fork_the_log(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        old = await connection.fetchrow("SELECT size, root, checkpoint FROM ledger.tree_head")
        await drain(connection, tiles)
        await connection.execute("DELETE FROM ledger.entry WHERE leaf_index >= 250")
        await connection.execute("UPDATE ledger.tree_head SET size = $1, root = $2, checkpoint = $3", *old)
        await enqueue(connection, entries(900, 1))
        assert await refused(connection, tiles) == "checkpoint-ahead"
        with pytest.raises(SequencerError):
            await republish(connection, tiles)
        await connection.execute("TRUNCATE ledger.tree_head, ledger.entry")
        assert await refused(connection, tiles) == "checkpoint-ahead"

    run(ledger_database, story)
    assert verify_log(tiles, SIGNER.verifier_key).ok


@pytest.mark.parametrize(
    "path", ["tile/0/000.p/250", "tile/entries/000.p/250"], ids=["tile of hashes", "bundle"]
)
@pytest.mark.parametrize("kind", ["missing", "altered", "cut"])
def test_nothing_is_signed_over_damaged_tiles(
    ledger_database: str, tiles: DirectoryTiles, path: str, kind: str
) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        file = tiles.root / path
        data = file.read_bytes()
        if kind == "missing":
            file.unlink()
        else:
            file.write_bytes(data[:-1] if kind == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
        assert await refused(connection, tiles) == "tiles-damaged"
        file.write_bytes(data)
        assert await sequence_once(connection, tiles, SIGNER, NOW) is not None

    run(ledger_database, story)


def test_further_refusals(ledger_database: str, tiles: DirectoryTiles) -> None:
    async def story(connection: Any) -> None:
        await before(connection, tiles)
        renamed = LogSigner("elsewhere.example", PUBLIC, PRIVATE.sign)
        assert await refused(connection, tiles, renamed) == "origin-changed"
        await enqueue(connection, [b"short"])
        assert await refused(connection, tiles) == "entry-malformed"
        tiles.write("checkpoint", b"nonsense")
        assert await refused(connection, tiles) == "checkpoint-unreadable"
        async with connection.transaction():
            with pytest.raises(RuntimeError, match="transaction"):
                await sequence_once(connection, tiles, SIGNER, NOW)
            with pytest.raises(RuntimeError, match="transaction"):
                await republish(connection, tiles)

    run(ledger_database, story)


def test_running_on_and_on(
    ledger_database: str, tiles: DirectoryTiles, caplog: pytest.LogCaptureFixture
) -> None:
    class Stumbling(DirectoryTiles):
        stumbles = 2

        def _place(self, temporary: Path, target: Path) -> None:
            if target.name != "checkpoint" and self.stumbles:
                self.stumbles -= 1
                raise OSError(28, "No space left on device")
            super()._place(temporary, target)

    async def story(connection: Any) -> None:
        async with asyncpg.create_pool(ledger_database, min_size=1, max_size=2) as pool:
            await enqueue(connection, entries(0, 100))
            task = asyncio.create_task(
                run_forever(pool, Stumbling(tiles.root), SIGNER, interval=0.01, limit=30)
            )
            for _ in range(1000):
                assert not task.done()
                with contextlib.suppress(TileMissing):
                    if published(tiles).size == 100:
                        break
                await asyncio.sleep(0.01)
            else:
                raise AssertionError("not all was sequenced in time")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with caplog.at_level(logging.ERROR, logger="zhengtong.ledger"):
        run(ledger_database, story)
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
    assert logged(tiles) == entries(0, 100)
    assert verify_log(tiles, SIGNER.verifier_key).ok
