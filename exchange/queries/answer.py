"""The answer with the least disclosure: for each claim match, mismatch or unknown, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from exchange.grants.grant import Grant
from exchange.queries.authorise import ClaimValue, Prepared
from exchange.registers.lookup import RegisterRow
from foundation.identity.principals import Principal

PURPOSE = "answer"
TYPE = "zhengtong-answer+jwt"


class Verdict(StrEnum):
    """Outcome for one claim. `unknown`: the register has no value, or does not know the subject."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNKNOWN = "unknown"


def compare(claims: Mapping[str, ClaimValue], values: Mapping[str, Any] | None) -> dict[str, Verdict]:
    """Compare what is claimed with what the register holds; `values` is None for an unknown subject."""
    verdicts = {}
    for name, claimed in claims.items():
        held = None if values is None else values.get(name)
        if held is None:
            verdicts[name] = Verdict.UNKNOWN
        elif _normal(held) == _normal(claimed):
            verdicts[name] = Verdict.MATCH
        else:
            verdicts[name] = Verdict.MISMATCH
    return verdicts


def statement(
    prepared: Prepared,
    grant: Grant,
    row: RegisterRow | None,
    verdicts: Mapping[str, Verdict],
    caller: Principal,
    issuer: str,
    now: datetime,
) -> dict[str, Any]:
    """Return what will be signed: who asked for which matter and case, what was asked and answered, from where.

    The subject stands in it as a salted digest: the department, which has the identifier in its file, can show
    that the answer is about it (`subject_matches`), and nobody reads it off the paper.
    """
    question = prepared.question
    salt = secrets.token_bytes(16)
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "client": caller.id,
        "department": caller.department,
        "resource": question.resource,
        "resource_version": prepared.resource.version,
        "grant": str(grant.id),
        "purpose": grant.purpose,
        "matter": question.matter,
        "case": question.case,
        "subject": {
            "kind": prepared.resource.subject_kind,
            "salt": salt.hex(),
            "digest": _subject_digest(salt, question.subject),
        },
        "claims": dict(question.claims),
        "results": {name: verdict.value for name, verdict in verdicts.items()},
        "source": None if row is None else row.sources(question.claims),
        "as_of": None if row is None else row.valid_from.isoformat(),
    }


def subject_matches(answer: Mapping[str, Any], subject: str) -> bool:
    """True when an answer is about this identifier."""
    said = answer["subject"]
    digest = _subject_digest(bytes.fromhex(said["salt"]), subject)
    return hmac.compare_digest(digest, str(said["digest"]))


def _subject_digest(salt: bytes, subject: str) -> str:
    return hashlib.sha256(salt + subject.encode()).hexdigest()


def _normal(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.isascii():
        return value.strip().upper()
    return unicodedata.normalize("NFKC", value).replace("•", "·").replace("・", "·").strip().upper()
