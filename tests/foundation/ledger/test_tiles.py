"""Tiles: layout, golden trees, growth in batches, and proofs out of tiles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.ledger import (
    DirectoryTiles,
    ProofError,
    TileMalformed,
    TileMissing,
    consistency_proof,
    extend,
    extend_bundles,
    hash_at,
    inclusion_proof,
    leaf_hash,
    root_from_tiles,
    verify_consistency,
    verify_inclusion,
)
from foundation.ledger.http_tiles import HttpTiles
from foundation.ledger.tiles import bundle_path, format_bundle, parse_bundle, tile_path, tile_width

GOLDEN = Path(__file__).parent / "golden"
SIZES = (0, 1, 2, 255, 256, 257, 511, 70_000)


class MemoryTiles:
    """Tiles in a dictionary that counts what is read."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.reads: list[str] = []

    def read(self, path: str) -> bytes:
        self.reads.append(path)
        if path not in self.files:
            raise TileMissing(path, "is missing")
        return self.files[path]


def entry_at(index: int) -> bytes:
    return hashlib.sha256(b"golden" + index.to_bytes(8)).digest()


def defined_root(hashes: list[bytes]) -> bytes:
    """MTH by the words of RFC 6962 §2.1."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else hashlib.sha256(b"").digest()
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return hashlib.sha256(b"\x01" + defined_root(hashes[:k]) + defined_root(hashes[k:])).digest()


def grown(batches: Iterable[int]) -> tuple[MemoryTiles, int, bytes]:
    tiles, size, root = MemoryTiles(), 0, hashlib.sha256(b"").digest()
    for count in batches:
        entries = [entry_at(size + i) for i in range(count)]
        bundles = extend_bundles(tiles, size, entries)
        extension = extend(tiles, size, [leaf_hash(entry) for entry in entries])
        tiles.files.update(bundles)
        tiles.files.update(extension.tiles)
        size, root = extension.new_size, extension.root
    return tiles, size, root


def described(tiles: MemoryTiles, size: int, root: bytes) -> dict[str, Any]:
    """What a golden file holds: the root, all paths folded into one hash, and the right edge one by one."""
    hashes = {path: hashlib.sha256(data).hexdigest() for path, data in sorted(tiles.files.items())}
    listing = "".join(f"{digest}  {path}\n" for path, digest in hashes.items())
    return {
        "size": size,
        "root": root.hex(),
        "files": len(hashes),
        "listing_sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "partial": {path: digest for path, digest in hashes.items() if ".p/" in path},
    }


@pytest.mark.parametrize("size", SIZES)
def test_golden_trees(size: int) -> None:
    tiles, _, root = grown([size])
    assert described(tiles, size, root) == json.loads((GOLDEN / f"tree-{size}.json").read_text())


def test_layout_of_the_specification() -> None:
    """The tree of 70,000 leaves that "Partial Tiles" describes."""
    tiles, size, root = grown([70_000])
    hash_tiles = {path for path in tiles.files if not path.startswith("tile/entries/")}
    assert sum(path.startswith("tile/0/") and ".p/" not in path for path in hash_tiles) == 273
    assert {path for path in hash_tiles if not path.startswith("tile/0/") or ".p/" in path} == {
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    }
    assert len(tiles.files) - len(hash_tiles) == 274
    tiles.reads.clear()
    assert root_from_tiles(tiles, size) == root
    assert set(tiles.reads) == {"tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"}


def test_paths() -> None:
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(63, 0, 1) == "tile/63/000.p/1"
    assert tile_path(1, 999, 255) == "tile/1/999.p/255"
    assert bundle_path(1000) == "tile/entries/x001/000"
    assert [tile_width(70_000, level, 0) for level in range(4)] == [256, 256, 1, 0]


@given(st.lists(st.integers(0, 700), max_size=5))
@settings(max_examples=40, deadline=None)
def test_growing_in_batches_is_growing_at_once(batches: list[int]) -> None:
    tiles, size, root = grown(batches)
    assert root == defined_root([leaf_hash(entry_at(i)) for i in range(size)])
    at_once, _, _ = grown([size])
    # Batches leave the partial tiles of sizes in between, which stay as they were.
    assert {path: tiles.files.get(path) for path in at_once.files} == at_once.files
    assert root_from_tiles(tiles, size) == root


def test_growing_reads_only_the_right_edge() -> None:
    tiles, size, _ = grown([66_000])
    tiles.reads.clear()
    extend(tiles, size, [bytes(32)])
    assert set(tiles.reads) == {"tile/0/257.p/208", "tile/1/001.p/1", "tile/2/000.p/1"}


TREE = grown([66_200])[0]
HASHES = [leaf_hash(entry_at(i)) for i in range(66_200)]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_proofs_out_of_tiles(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 3000))
    older = data.draw(st.integers(0, size))
    index = data.draw(st.integers(0, size - 1))
    tiles, _, root = grown([older, size - older])
    old_root = defined_root(HASHES[:older])
    assert root == defined_root(HASHES[:size])

    audit = inclusion_proof(tiles, index, size)
    verify_inclusion(index, size, HASHES[index], audit, root)
    growth = consistency_proof(tiles, older, size)
    verify_consistency(older, size, growth, old_root, root)

    bit = data.draw(st.integers(0, 255))
    for position in range(len(audit)):
        with pytest.raises(ProofError):
            verify_inclusion(index, size, HASHES[index], flipped(audit, position, bit), root)
    for position in range(len(growth)):
        with pytest.raises(ProofError):
            verify_consistency(older, size, flipped(growth, position, bit), old_root, root)
    (wrong,) = flipped((HASHES[index],), 0, bit)
    with pytest.raises(ProofError):
        verify_inclusion(index, size, wrong, audit, root)
    (wrong_root,) = flipped((root,), 0, bit)
    with pytest.raises(ProofError):
        verify_inclusion(index, size, HASHES[index], audit, wrong_root)
    if older:
        with pytest.raises(ProofError):
            verify_consistency(older, size, growth, old_root, wrong_root)


@pytest.mark.parametrize("index", [0, 255, 256, 65_535, 65_536, 66_199])
def test_proofs_across_three_levels(index: int) -> None:
    root = root_from_tiles(TREE, 66_200)
    assert root == defined_root(HASHES)
    verify_inclusion(index, 66_200, HASHES[index], inclusion_proof(TREE, index, 66_200), root)
    growth = consistency_proof(TREE, index + 1, 66_200)
    verify_consistency(index + 1, 66_200, growth, defined_root(HASHES[: index + 1]), root)


def flipped(hashes: tuple[bytes, ...], position: int, bit: int) -> tuple[bytes, ...]:
    changed = bytearray(hashes[position])
    changed[bit // 8] ^= 1 << bit % 8
    return (*hashes[:position], bytes(changed), *hashes[position + 1 :])


def test_subtrees() -> None:
    for level, index in ((0, 66_199), (3, 5), (8, 257), (9, 100), (15, 1), (16, 0)):
        expected = defined_root(HASHES[index << level : (index + 1) << level])
        assert hash_at(TREE, 66_200, level, index) == expected
    with pytest.raises(ValueError, match="no complete subtree"):
        hash_at(TREE, 66_200, 8, 258)


def test_full_tile_stands_in_for_a_dropped_partial_one() -> None:
    tiles, size, _ = grown([100, 300])
    del tiles.files["tile/0/000.p/100"]
    assert root_from_tiles(tiles, 100) == defined_root(HASHES[:100])
    del tiles.files["tile/0/000"]
    with pytest.raises(TileMissing) as caught:
        root_from_tiles(tiles, 100)
    assert caught.value.path == "tile/0/000.p/100"
    tiles.files["tile/0/000.p/100"] = bytes(31)
    with pytest.raises(TileMalformed):
        root_from_tiles(tiles, 100)
    assert size == 400


def test_bundle_at_the_edge_must_agree_with_its_tile() -> None:
    tiles, size, _ = grown([10])
    tiles.files["tile/entries/000.p/10"] = format_bundle([bytes(32)] * 10)
    with pytest.raises(TileMalformed, match="level 0"):
        extend_bundles(tiles, size, [bytes(32)])


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_bundles_go_there_and_back(entries: list[bytes]) -> None:
    data = format_bundle(entries)
    assert parse_bundle(data) == entries
    if data:
        with pytest.raises(ValueError, match="ends within"):
            parse_bundle(data[:-1])


def test_too_long_an_entry() -> None:
    assert parse_bundle(format_bundle([bytes(65_535)])) == [bytes(65_535)]
    with pytest.raises(ValueError, match="65535"):
        format_bundle([bytes(65_536)])


def test_directory(tmp_path: Path) -> None:
    tiles = DirectoryTiles(tmp_path / "log")
    for path in ("tile/0/000.p/3", "tile/0/000", "tile/0/x001/000", "tile/entries/000", "checkpoint"):
        tiles.write(path, path.encode())
        tiles.write(path, path.encode())
        assert tiles.read(path) == path.encode()
    tiles.write("checkpoint", b"new")
    assert tiles.read("checkpoint") == b"new"
    assert sorted(p.name for p in tiles.root.rglob("*") if p.is_file()) == [
        "000",
        "000",
        "000",
        "3",
        "checkpoint",
    ]
    with pytest.raises(TileMissing):
        tiles.read("tile/0/001")


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/hosts", "tile/0/../../x", "tile/64/000", "tile/00/000", "", ".lock"]
)
def test_directory_stays_within_the_log(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    tiles = DirectoryTiles(tmp_path / "log")
    with pytest.raises(TileMissing):
        tiles.read(path)
    with pytest.raises(ValueError, match="not a path"):
        tiles.write(path, b"")


def test_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = DirectoryTiles(tmp_path)
    tiles.write("checkpoint", b"old")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", no_space)
        with pytest.raises(OSError, match="No space"):
            tiles.write("checkpoint", b"new")
    assert tiles.read("checkpoint") == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint"]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    tiles = DirectoryTiles(tmp_path)
    with tiles.exclusive() as first, tiles.exclusive() as second:
        assert (first, second) == (True, False)
    with tiles.exclusive() as again:
        assert again


def test_http() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/log/tile/0/000":
            return httpx.Response(200, content=bytes(8192))
        if request.url.path == "/log/tile/0/001":
            return httpx.Response(200, content=bytes(8193))
        if request.url.path == "/log/tile/0/002":
            raise httpx.ConnectTimeout("too slow", request=request)
        return httpx.Response(404)

    with HttpTiles("https://example.test/log/", transport=httpx.MockTransport(answer)) as tiles:
        assert tiles.read("tile/0/000") == bytes(8192)
        with pytest.raises(TileMalformed, match="larger than 8192"):
            tiles.read("tile/0/001")
        for path in ("tile/0/002", "tile/0/003", "../checkpoint"):
            with pytest.raises(TileMissing):
                tiles.read(path)
