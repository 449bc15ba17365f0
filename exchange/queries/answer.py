"""The statement that is signed: who asked, for which matter and case, what was asked and answered, from where.

Version 2, since grants have modes: it names itself (`version`), the mode and the freshness of its sources. A statement
without `version` is of version 1, a verification, and is read as before.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from exchange.grants.grant import Mode
from exchange.queries.admit import Admitted
from exchange.queries.authorise import Prepared
from foundation.civil import rfc3339
from foundation.identity.principals import Principal

TYPE = "zhengtong-answer+jwt"
VERSION = 2


def statement(
    mode: Mode,
    prepared: Prepared,
    admitted: Admitted,
    caller: Principal,
    issuer: str,
    now: datetime,
    **told: Any,
) -> dict[str, Any]:
    """Return what will be signed.

    The subject stands in it as a salted digest: the department, which has the identifier in its file, can show
    that the answer is about it (`subject_matches`), and nobody reads it off the paper.

    Args:
        told: what was asked and answered, and how fresh its sources are.
    """
    question, grant, known = prepared.question, admitted.grant, admitted.known
    salt = secrets.token_bytes(16)
    return {
        "version": VERSION,
        "iss": issuer,
        "iat": int(now.timestamp()),
        "client": caller.id,
        "department": caller.department,
        "mode": mode.value,
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
        "as_of": None if known is None else rfc3339(known.as_of),
        **merged(admitted),
        **told,
    }


def merged(admitted: Admitted) -> dict[str, bool]:
    """Return the member that says of an answer that it rests on a row of another identifier of the subject."""
    return {} if admitted.known is None or not admitted.known.merged else {"merged": True}


def subject_matches(answer: Mapping[str, Any], subject: str) -> bool:
    """True when an answer is about this identifier."""
    said = answer["subject"]
    digest = _subject_digest(bytes.fromhex(said["salt"]), subject)
    return hmac.compare_digest(digest, str(said["digest"]))


def _subject_digest(salt: bytes, subject: str) -> str:
    return hashlib.sha256(salt + subject.encode()).hexdigest()
