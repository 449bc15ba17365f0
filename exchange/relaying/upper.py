"""Asking a higher-level exchange, of which this one is a client like any department."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from exchange.relaying.asked import (
    Asked,
    Relayed,
    require_fresh,
    require_results,
    require_values,
    signed_claims,
)
from exchange.relaying.errors import SourceAnswerInvalid
from exchange.relaying.source import LiveSource
from foundation.calling.calls import Call, read_json
from foundation.language import _

ANSWER_TYPE: Final = "zhengtong-answer+jwt"


def question(asked: Asked, source: LiveSource) -> Call[dict[str, Any]]:
    """Return the call that asks there: the same question, under the name that the resource has there.

    Sent again only where it did not arrive: our own asker decides about the rest, and each floor that tried twice would
    double what reaches the top.
    """
    body = {
        "resource": source.remote_resource or asked.resource,
        "subject": asked.subject,
        **asked.what,
        "matter": asked.matter,
        "case": asked.case,
    }
    path = "queries" if asked.fields else "verifications"
    return Call("POST", f"/exchange/v1/{path}", read_json, json=body, timeout=source.timeout)


def check_upper_answer(reply: Mapping[str, Any], asked: Asked, source: LiveSource, now: datetime) -> Relayed:
    """Check the answer of a higher-level exchange: its key, that it is for us and about this, and fresh.

    Raises:
        SourceAnswerInvalid: one of these fails; says which.
    """
    answer = reply.get("answer")
    if not isinstance(answer, str):
        raise SourceAnswerInvalid(_("the answer is not of the agreed form"))
    claims = signed_claims(answer, source, ANSWER_TYPE)
    expected = {
        "iss": source.address,
        "client": source.client_id,
        "resource": source.remote_resource or asked.resource,
        "matter": asked.matter,
        "case": asked.case,
        **asked.what,
    }
    if any(claims.get(name) != value for name, value in expected.items()) or not _about(
        claims, asked.subject
    ):
        raise SourceAnswerInvalid(_("it answers another question"))
    require_fresh(claims, now)
    said = claims.get("as_of")
    as_of = said if isinstance(said, str) else None
    if not asked.fields:
        return Relayed(require_results(claims, asked), as_of, answer)
    masked = claims.get("masked")
    if not isinstance(masked, list) or not frozenset(asked.fields).issuperset(masked):
        raise SourceAnswerInvalid(_("the answer is not of the agreed form"))
    return Relayed({}, as_of, answer, require_values(claims, asked), frozenset(masked))


def _about(claims: Mapping[str, Any], subject: str) -> bool:
    said = claims.get("subject")
    try:
        salt, digest = bytes.fromhex(said["salt"]), str(said["digest"])  # type: ignore[index]  # TypeError below
    except (KeyError, TypeError, ValueError):
        return False
    return hmac.compare_digest(hashlib.sha256(salt + subject.encode()).hexdigest(), digest)
