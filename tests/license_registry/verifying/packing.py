"""A package of a closed case as the house makes it, without a house: one answer, its record in a log of two."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from foundation.ledger import Checkpoint, leaf_hash, node_hash, sign
from foundation.signing import Algorithm, canonical_json, decode_base64url, encode_base64url, sign_compact
from license_registry.verifying.archive import CHECKPOINT, PROOFS, TRUST_BUNDLE, make_archive
from license_registry.verifying.logged import Proof, write_proofs
from tests.license_registry.verifying.conftest import Registry

ORIGIN = "zhengtong.example/ledger"
ENTRIES = (bytes(range(32)), bytes(range(32, 64)))
RECORD = "3f1c1f0e-0000-4000-8000-000000000001"
PROOF = Proof(RECORD, ENTRIES[0], 0, [leaf_hash(ENTRIES[1])])


def checkpoint(made: Registry, when: datetime) -> str:
    """Return the signed head over both entries."""
    made.keys.ensure_active("ledger", Algorithm.EDDSA, when)
    signer = made.keys.signer("ledger")
    root = node_hash(*(leaf_hash(entry) for entry in ENTRIES))
    public = decode_base64url(signer.public.to_jwk()["x"])
    return sign(Checkpoint(ORIGIN, 2, root), ORIGIN, signer.sign, public)


def receipt(**changes: Any) -> dict[str, Any]:
    """Return the receipt of the answer."""
    return {"log": ORIGIN, "record": RECORD, "entry": encode_base64url(ENTRIES[0]), **changes}


def package(made: Registry, when: datetime, proof: Proof = PROOF, **changes: Any) -> bytes:
    """Return the package; `changes` are of the receipt inside the answer."""
    said = {
        "iat": int(when.timestamp()),
        "purpose": "核验",
        "results": {},
        "receipt": receipt(**changes),
    }
    answer = sign_compact(made.keys.signer("answer"), canonical_json(said), "zhengtong-answer+jwt")
    files = {
        f"answers/{RECORD}.jws": answer.encode(),
        CHECKPOINT: checkpoint(made, when).encode(),
        PROOFS: write_proofs([proof]),
        TRUST_BUNDLE: made.bundle(when, lists={}),
    }
    return make_archive(made.signer, files, {"matter": "m", "case": "c"}, when)
