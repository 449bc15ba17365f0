"""Folds waiting entries into the tree: tiles first, then the signed head, then the published checkpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from foundation.ledger import tables
from foundation.ledger.checkpoint import Checkpoint, CheckpointError, LogSigner, parse_text, sign, split_note
from foundation.ledger.commitment import COMMITMENT_BYTES
from foundation.ledger.tables import TreeHead, find_leaf_index
from foundation.ledger.tiles import (
    CHECKPOINT_PATH,
    DirectoryTiles,
    TileError,
    TileMissing,
    TileReader,
    extend,
    extend_bundles,
    inclusion_proof,
    root_from_tiles,
)
from foundation.ledger.tree import EMPTY_ROOT, leaf_hash

__all__ = [
    "Inclusion",
    "SequencerError",
    "find_leaf_index",
    "inclusion",
    "republish",
    "run_forever",
    "sequence_once",
]

BATCH = 4096
LONGEST_PAUSE_SECONDS = 30.0

logger = logging.getLogger("zhengtong.ledger")

_T = TypeVar("_T")


class SequencerError(RuntimeError):
    """The log must not be carried on as it is; nothing was signed. A person has to look.

    Attributes:
        code: `checkpoint-ahead` (the published checkpoint covers more than the database, or another tree: the
            database was restored from an old copy), `checkpoint-unreadable`, `origin-changed`,
            `tiles-damaged` (the published tiles do not lead to the root that was signed) or
            `entry-malformed` (a waiting entry is not a commitment of 32 bytes); stable.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Proof that an entry is in the tree.

    Attributes:
        leaf_index: of the entry, from 0.
        size: leaves of the tree that the proof is for.
        proof: audit path, from the leaf upwards, 32 bytes each (RFC 6962 §2.1.1).
        checkpoint: signed note over that tree.
    """

    leaf_index: int
    size: int
    proof: tuple[bytes, ...]
    checkpoint: str


async def sequence_once(
    connection: Any, tiles: DirectoryTiles, signer: LogSigner, now: datetime, limit: int = BATCH
) -> Checkpoint | None:
    """Fold one batch of waiting entries into the tree. The order of the steps is the safety argument.

    1. Become the only writer: lock the folder, begin a transaction, take its advisory lock. Another one at
       work: return None. *Dying here or later frees both locks.*
    2. Read the head. Refuse to go on if the published checkpoint is ahead of it or of another tree: signing
       would show two histories. If it is behind, we died before step 8 the last time: publish the head.
    3. Read the batch, longest waiting first; leave out what the tree already has. Nothing to do: return None
       (a log that was never signed gets its checkpoint of size 0 at step 6).
    4. Check the right edge that we build on: the tiles must lead to the root that was signed.
    5. Write tiles and entry bundles, each whole and synced. *Dying here leaves files that no checkpoint
       covers. The next run writes over them, be its batch the same or another one, and never reads them: it
       reads only what the head covers.*
    6. Sign the new head and check the signature. *Dying here loses a signature that nobody saw.*
    7. In the one transaction: give leaf indexes, drop the entries from those waiting, replace the head;
       commit. *Dying before the commit is dying at step 5. The commit may also succeed without our hearing of
       it: the next run finds the new head and is at step 2.*
    8. Publish the checkpoint. *Dying before leaves an older checkpoint in place, which is still true; step 2
       of the next run publishes.*

    Args:
        connection: asyncpg connection, not in a transaction.
        tiles: the published files.
        signer: of this log.
        now: time of signing, with a time zone.
        limit: most entries of one batch.

    Returns:
        The checkpoint of the grown tree, or None when there was nothing to do or another one is at work.

    Raises:
        SequencerError: the log must not be carried on; says why.
        RuntimeError: the connection is in a transaction, so that a commit here would not be one.
        OSError: files cannot be written.
    """
    _refuse_transaction(connection)
    with tiles.exclusive() as alone:
        if not alone:
            return None
        async with connection.transaction(isolation="read_committed"):
            if not await tables.try_lock(connection):
                return None
            head = await tables.read_head(connection)
            await _to_the_end(lambda: _catch_up(tiles, signer.origin, head))
            waiting = await tables.batch(connection, limit)
            entries = [each.entry for each in waiting if not each.sequenced]
            if head is not None and not entries:
                await tables.dequeue(connection, [each.id for each in waiting])
                return None
            grown = await _to_the_end(lambda: _grow(tiles, signer, head, entries))
            await tables.append(connection, grown.size - len(entries), entries)
            await tables.dequeue(connection, [each.id for each in waiting])
            await tables.write_head(connection, grown, now)
        await _to_the_end(lambda: tiles.write(CHECKPOINT_PATH, grown.checkpoint.encode()))
    return Checkpoint(signer.origin, grown.size, grown.root)


async def republish(connection: Any, tiles: DirectoryTiles) -> Checkpoint | None:
    """Publish the checkpoint of the head where an older one is in place: we died after a commit.

    Returns:
        The checkpoint that is in place now, or None when nothing was signed yet or another one is at work.

    Raises:
        SequencerError: as for `sequence_once`.
        RuntimeError: the connection is in a transaction.
    """
    _refuse_transaction(connection)
    with tiles.exclusive() as alone:
        if not alone:
            return None
        head = await tables.read_head(connection)
        if head is None:
            return None
        signed = _stated(head.checkpoint)
        await _to_the_end(lambda: _catch_up(tiles, signed.origin, head))
        return signed


async def run_forever(
    pool: Any,
    tiles: DirectoryTiles,
    signer: LogSigner,
    *,
    interval: float = 0.5,
    limit: int = BATCH,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> NoReturn:
    """Sequence until cancelled. A failure is logged and tried again after a pause, doubling up to 30 seconds.

    Args:
        pool: asyncpg pool.
        tiles: the published files.
        signer: of this log.
        interval: seconds between batches; a full batch is followed by the next one at once.
        limit: most entries of one batch.
        clock: gives the time of signing.
    """
    size, pause = 0, interval
    while True:
        try:
            async with pool.acquire() as connection:
                checkpoint = await sequence_once(connection, tiles, signer, clock(), limit)
        except Exception as error:
            code = getattr(error, "code", type(error).__name__)
            logger.exception("the ledger could not be carried on", extra={"code": code})
            pause = min(max(pause, interval) * 2, max(interval, LONGEST_PAUSE_SECONDS))
        else:
            full = checkpoint is not None and 0 < size <= checkpoint.size - limit
            size, pause = (checkpoint.size if checkpoint else size), (0.0 if full else interval)
        await asyncio.sleep(pause)


async def inclusion(connection: Any, reader: TileReader, entry: bytes) -> Inclusion | None:
    """Return the proof that an entry is in the tree of the present head, or None while it still waits.

    Raises:
        TileError: a tile is missing or malformed.
    """
    index = await find_leaf_index(connection, entry)
    head = await tables.read_head(connection)
    if index is None or head is None:
        return None
    proof = await asyncio.to_thread(inclusion_proof, reader, index, head.size)
    return Inclusion(index, head.size, proof, head.checkpoint)


@dataclass(frozen=True, slots=True)
class Inclusions:
    """Proofs of several entries under one head: entry → leaf index and audit path."""

    checkpoint: str
    proofs: Mapping[bytes, tuple[int, tuple[bytes, ...]]]


async def inclusions(connection: Any, reader: TileReader, entries: Sequence[bytes]) -> Inclusions | None:
    """Return the proofs that entries are in the tree of the present head, or None while one of them still waits.

    Raises:
        TileError: a tile is missing or malformed.
    """
    indexes = await tables.find_leaf_indexes(connection, entries)
    head = await tables.read_head(connection)
    if head is None or len(indexes) < len(set(entries)):
        return None
    size = head.size

    def proved() -> dict[bytes, tuple[int, tuple[bytes, ...]]]:
        return {entry: (index, inclusion_proof(reader, index, size)) for entry, index in indexes.items()}

    return Inclusions(head.checkpoint, await asyncio.to_thread(proved))


def _catch_up(tiles: DirectoryTiles, origin: str, head: TreeHead | None) -> None:
    if head is not None and (signed := _stated(head.checkpoint).origin) != origin:
        raise SequencerError("origin-changed", f"the log is {signed}, this sequencer is for {origin}")
    published = _published(tiles)
    if published is not None:
        if published.origin != origin:
            raise SequencerError("origin-changed", f"the checkpoint of {published.origin} is published here")
        size, root = (0, EMPTY_ROOT) if head is None else (head.size, head.root)
        if published.size > size or (published.size == size and published.root != root):
            raise SequencerError(
                "checkpoint-ahead",
                f"a checkpoint of {published.size} leaves is published, the database knows {size} or others: "
                "restore the database to its last state; signing now would fork the log",
            )
        if published.size == size:
            return
    if head is not None:
        tiles.write(CHECKPOINT_PATH, head.checkpoint.encode())


def _published(tiles: DirectoryTiles) -> Checkpoint | None:
    try:
        data = tiles.read(CHECKPOINT_PATH)
    except TileMissing as error:
        if (tiles.root / CHECKPOINT_PATH).exists():
            raise SequencerError("checkpoint-unreadable", str(error)) from error
        return None
    try:
        return _stated(data.decode())
    except (UnicodeDecodeError, CheckpointError) as error:
        raise SequencerError("checkpoint-unreadable", f"the published checkpoint: {error}") from error


def _stated(note: str) -> Checkpoint:
    # Unverified: it is our own, and serves only to refuse or to compare.
    return parse_text(split_note(note)[0])


def _grow(
    tiles: DirectoryTiles, signer: LogSigner, head: TreeHead | None, entries: Sequence[bytes]
) -> TreeHead:
    size, root = (0, EMPTY_ROOT) if head is None else (head.size, head.root)
    for entry in entries:
        if len(entry) != COMMITMENT_BYTES:
            raise SequencerError("entry-malformed", f"an entry of {len(entry)} bytes is not a commitment")
    try:
        if root_from_tiles(tiles, size) != root:
            raise SequencerError(
                "tiles-damaged", f"the tiles do not lead to the root signed for {size} leaves"
            )
        grown = extend(tiles, size, [leaf_hash(entry) for entry in entries])
        bundles = extend_bundles(tiles, size, entries)
    except TileError as error:
        raise SequencerError("tiles-damaged", str(error)) from error
    tiles.write_many((*bundles, *grown.tiles))
    checkpoint = Checkpoint(signer.origin, grown.new_size, grown.root)
    return TreeHead(
        grown.new_size,
        grown.root,
        sign(checkpoint, signer.verifier_key.name, signer.sign_bytes, signer.public_key),
    )


def _refuse_transaction(connection: Any) -> None:
    if connection.is_in_transaction():
        raise RuntimeError("sequencing commits by itself: the connection must not be in a transaction")


async def _to_the_end(work: Callable[[], _T]) -> _T:
    # A thread cannot be cancelled. If we left it behind, its writes would go on after the locks are gone.
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise
