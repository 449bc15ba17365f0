"""Hashing and proof checking against the published vectors and against the definition itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.ledger import EMPTY_ROOT, ProofError, leaf_hash, root_of, verify_consistency, verify_inclusion

VECTORS = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "merkle"
VECTOR_COUNT = 131

# The eight leaves of the Certificate Transparency reference tree, and its roots at sizes 1 to 8.
REFERENCE_LEAVES = tuple(
    map(
        bytes.fromhex,
        ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
)
REFERENCE_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def _outcome(vector: dict[str, Any]) -> str | None:
    """Return the code of the refusal, or None when the proof is taken."""

    def decoded(name: str) -> bytes:
        return base64.b64decode(vector[name], validate=True)

    proof = [base64.b64decode(each, validate=True) for each in vector["proof"] or ()]
    try:
        if "leafIdx" in vector:
            verify_inclusion(
                vector["leafIdx"], vector["treeSize"], decoded("leafHash"), proof, decoded("root")
            )
        else:
            verify_consistency(vector["size1"], vector["size2"], proof, decoded("root1"), decoded("root2"))
    except ProofError as error:
        return error.code
    return None


def test_all_published_vectors() -> None:
    if not VECTORS.is_dir():
        pytest.skip("the Merkle proof vectors are not beside this repository")
    files = sorted(VECTORS.rglob("*.json"))
    assert len(files) == VECTOR_COUNT
    wrong, taken, refused = [], 0, 0
    for file in files:
        vector = json.loads(file.read_text())
        code = _outcome(vector)
        taken, refused = taken + (code is None), refused + (code is not None)
        if (code is not None) != vector["wantErr"]:
            wrong.append((file.relative_to(VECTORS).as_posix(), code))
    assert wrong == []
    assert (taken, refused) == (9, 122)


def test_reference_roots() -> None:
    hashes = [leaf_hash(each) for each in REFERENCE_LEAVES]
    assert [root_of(hashes[:size]).hex() for size in range(1, 9)] == list(REFERENCE_ROOTS)
    assert root_of([]) == EMPTY_ROOT


@pytest.mark.parametrize(
    ("size1", "size2", "proof", "root1", "root2", "code"),
    [
        (0, 0, (), EMPTY_ROOT, EMPTY_ROOT, None),
        (0, 1, (), EMPTY_ROOT, bytes(32), None),
        (0, 0, (), EMPTY_ROOT, bytes(32), "root-mismatch"),
        (0, 1, (), bytes(32), bytes(32), "root-mismatch"),
        (0, 1, (bytes(32),), EMPTY_ROOT, bytes(32), "proof-length"),
        (3, 3, (), bytes(32), bytes(32), None),
        (3, 3, (), bytes(32), EMPTY_ROOT, "root-mismatch"),
        (4, 3, (), bytes(32), bytes(32), "size-outside"),
        (-1, 3, (), bytes(32), bytes(32), "size-outside"),
        (3, 3, (), bytes(31), bytes(31), "hash-length"),
    ],
)
def test_consistency_at_the_borders(
    size1: int, size2: int, proof: tuple[bytes, ...], root1: bytes, root2: bytes, code: str | None
) -> None:
    if code is None:
        verify_consistency(size1, size2, proof, root1, root2)
        return
    with pytest.raises(ProofError) as caught:
        verify_consistency(size1, size2, proof, root1, root2)
    assert caught.value.code == code


@given(
    st.integers(-(2**65), 2**65),
    st.integers(-(2**65), 2**65),
    st.lists(st.binary(min_size=32, max_size=32), max_size=70),
)
def test_any_numbers_end_in_a_refusal(one: int, two: int, proof: list[bytes]) -> None:
    with pytest.raises(ProofError):
        verify_inclusion(one, two, bytes(32), proof, bytes(range(32)))
    with pytest.raises(ProofError):
        verify_consistency(one, two, proof, bytes(32), bytes(range(32)))
