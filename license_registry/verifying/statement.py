"""Verifying what else the exchange signs in a case: the plan (免证办方案), and commitments of people (告知承诺)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import orjson

from foundation.language import _
from foundation.signing import Algorithm, BadJws, verify_compact
from license_registry.presenting.check import Result
from license_registry.verifying.trust import ANSWER, Trust, judge_key
from license_registry.verifying.verdict import CERTIFICATE, CLOCK, ISSUER, SIGNATURE, Reason, Verdict, refused

PLAN_TYPE: Final = "zhengtong-plan+jwt"
COMMITMENT_TYPE: Final = "zhengtong-commitment+jwt"
CLOCK_SKEW_SECONDS: Final = 60
KINDS: Final[Mapping[str, str]] = {PLAN_TYPE: "plan", COMMITMENT_TYPE: "commitment"}
"""Type of the token → what a verdict on it is called."""
_SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    PLAN_TYPE: ("plan", "matter_version", "materials", "prerequisites"),
    COMMITMENT_TYPE: ("commitment", "template", "template_version", "text_sha256", "role", "material"),
}
_TOLD: Final = ("purpose", "matter", "case", "department")


def verify_statement(text: str, typ: str, trust: Trust, now: datetime) -> Verdict:
    """Verify a compact JWS of one of these types. It says what was so at its date, and does not go out of date."""
    kind = KINDS[typ]
    try:
        verified = verify_compact(text, trust.public_keys, typ, frozenset(Algorithm))
        claims = orjson.loads(verified.payload)
        signed_at = int(claims["iat"])
    except BadJws as error:
        return refused(kind, _("the signature does not hold: {reason}"), reason=error.code)
    except (KeyError, TypeError, ValueError):
        return refused(kind, _("the signed part is not a statement of the exchange"))
    signed = judge_key(trust, str(verified.header["kid"]), ANSWER, now)
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
    }
    good = all(passed is not False for passed in checks.values())
    return Verdict(
        kind,
        Result.VALID if good else Result.VOID,
        checks,
        {name: claims[name] for name in _SHOWN[typ] if name in claims} if signed.entitled else {},
        reasons,
        {name: claims[name] for name in _TOLD if name in claims},
    )
