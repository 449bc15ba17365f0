"""Checking what the exchange signed without asking it: now, or in ten years."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from foundation.ledger import (
    Checkpoint,
    CheckpointError,
    ProofError,
    VerifierKey,
    leaf_hash,
    open_checkpoint,
    verify_inclusion,
)
from foundation.signing import Algorithm, BadJwk, BadJws, PublicKey, decode_base64url, verify_compact
from zhengtong.client.results import InclusionProof, Receipt, receipt_of

ANSWER_TYPE: Final = "zhengtong-answer+jwt"

Keys = Mapping[str, PublicKey]
"""Public keys by their `kid`."""


class AnswerInvalid(ValueError):
    """A signed statement that must not be relied on.

    Args:
        code: stable: one of BadJws, or `not-a-statement`, `issuer-differs`, `question-differs`, `subject-differs`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class ReceiptInvalid(ValueError):
    """A proof that does not show the record of an answer to be in the log.

    Args:
        code: stable: `log-differs`, `entry-differs`, one of CheckpointError or of ProofError.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed statement whose signature holds.

    Args:
        kid: of the key that signed.
        claims: all that was signed.
    """

    kid: str
    claims: Mapping[str, Any]

    @property
    def signed_at(self) -> datetime:
        """When it was signed, by its own word."""
        return datetime.fromtimestamp(self.claims["iat"], UTC)

    @property
    def results(self) -> Mapping[str, str]:
        """The results of the claims."""
        found = self.claims.get("results", {})
        return found if isinstance(found, dict) else {}

    @property
    def receipt(self) -> Receipt:
        """The receipt inside it; raises AnswerInvalid where there is none."""
        try:
            return receipt_of(self.claims["receipt"])
        except (KeyError, TypeError, ValueError) as error:
            raise AnswerInvalid("not-a-statement", "it holds no receipt") from error

    @property
    def source_answer(self) -> str:
        """What a source that was asked live signed itself: verify it by the source's own keys.

        Its type is that of an answer where the source is a higher-level exchange, `zhengtong-live-answer+jwt` where it
        is a department. Raises AnswerInvalid where there is none.
        """
        found = self.claims.get("source_answer")
        if not isinstance(found, str):
            raise AnswerInvalid("not-a-statement", "it was not asked live")
        return found

    def is_about(self, subject: str) -> bool:
        """Whether it is about this identifier, written as the exchange writes it (18 characters, capitals)."""
        said = self.claims.get("subject")
        if not isinstance(said, dict):
            return False
        try:
            salt, digest = bytes.fromhex(said["salt"]), str(said["digest"])
        except (KeyError, TypeError, ValueError):
            return False
        return hmac.compare_digest(hashlib.sha256(salt + subject.encode()).hexdigest(), digest)


def read_keys(key_set: Mapping[str, Any]) -> Keys:
    """Return the keys of a JWK Set; those of kinds that are not known here are passed over (RFC 7517 §5)."""
    found = {}
    for each in key_set.get("keys", ()):
        try:
            found[str(each["kid"])] = PublicKey.from_jwk(each)
        except (BadJwk, KeyError):
            continue
    return found


def verify_answer(
    answer: str, keys: Keys, *, issuer: str | None = None, kind: str = ANSWER_TYPE
) -> Statement:
    """Check the signature of a statement, and give what it says.

    Args:
        keys: that are trusted, obtained otherwise than with the statement.
        issuer: who must have made it; None: whoever the keys are of.
        kind: type of the statement (`typ`).

    Raises:
        AnswerInvalid: it must not be relied on; `code` says why.
    """
    try:
        verified = verify_compact(answer, keys, kind, frozenset(Algorithm))
        claims = orjson.loads(verified.payload)
    except BadJws as error:
        raise AnswerInvalid(error.code, str(error)) from error
    except orjson.JSONDecodeError as error:
        raise AnswerInvalid("not-a-statement", "what was signed is not JSON") from error
    if not isinstance(claims, dict) or type(claims.get("iat")) is not int:
        raise AnswerInvalid("not-a-statement", "what was signed is no statement")
    if issuer is not None and claims.get("iss") != issuer:
        raise AnswerInvalid("issuer-differs", "somebody else made it")
    return Statement(str(verified.header["kid"]), claims)


def require_asked(
    statement: Statement, resource: str, claims: Mapping[str, Any], matter: str, case: str
) -> None:
    """Raise AnswerInvalid unless a statement answers this very question."""
    said = statement.claims
    asked = {"resource": resource, "matter": matter, "case": case}
    if any(said.get(name) != value for name, value in asked.items()):
        raise AnswerInvalid("question-differs", "it answers another question")
    if set(statement.results) != set(claims):
        raise AnswerInvalid("question-differs", "it answers other claims")


def verify_receipt(statement: Statement, proof: InclusionProof, log_key: VerifierKey | str) -> Checkpoint:
    """Check that the record of an answer is in the log, and give the checkpoint under which it is.

    Whoever keeps checkpoints over the years also sees that the log only grew (`zhengtong verify-log --older`).

    Args:
        log_key: of the log, obtained otherwise than with the proof.

    Raises:
        ReceiptInvalid: it is not proved; `code` says why.
    """
    receipt = statement.receipt
    try:
        key = VerifierKey.parse(log_key) if isinstance(log_key, str) else log_key
        if receipt.log != key.name:
            raise ReceiptInvalid("log-differs", "the receipt is of another log")
        checkpoint = open_checkpoint(proof.checkpoint, key)
        if leaf_hash(decode_base64url(receipt.entry)) != proof.leaf_hash:
            raise ReceiptInvalid("entry-differs", "the proof is of another record")
        if checkpoint.size != proof.tree_size:
            raise ReceiptInvalid("size-outside", "the proof is of another tree than the checkpoint")
        verify_inclusion(proof.leaf_index, checkpoint.size, proof.leaf_hash, proof.proof, checkpoint.root)
    except (CheckpointError, ProofError) as error:
        raise ReceiptInvalid(error.code, str(error)) from error
    except ReceiptInvalid:
        raise
    except ValueError as error:
        raise ReceiptInvalid("entry-differs", "the entry is not base64url") from error
    return checkpoint
