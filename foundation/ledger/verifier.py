"""Checks a published log from its files alone: no database, and no trust in whoever publishes it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from foundation.ledger.checkpoint import Checkpoint, CheckpointError, VerifierKey, open_checkpoint
from foundation.ledger.commitment import SALT_BYTES, commit
from foundation.ledger.tiles import (
    CHECKPOINT_PATH,
    TILE_WIDTH,
    CachedTiles,
    TileError,
    TileReader,
    bundle_path,
    consistency_proof,
    read_bundle,
    read_tile,
    tile_path,
    tile_width,
)
from foundation.ledger.tree import EMPTY_ROOT, ProofError, leaf_hash, root_of, verify_consistency

PROBLEM_LIMIT = 1000
_DIGEST_BYTES = 32

Progress = Callable[[int, int], None]
"""Is told leaves walked so far and leaves of the tree, after each bundle."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as its keeper hands it over for checking.

    Attributes:
        leaf_index: where its commitment was logged.
        record_id: by which its keeper knows it.
        salt: 32 bytes, or None when the record was erased.
        canonical_json: the record in canonical form (RFC 8785), or None when it was erased.
    """

    leaf_index: int
    record_id: str
    salt: bytes | None
    canonical_json: bytes | None


@dataclass(frozen=True, slots=True)
class LogProblem:
    """One thing that is not as it must be.

    Attributes:
        code: `checkpoint-missing`, a code of CheckpointError, `tile-missing`, `tile-malformed`,
            `entry-mismatch` (an entry and its hash in the level 0 tile differ), `tile-mismatch` (a hash in a
            tile is not the root of the tile below), `root-mismatch`, `root-unknown` (too much is missing),
            `older-mismatch` (the log did not grow from the older checkpoint), `record-altered`,
            `record-malformed`, `record-repeated`, `record-outside`, `record-unchecked` (the entry cannot be
            read), `bundle-changed` (it was another one a moment ago) or `problem-limit`; stable.
        message: in words.
        path: of the file at fault.
        index: of the hash or entry within that file, from 0.
        leaf_index: of the leaf, or of the first leaf below the hash at fault.
        record_id: of the record at fault.
        line: number of the line at fault in a file of records, from 1.
    """

    code: str
    message: str
    path: str | None = None
    index: int | None = None
    leaf_index: int | None = None
    record_id: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Outcome of a verification; the log is sound when `ok`.

    Attributes:
        origin: of the log.
        size: leaves by the signed checkpoint; 0 when that does not verify.
        root_hex: root by the signed checkpoint, in hexadecimal; empty when that does not verify.
        checkpoint_ok: the checkpoint is signed by the key and of this log.
        problems: what was found, in the order of finding.
        records_checked: records whose commitment was compared with their entry.
        records_erased: records that were erased, so that nothing is left to compare.
        leaves_without_record: leaves for which no record was handed over; None when none were asked for.
    """

    origin: str
    size: int
    root_hex: str
    checkpoint_ok: bool
    problems: tuple[LogProblem, ...]
    records_checked: int = 0
    records_erased: int = 0
    leaves_without_record: int | None = None

    @property
    def ok(self) -> bool:
        """Nothing is wrong with what was checked."""
        return self.checkpoint_ok and not self.problems


class _Enough(Exception):
    pass


@dataclass(slots=True)
class _Findings:
    limit: int
    problems: list[LogProblem] = field(default_factory=list)
    checked: int = 0
    erased: int = 0

    def add(self, problem: LogProblem) -> None:
        self.problems.append(problem)
        if len(self.problems) >= self.limit:
            # A forged size must not keep us busy for ever with tiles that are not there.
            message = f"stopped after {self.limit} problems; more may follow"
            self.problems.append(LogProblem("problem-limit", message))
            raise _Enough


def verify_log(
    reader: TileReader,
    vkey: VerifierKey,
    records: Iterable[Record | LogProblem] | None = None,
    older: Checkpoint | None = None,
    *,
    problem_limit: int = PROBLEM_LIMIT,
    progress: Progress | None = None,
) -> Report:
    """Recompute a whole log from its entries up to the signed root, and compare all that is published.

    1. Open the checkpoint with the key; without it nothing else means anything, and the run ends.
    2. Walk the bundles in order: entries against level 0, each full tile against the tile above, and what
       stands at the right edge against the signed root. Where two differ, both places are named and the
       published hash is carried upwards, so that one alteration is one problem at the level where it is.
    3. If an older checkpoint is known, prove that the log only grew from it.
    4. If records are given, each commitment must be the entry at its leaf.

    Memory stays flat: one tile for each level, and for records 32 bytes for each bundle and a bit for each
    leaf. What is missing is a problem, never an exception.

    Args:
        reader: of the published files.
        vkey: of the log, obtained otherwise than from the log.
        records: in any order; in the order of leaves each bundle is read once. `read_records` gives them.
        older: an earlier checkpoint that was verified when it was seen.
        problem_limit: the run ends after so many problems.
        progress: is told how far it is.
    """
    findings = _Findings(problem_limit)
    checkpoint = _open(reader, vkey, findings)
    if checkpoint is None:
        return Report(vkey.name, 0, "", False, tuple(findings.problems))
    size = checkpoint.size
    seen: bytearray | None = None
    try:
        digests = None if records is None else bytearray()
        _check_root(_walk(reader, size, findings, digests, progress), checkpoint, findings)
        if older is not None:
            _check_growth(reader, older, checkpoint, findings)
        if records is not None and digests is not None:
            seen = bytearray(size + 7 >> 3)
            _check_records(reader, size, records, digests, seen, findings)
    except _Enough:
        pass
    without = None if seen is None else size - int.from_bytes(seen).bit_count()
    return Report(
        checkpoint.origin,
        size,
        checkpoint.root.hex(),
        True,
        tuple(findings.problems),
        findings.checked,
        findings.erased,
        without,
    )


