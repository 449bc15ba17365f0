"""Merkle tree hashing and the checking of proofs (RFC 6962 §2.1; checks as in RFC 9162 §2.1.3 and §2.1.4).

Every hash here is SHA-256, 32 bytes. Nothing in this module reads or stores anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962 §2.1)."""


class ProofError(ValueError):
    """A proof that does not prove what it claims.

    Attributes:
        code: `index-outside`, `size-outside`, `hash-length`, `proof-length` or `root-mismatch`; stable.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 ‖ entry) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the Merkle Tree Hash over leaf hashes, in their order (RFC 6962 §2.1).

    The hashes may also be those of complete subtrees of one size, the last of them of a smaller tree: the
    result is the root of the whole.
    """
    row = list(leaf_hashes)
    if not row:
        return EMPTY_ROOT
    while len(row) > 1:
        # Pairing from the left and carrying an odd last one up is the split at the largest power of two.
        paired = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        if len(row) % 2:
            paired.append(row[-1])
        row = paired
    return row[0]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf stands at an index of a tree (RFC 6962 §2.1.1, RFC 9162 §2.1.3.2).

    Args:
        index: of the leaf, from 0.
        size: leaves of the tree.
        leaf: leaf hash, 32 bytes.
        proof: audit path, from the leaf upwards, each 32 bytes.
        root: of the tree, 32 bytes.

    Raises:
        ProofError: it is not proved.
    """
    if not 0 <= index < size:
        raise ProofError("index-outside", f"leaf {index} is outside a tree of {size}")
    _check_lengths(leaf, root, *proof)
    position, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("proof-length", "the proof is longer than the tree is high")
        if position % 2 or position == last:
            found = node_hash(sibling, found)
            # A last node without a right sibling is carried up unhashed.
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofError("proof-length", "the proof is shorter than the tree is high")
    if found != root:
        raise ProofError("root-mismatch", "the proof leads to another root")


def verify_consistency(size1: int, size2: int, proof: Sequence[bytes], root1: bytes, root2: bytes) -> None:
    """Check that a tree only grew into another, nothing before changed (RFC 6962 §2.1.2, RFC 9162 §2.1.4.2).

    Every tree grows from the empty one and from itself; the proof of that is empty.

    Args:
        size1: leaves of the older tree.
        size2: leaves of the newer tree.
        proof: consistency path, each 32 bytes.
        root1: of the older tree, 32 bytes.
        root2: of the newer tree, 32 bytes.

    Raises:
        ProofError: it is not proved.
    """
    if not 0 <= size1 <= size2:
        raise ProofError("size-outside", f"a tree of {size1} cannot grow into one of {size2}")
    _check_lengths(root1, root2, *proof)
    if size1 in (0, size2):
        if proof:
            raise ProofError("proof-length", "nothing needs to be proved, yet there is a proof")
        if root1 != (root2 if size1 else EMPTY_ROOT):
            raise ProofError("root-mismatch", "the roots differ")
        if size2 == 0 and root2 != EMPTY_ROOT:
            raise ProofError("root-mismatch", "the empty tree has another root")
        return
    if not proof:
        raise ProofError("proof-length", "the proof is empty")
    # Where the older tree is complete, its root starts the path and is not sent.
    path = list(proof) if size1 & (size1 - 1) else [root1, *proof]
    position, last = size1 - 1, size2 - 1
    while position % 2:
        position, last = position >> 1, last >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("proof-length", "the proof is longer than the tree is high")
        if position % 2 or position == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while position % 2 == 0 and position:
                position, last = position >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise ProofError("proof-length", "the proof is shorter than the tree is high")
    if older != root1:
        raise ProofError("root-mismatch", "the proof leads to another older root")
    if newer != root2:
        raise ProofError("root-mismatch", "the proof leads to another newer root")


def _check_lengths(*hashes: bytes) -> None:
    for each in hashes:
        if len(each) != HASH_BYTES:
            raise ProofError("hash-length", f"a hash has {len(each)} bytes instead of {HASH_BYTES}")
