"""Verifying a signed answer of the exchange: what a department files instead of the data."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson

from foundation.language import _
from foundation.signing import Algorithm, BadJws, verify_compact
from license_registry.presenting.check import Result
from license_registry.verifying.trust import ANSWER, Trust, judge_key
from license_registry.verifying.verdict import (
    CERTIFICATE,
    CLOCK,
    ISSUER,
    PURPOSE,
    SIGNATURE,
    TYPE,
    Reason,
    Verdict,
    refused,
)

KIND: Final = "answer"
ANSWER_TYPE: Final = "zhengtong-answer+jwt"
STATEMENT_TYPES: Final = {
    "zhengtong-plan+jwt": "plan",
    "zhengtong-commitment+jwt": "commitment",
}
"""Further statements that the exchange signs by the same keys, and what each is."""
CLOCK_SKEW_SECONDS: Final = 60
_TOLD = ("purpose", "matter", "case", "department")
_SHOWN = (
    "mode",
    "resource",
    "claims",
    "results",
    "fields",
    "found",
    "values",
    "masked",
    "source",
    "sources",
    "as_of",
    "freshness",
    "matter_version",
    "materials",
    "answers",
    "prerequisites",
    "template",
    "template_version",
    "text_sha256",
    "signed_by",
    "material",
)
NEWEST_VERSION: Final = 2
"""Of the statement; one without a version is a verification of the first."""


def verify_answer(text: str, trust: Trust, now: datetime, typ: str = ANSWER_TYPE) -> Verdict:
    """Verify a compact JWS of the exchange. It says what a register held at its date, and does not go out of date.

    Args:
        typ: what it must be by its signed header: an answer, or one of STATEMENT_TYPES.
    """
    kind = STATEMENT_TYPES.get(typ, KIND)
    try:
        verified = verify_compact(text, trust.public_keys, typ, frozenset(Algorithm))
        claims = orjson.loads(verified.payload)
        signed_at, version = int(claims["iat"]), int(claims.get("version", 1))
    except BadJws as error:
        return refused(kind, _("the signature does not hold: {reason}"), reason=error.code)
    except (KeyError, TypeError, ValueError):
        return refused(kind, _("the signed part is not an answer"))
    if version > NEWEST_VERSION:
        reason = _("it is of version {version}, which this program does not know yet"), {"version": version}
        return Verdict(kind, Result.VOID, {SIGNATURE: True, TYPE: False}, reasons={TYPE: reason})
    signed = judge_key(trust, verified.header["kid"], ANSWER, now)
    reasons: dict[str, Reason] = {}
    if signed.refusal is not None:
        reasons[CERTIFICATE if signed.entitled else ISSUER] = signed.refusal
    on_time = signed_at <= now.timestamp() + CLOCK_SKEW_SECONDS
    if not on_time:
        reasons[CLOCK] = (_("it says that it was signed in the future; look at the clock"), {})
    checks: dict[str, bool | None] = {
        SIGNATURE: True,
        CERTIFICATE: signed.certified,
        ISSUER: signed.entitled,
        CLOCK: on_time,
        PURPOSE: bool(claims.get("purpose")),
    }
    good = all(passed is not False for passed in checks.values())
    return Verdict(
        kind,
        Result.VALID if good else Result.VOID,
        checks,
        {name: claims[name] for name in _SHOWN if name in claims} if signed.entitled else {},
        reasons,
        {name: claims[name] for name in _TOLD if name in claims},
    )