def read_records(lines: Iterable[bytes]) -> Iterator[Record | LogProblem]:
    """Yield the records of a file of JSON lines; a line that is none is yielded as a problem that names it.

    A line is `{"leaf_index": int, "record_id": str, "salt": base64url | null, "record": object | null}`; salt
    and record are both null once erased. The canonical form is `orjson` with sorted keys: records hold only
    objects with ASCII keys, lists, strings, integers, booleans and null, for which that is RFC 8785. Empty
    lines are passed over.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _record(orjson.loads(line))
        except ValueError as error:
            yield LogProblem("record-malformed", f"line {number}: {error}", line=number)


def _record(value: object) -> Record:
    if not isinstance(value, dict):
        raise ValueError("is not an object")
    index, record_id, salt, record = (value.get(n) for n in ("leaf_index", "record_id", "salt", "record"))
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise ValueError("leaf_index is not a leaf index")
    if not isinstance(record_id, str):
        raise ValueError("record_id is not a string")
    if salt is None and record is None:
        # Absent is not erased: an erasure is stated.
        if not {"salt", "record"} <= value.keys():
            raise ValueError("salt or record is absent")
        return Record(index, record_id, None, None)
    if not isinstance(salt, str) or not isinstance(record, dict):
        raise ValueError("salt and record are neither both given nor both null")
    try:
        decoded = base64.b64decode(salt + "=" * (-len(salt) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("salt is not base64url") from error
    if len(decoded) != SALT_BYTES:
        raise ValueError(f"salt has {len(decoded)} bytes")
    return Record(index, record_id, decoded, orjson.dumps(record, option=orjson.OPT_SORT_KEYS))


def _open(reader: TileReader, vkey: VerifierKey, findings: _Findings) -> Checkpoint | None:
    try:
        return open_checkpoint(reader.read(CHECKPOINT_PATH).decode(), vkey)
    except TileError as error:
        code, message = "checkpoint-missing", str(error)
    except UnicodeDecodeError:
        code, message = "checkpoint-malformed", "the checkpoint is not UTF-8"
    except CheckpointError as error:
        code, message = error.code, str(error)
    findings.problems.append(LogProblem(code, message, CHECKPOINT_PATH))
    return None


def _walk(
    reader: TileReader, size: int, findings: _Findings, digests: bytearray | None, progress: Progress | None
) -> bytes | None:
    """Return the root that the tiles lead to, or None when too much is missing; compare all on the way."""
    edges: list[list[bytes | None]] = [[]]
    for number in range(-(-size // TILE_WIDTH)):
        edges[0] = _leaf_hashes(reader, size, number, findings, digests)
        level = 0
        # A full tile becomes one hash of the level above, which may fill that one too.
        while edges[level]:
            at = number >> 8 * level
            if len(edges[level]) == tile_width(size, level, at):
                edges[level] = _settle(reader, size, level, at, edges[level], findings)
            if len(edges[level]) < TILE_WIDTH:
                break
            if level + 1 == len(edges):
                edges.append([])
            edges[level + 1].append(_root_of_known(edges[level]))
            edges[level] = []
            level += 1
        if progress is not None:
            progress(min(size, (number + 1) * TILE_WIDTH), size)
    root: bytes | None = EMPTY_ROOT
    right: list[bytes | None] = []
    for edge in edges:
        if edge or right:
            root = _root_of_known([*edge, *right])
            right = [root]
    return root


def _leaf_hashes(
    reader: TileReader, size: int, number: int, findings: _Findings, digests: bytearray | None
) -> list[bytes | None]:
    try:
        entries = read_bundle(reader, size, number)
    except TileError as error:
        first = number * TILE_WIDTH
        findings.add(LogProblem(error.code, str(error), error.path, leaf_index=first))
        entries = None
    if digests is not None:
        digests += bytes(_DIGEST_BYTES) if entries is None else _digest(entries)
    if entries is None:
        return [None] * tile_width(size, 0, number)
    return [leaf_hash(entry) for entry in entries]


def _settle(
    reader: TileReader,
    size: int,
    level: int,
    number: int,
    computed: list[bytes | None],
    findings: _Findings,
) -> list[bytes | None]:
    """Compare hashes computed from below with the published tile; return the published ones if there are."""
    try:
        published = read_tile(reader, size, level, number)
    except TileError as error:
        first = number * TILE_WIDTH << 8 * level
        findings.add(LogProblem(error.code, str(error), error.path, leaf_index=first))
        return computed
    if published == computed:
        return computed
    path = tile_path(level, number, len(published))
    for index, (mine, theirs) in enumerate(zip(computed, published, strict=True)):
        if mine is None or mine == theirs:
            continue
        below = number * TILE_WIDTH + index
        leaf = below << 8 * level
        if level == 0:
            bundle = bundle_path(number, len(published))
            message = f"{path}: hash {index} is not that of entry {index} of {bundle} (leaf {leaf})"
            code = "entry-mismatch"
        else:
            message = f"{path}: hash {index} is not the root of {tile_path(level - 1, below)}"
            code = "tile-mismatch"
        findings.add(LogProblem(code, message, path, index, leaf))
    return list(published)


def _root_of_known(hashes: list[bytes | None]) -> bytes | None:
    known = [each for each in hashes if each is not None]
    return root_of(known) if len(known) == len(hashes) else None


def _check_root(root: bytes | None, checkpoint: Checkpoint, findings: _Findings) -> None:
    if root is None:
        findings.add(LogProblem("root-unknown", "too much is missing to compute the root"))
    elif root != checkpoint.root:
        message = f"the tiles lead to {root.hex()}, the checkpoint states {checkpoint.root.hex()}"
        findings.add(LogProblem("root-mismatch", message, CHECKPOINT_PATH))


def _check_growth(reader: TileReader, older: Checkpoint, newer: Checkpoint, findings: _Findings) -> None:
    if older.origin != newer.origin:
        message = f"the older checkpoint is of {older.origin}"
    elif older.size > newer.size:
        message = f"the log shrank from {older.size} to {newer.size} leaves"
    else:
        try:
            proof = consistency_proof(reader, older.size, newer.size)
            verify_consistency(older.size, newer.size, proof, older.root, newer.root)
            return
        except TileError as error:
            findings.add(LogProblem(error.code, str(error), error.path))
            return
        except ProofError as error:
            message = f"the log did not grow from the checkpoint of {older.size} leaves: {error}"
    findings.add(LogProblem("older-mismatch", message, CHECKPOINT_PATH))


def _check_records(
    reader: TileReader,
    size: int,
    records: Iterable[Record | LogProblem],
    digests: bytearray,
    seen: bytearray,
    findings: _Findings,
) -> None:
    cached = CachedTiles(reader)
    bundle: tuple[int, list[bytes] | None] = (-1, None)
    for record in records:
        if isinstance(record, LogProblem):
            findings.add(record)
            continue
        index = record.leaf_index
        if not 0 <= index < size:
            findings.add(_about(record, "record-outside", f"there is no leaf {index} in a log of {size}"))
            continue
        if seen[index >> 3] >> (index & 7) & 1:
            findings.add(_about(record, "record-repeated", f"another record is of leaf {index} too"))
        seen[index >> 3] |= 1 << (index & 7)
        if record.salt is None and record.canonical_json is None:
            findings.erased += 1
            continue
        number, at = divmod(index, TILE_WIDTH)
        if bundle[0] != number:
            bundle = (number, _reread(cached, size, number, digests, findings))
        entries = bundle[1]
        if entries is None:
            findings.add(_about(record, "record-unchecked", f"the entry of leaf {index} cannot be read"))
            continue
        findings.checked += 1
        if not _commits(record, entries[at]):
            message = f"record {record.record_id} is not what was logged as leaf {index}"
            findings.add(_about(record, "record-altered", message))


def _reread(
    reader: TileReader, size: int, number: int, digests: bytearray, findings: _Findings
) -> list[bytes] | None:
    try:
        entries = read_bundle(reader, size, number)
    except TileError:
        return None  # Named when the tree was walked.
    # A publisher could show one bundle to the walk over the tree and another one to the records.
    if _digest(entries) != digests[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES]:
        path = bundle_path(number, tile_width(size, 0, number))
        findings.add(LogProblem("bundle-changed", f"{path}: changed during the run", path))
        return None
    return entries


def _commits(record: Record, entry: bytes) -> bool:
    if record.salt is None or record.canonical_json is None or len(record.salt) != SALT_BYTES:
        return False
    return commit(record.salt, record.canonical_json) == entry


def _about(record: Record, code: str, message: str) -> LogProblem:
    return LogProblem(code, message, leaf_index=record.leaf_index, record_id=record.record_id)


def _digest(entries: list[bytes]) -> bytes:
    return hashlib.sha256(b"".join(map(leaf_hash, entries))).digest()
