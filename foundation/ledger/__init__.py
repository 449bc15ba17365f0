"""The transparency log: RFC 6962 tree, C2SP tiles and checkpoint, salted commitments, and its verifier.

All that this face offers needs neither database nor network, so that a verifier runs where there is none. What reads a
log over HTTP is `foundation.ledger.http_tiles`; the side that writes is `foundation.ledger.sequencer`, its SQL
`foundation.ledger.tables`.
"""

from foundation.ledger.checkpoint import (
    Checkpoint,
    CheckpointError,
    LogSigner,
    VerifierKey,
    open_checkpoint,
    sign,
)
from foundation.ledger.commitment import commit, new_salt
from foundation.ledger.tiles import (
    VERIFIER_KEY_FILE,
    DirectoryTiles,
    Extension,
    TileError,
    TileMalformed,
    TileMissing,
    TileReader,
    consistency_proof,
    extend,
    extend_bundles,
    hash_at,
    inclusion_proof,
    root_from_tiles,
)
from foundation.ledger.tree import (
    EMPTY_ROOT,
    ProofError,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from foundation.ledger.verifier import LogProblem, Record, Report, read_records, verify_log

__all__ = [
    "EMPTY_ROOT",
    "VERIFIER_KEY_FILE",
    "Checkpoint",
    "CheckpointError",
    "DirectoryTiles",
    "Extension",
    "LogProblem",
    "LogSigner",
    "ProofError",
    "Record",
    "Report",
    "TileError",
    "TileMalformed",
    "TileMissing",
    "TileReader",
    "VerifierKey",
    "commit",
    "consistency_proof",
    "extend",
    "extend_bundles",
    "hash_at",
    "inclusion_proof",
    "leaf_hash",
    "new_salt",
    "node_hash",
    "open_checkpoint",
    "read_records",
    "root_from_tiles",
    "root_of",
    "sign",
    "verify_consistency",
    "verify_inclusion",
    "verify_log",
]
