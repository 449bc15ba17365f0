"""The plan as a signed statement: what the department files to show why it asked for a paper, or did not."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from exchange.matters.matter import Matter
from exchange.plans.questions import Case
from foundation.identity.principals import Principal

TYPE = "zhengtong-plan+jwt"


def subject_digest(kind: str, subject: str) -> dict[str, str]:
    """Return what stands for a subject in a statement: as in answers (`exchange.queries.answer.subject_matches`)."""
    salt = secrets.token_bytes(16)
    digest = hashlib.sha256(salt + subject.encode()).hexdigest()
    return {"kind": kind, "salt": salt.hex(), "digest": digest}


def statement(
    plan_id: uuid.UUID,
    matter: Matter,
    case: Case,
    materials: Sequence[Mapping[str, Any]],
    prerequisites: Sequence[Mapping[str, Any]],
    records: Sequence[str],
    caller: Principal,
    issuer: str,
    now: datetime,
) -> dict[str, Any]:
    """Return what will be signed.

    Args:
        materials: as in the reply.
        records: access records of the answers, in the order in which the materials refer to them.
    """
    return {
        "iss": issuer,
        "iat": int(now.timestamp()),
        "plan": str(plan_id),
        "client": caller.id,
        "department": caller.department,
        "matter": matter.code,
        "matter_version": matter.version,
        "purpose": matter.purpose,
        "case": case.reference,
        "subjects": {
            role: subject_digest(matter.subjects[role], text) for role, text in case.subjects.items()
        },
        "materials": [dict(each) for each in materials],
        "answers": list(records),
        "prerequisites": [dict(each) for each in prerequisites],
    }
