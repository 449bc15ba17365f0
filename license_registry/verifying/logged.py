"""Checking that records are in the transparency log: a signed checkpoint, and a proof of inclusion for each.

Two files of a package: the checkpoint (C2SP signed note), and `{"proofs": [{record, entry, leaf_index, proof}]}` under
that checkpoint's tree, hashes in base64url.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from foundation.language import _
from foundation.ledger import (
    Checkpoint,
    CheckpointError,
    ProofError,
    VerifierKey,
    leaf_hash,
    open_checkpoint,
    verify_inclusion,
)
from foundation.signing import canonical_json, decode_base64url, encode_base64url
from license_registry.presenting.check import Result
from license_registry.verifying.trust import LOG, Signed, Trust, judge_key
from license_registry.verifying.verdict import (
    CERTIFICATE,
    DIGESTS,
    ISSUER,
    SIGNATURE,
    Reason,
    Verdict,
    refused,
)

KIND: Final = "receipts"


@dataclass(frozen=True, slots=True)
class Proof:
    """That a record is in the log.

    Args:
        record: its id, as receipts name it.
        entry: what stands in the log for it (32 bytes).
        path: audit path (RFC 6962 §2.1.1), from the leaf upwards, 32 bytes each.
    """

    record: str
    entry: bytes
    leaf_index: int
    path: Sequence[bytes]


def write_proofs(proofs: Iterable[Proof]) -> bytes:
    """Return the file of proofs, the same for the same proofs."""
    told = [
        {
            "record": each.record,
            "entry": encode_base64url(each.entry),
            "leaf_index": each.leaf_index,
            "proof": [encode_base64url(node) for node in each.path],
        }
        for each in sorted(proofs, key=lambda each: each.leaf_index)
    ]
    return canonical_json({"proofs": told})


def read_proofs(data: bytes) -> list[Proof]:
    """Return the proofs of a file.

    Raises:
        ValueError: it is none.
    """
    try:
        return [
            Proof(
                str(each["record"]),
                decode_base64url(each["entry"]),
                int(each["leaf_index"]),
                [decode_base64url(node) for node in each["proof"]],
            )
            for each in orjson.loads(data)["proofs"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError("this is no file of proofs") from error


def verify_logged(
    checkpoint: str, proofs: bytes, receipts: Iterable[Mapping[str, Any]], trust: Trust, now: datetime
) -> Verdict:
    """Verify the head of the log, every proof under it, and that each of these receipts has a proof.

    Where the log's key is not among those trusted, the signature of the head could not be checked.
    """
    try:
        found = read_proofs(proofs)
        origin = checkpoint.split("\n", 1)[0]
        head, signed = _head(checkpoint, origin, trust, now)
    except CheckpointError as error:
        return refused(KIND, _("the signature does not hold: {reason}"), reason=error.code)
    except ValueError:
        return refused(KIND, _("the proofs of the log cannot be read"))
    reasons: dict[str, Reason] = {}
    checks: dict[str, bool | None] = {SIGNATURE: None, CERTIFICATE: None, ISSUER: None, DIGESTS: None}
    if head is None or signed is None:
        reasons[SIGNATURE] = (_("the key of the log is not among those that are trusted"), {})
    else:
        checks |= {SIGNATURE: True, CERTIFICATE: signed.certified, ISSUER: signed.entitled}
        if signed.refusal is not None:
            reasons[CERTIFICATE if signed.entitled else ISSUER] = signed.refusal
        wrong = _unproved(found, head, origin, receipts)
        checks[DIGESTS] = wrong is None
        if wrong is not None:
            reasons[DIGESTS] = (_("record {record} is not proved to be in the log"), {"record": wrong})
    good = all(passed is not False for passed in checks.values())
    told = {"log": origin, "records": len(found)} | ({} if head is None else {"tree_size": head.size})
    return Verdict(KIND, Result.VALID if good else Result.VOID, checks, {}, reasons, told)


def _head(note: str, origin: str, trust: Trust, now: datetime) -> tuple[Checkpoint | None, Signed | None]:
    for kid, key in trust.keys.items():
        jwk = key.public.to_jwk()
        if jwk.get("crv") != "Ed25519" or key.purpose not in {LOG, None}:
            continue
        try:
            head = open_checkpoint(note, VerifierKey(origin, decode_base64url(jwk["x"])))
        except CheckpointError as error:
            if error.code == "signature-unknown":
                continue  # by another key
            raise
        return head, judge_key(trust, kid, LOG, now)
    return None, None


def _unproved(
    proofs: Sequence[Proof], head: Checkpoint, origin: str, receipts: Iterable[Mapping[str, Any]]
) -> str | None:
    """Return the record of the first thing that is not proved."""
    proved = set()
    for each in proofs:
        try:
            verify_inclusion(each.leaf_index, head.size, leaf_hash(each.entry), each.path, head.root)
        except ProofError:
            return each.record
        proved.add((each.record, encode_base64url(each.entry)))
    for receipt in receipts:
        record = str(receipt.get("record"))
        if receipt.get("log") != origin or (record, receipt.get("entry")) not in proved:
            return record
    return None
