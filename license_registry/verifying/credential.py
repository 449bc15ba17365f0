"""Verifying a credential, or an offline code, by what is trusted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from foundation.language import _
from license_registry.credentials import sd_jwt
from license_registry.credentials.key_binding import ExpectedBinding
from license_registry.presenting.check import Result
from license_registry.verifying.licence import CLOCK_SKEW_SECONDS, Shown, judge
from license_registry.verifying.offline_code import OfflineCodeInvalid, dates_refused, read_code
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import HOLDER_BINDING, SIGNATURE, Reason, Verdict, refused

CREDENTIAL_KIND: Final = "credential"
OFFLINE_KIND: Final = "offline-code"


def verify_credential(
    text: str,
    trust: Trust,
    now: datetime,
    *,
    require_status: bool,
    expected: ExpectedBinding | None = None,
) -> Verdict:
    """Verify an SD-JWT VC with all or some disclosures.

    Args:
        expected: what the holder's key must have signed for; None: no key binding is wanted.
    """
    try:
        credential = sd_jwt.verify(text, trust.public_keys, binding=expected)
    except sd_jwt.CredentialInvalid as error:
        if expected is not None:
            return _unbound(text, trust, now, require_status, (error.message, error.values))
        return refused(CREDENTIAL_KIND, error.message, **error.values)
    shown = Shown(
        CREDENTIAL_KIND, str(credential.header["kid"]), credential, binding=credential.bound or None
    )
    return judge(shown, trust, now, require_status=require_status)


def _unbound(text: str, trust: Trust, now: datetime, require_status: bool, reason: Reason) -> Verdict:
    """Say which checks pass of a credential whose key binding does not hold; nothing of it is shown."""
    bare = text.rpartition("~")[0] + "~"
    verdict = verify_credential(bare, trust, now, require_status=require_status)
    if not verdict.checks.get(SIGNATURE):
        return verdict
    return _not_presented(verdict, reason)


def verify_offline_code(
    text: str, trust: Trust, now: datetime, first_use: Callable[[bytes, int], bool] | None
) -> Verdict:
    """Verify a signed code.

    Args:
        first_use: remembers the id of a code until it expires (seconds since 1970), and says whether it is new;
            None: a second use is not noticed.
    """
    try:
        code = read_code(text, trust)
    except OfflineCodeInvalid as error:
        return refused(OFFLINE_KIND, error.message, **error.values)
    late = dates_refused(code, now, CLOCK_SKEW_SECONDS)
    binding = late is None
    if binding and first_use is not None and not first_use(code.id, code.expires_at + CLOCK_SKEW_SECONDS):
        binding, late = False, (_("the code was used here before"), {})
    presented = {**code.presented, "until": code.expires_at}
    shown = Shown(OFFLINE_KIND, code.kid, code.credential, binding, presented)
    verdict = judge(shown, trust, now, require_status=True)
    if late is None:
        return verdict
    # Of a code that is late or was copied nothing is shown: its holder has not presented it here and now.
    return _not_presented(verdict, late)


def _not_presented(verdict: Verdict, reason: Reason) -> Verdict:
    return Verdict(
        verdict.kind,
        Result.VOID,
        {**verdict.checks, HOLDER_BINDING: False},
        {},
        {**verdict.reasons, HOLDER_BINDING: reason},
        verdict.told,
    )
