"""Verifying a marked copy (加注件): signed by the registry, and good only for whom, for what and until when it says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import orjson

from foundation.language import _
from foundation.signing import Algorithm, BadJws, verify_compact
from license_registry.presenting.check import Result
from license_registry.verifying.trust import CREDENTIAL, Trust, judge_key
from license_registry.verifying.verdict import (
    CERTIFICATE,
    ISSUER,
    NOT_OVER,
    PURPOSE,
    SIGNATURE,
    Reason,
    Verdict,
    refused,
)

KIND: Final = "marked-copy"
TYPE: Final = "zhengtong-marked-copy+jwt"


def verify_copy(text: str, trust: Trust, now: datetime | None) -> Verdict:
    """Verify a marked copy. It says what held when it was made; the licence's state of today it cannot tell.

    Args:
        now: None: as of the moment at which it was made, for a copy that lies in an archive.
    """
    try:
        verified = verify_compact(text, trust.public_keys, TYPE, frozenset(Algorithm))
        claims = orjson.loads(verified.payload)
        until, licence, marked = int(claims["exp"]), dict(claims["licence"]), dict(claims["marked"])
        now = now or datetime.fromtimestamp(claims["iat"], UTC)
    except BadJws as error:
        return refused(KIND, _("the signature does not hold: {reason}"), reason=error.code)
    except (KeyError, TypeError, ValueError):
        return refused(KIND, _("the signed part is not a marked copy"))
    signed = judge_key(trust, str(verified.header["kid"]), CREDENTIAL, now)
    reasons: dict[str, Reason] = {}
    if signed.refusal is not None:
        reasons[CERTIFICATE if signed.entitled else ISSUER] = signed.refusal
    in_time = now.timestamp() < until
    if not in_time:
        reasons[NOT_OVER] = (_("it was valid until {day}"), {"day": marked.get("JZJYXQJZSJ")})
    checks: dict[str, bool | None] = {
        SIGNATURE: True,
        CERTIFICATE: signed.certified,
        ISSUER: signed.entitled,
        NOT_OVER: in_time,
        PURPOSE: bool(marked.get("JZJZZSY")),
    }
    good = all(passed is not False for passed in checks.values())
    shown = licence if signed.entitled else {}
    return Verdict(KIND, Result.VALID if good else Result.VOID, checks, shown, reasons, marked)
