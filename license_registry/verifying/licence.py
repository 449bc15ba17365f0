"""Judging what a licence says, once its signature holds: the same rules for credentials and for offline codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.civil import civil_date
from foundation.identifiers import ElicenceIdentifier, IdentifierError
from foundation.language import _, both
from license_registry.credentials.sd_jwt import Credential
from license_registry.credentials.status_list import Status, StatusListInvalid, read_status
from license_registry.lifecycle.states import STATE_NAMES, State
from license_registry.presenting.check import Result, check
from license_registry.verifying.trust import CREDENTIAL, Trust, TrustedType, judge_key
from license_registry.verifying.verdict import (
    CERTIFICATE,
    CLOCK,
    HOLDER_BINDING,
    IDENTIFIER,
    ISSUER,
    PURPOSE,
    SIGNATURE,
    STATUS,
    TYPE,
    Reason,
    Verdict,
)

CLOCK_SKEW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Shown:
    """A licence as somebody shows it, its signature checked.

    Args:
        kid: of the key that signed.
        presented: how it was presented, None for a file that its holder just has.
        binding: whether it is bound to a presentation by its holder; None: it is a file like any other.
    """

    kind: str
    kid: str
    credential: Credential
    binding: bool | None = None
    presented: Mapping[str, Any] | None = None


def judge(
    shown: Shown, trust: Trust, now: datetime, *, require_status: bool, state: State | None = None
) -> Verdict:
    """Judge a licence whose signature holds.

    Args:
        state: as the registry has it now; None: a status list tells it.
        require_status: a licence whose status is not told by a list that is not out of date is not called valid.
    """
    claims = shown.credential.claims
    signed = judge_key(trust, shown.kid, CREDENTIAL, now)
    reasons: dict[str, Reason] = {}
    entitled = signed.entitled
    if signed.refusal is not None:
        reasons[CERTIFICATE if signed.certified is False and entitled else ISSUER] = signed.refusal
    type_known, type_ = _type(trust, claims, reasons)
    identified = _identifier(claims, reasons)
    if entitled and identified is not None:
        entitled = _may_issue(claims, identified, type_, reasons)
    try:
        if state is None:
            state, known = _state(shown.credential, trust, now, reasons)
        else:
            known = _live(state, reasons)
        checked = check(shown.credential, state, entitled, civil_date(now))
    except (KeyError, TypeError, ValueError):
        # Well signed, but by somebody who issues other things than licences.
        reasons[SIGNATURE] = (_("it lacks dates or status of a licence"), {})
        return Verdict(
            shown.kind,
            Result.INSUFFICIENT_DATA,
            {SIGNATURE: True, TYPE: False},
            reasons={**reasons, TYPE: reasons[SIGNATURE]},
        )
    on_time = _signed_in_time(claims, now, reasons)
    checks: dict[str, bool | None] = {
        **checked.checks,
        STATUS: known,
        CERTIFICATE: signed.certified,
        TYPE: type_known,
        IDENTIFIER: None if "licence_identifier" not in claims else identified is not None,
        CLOCK: on_time,
        HOLDER_BINDING: shown.binding,
        PURPOSE: None if shown.presented is None else bool(shown.presented.get("purpose")),
    }
    result = checked.result
    if result is Result.VALID:
        if any(checks[name] is False for name in (CERTIFICATE, TYPE, IDENTIFIER, CLOCK, HOLDER_BINDING)):
            result = Result.VOID
        elif known is None and require_status:
            result = Result.INSUFFICIENT_DATA
    _tell_dates(checks, claims, reasons)
    return Verdict(shown.kind, result, checks, checked.fields, reasons, shown.presented or {})


def _type(
    trust: Trust, claims: Mapping[str, Any], reasons: dict[str, Reason]
) -> tuple[bool | None, TrustedType | None]:
    if trust.types is None:
        return None, None
    found = trust.types.get(str(claims.get("vct")))
    if found is None:
        reasons[TYPE] = (_("this type, or this version of it, is not known here"), {})
    return found is not None, found


def _identifier(claims: Mapping[str, Any], reasons: dict[str, Reason]) -> ElicenceIdentifier | None:
    try:
        return ElicenceIdentifier.parse(str(claims.get("licence_identifier")))
    except IdentifierError as error:
        reasons[IDENTIFIER] = (
            _("the identifier of the licence is not valid: {reason}"),
            {"reason": error.code},
        )
        return None


def _may_issue(
    claims: Mapping[str, Any],
    identified: ElicenceIdentifier,
    type_: TrustedType | None,
    reasons: dict[str, Reason],
) -> bool:
    issuer = claims.get("issuer_code")
    if issuer != identified.issuer:
        reasons[ISSUER] = (_("the identifier names another issuer"), {})
        return False
    if type_ is not None and identified.type_code != type_.type_code:
        reasons[ISSUER] = (_("the identifier names another type"), {})
        return False
    if type_ is not None and type_.issuers is not None and issuer not in type_.issuers:
        reasons[ISSUER] = (_("the authority may not issue licences of this type"), {})
        return False
    return True


def _state(
    credential: Credential, trust: Trust, now: datetime, reasons: dict[str, Reason]
) -> tuple[State, bool | None]:
    reference = credential.claims["status"]["status_list"]
    uri, index = str(reference["uri"]), int(reference["idx"])
    token = trust.status_lists.get(uri)
    if token is None:
        reasons[STATUS] = (_("no status list tells of this licence"), {})
        return State.VALID, None
    keys = {kid: key.public for kid, key in trust.keys.items() if key.revoked_at is None}
    try:
        status = read_status(token, keys, uri, index, int(now.timestamp()))
    except StatusListInvalid as error:
        reasons[STATUS] = (error.message, error.values)
        return State.VALID, None
    # The list tells 'not valid' from 'suspended'; which of the ends it was only the registry says.
    state = {Status.VALID: State.VALID, Status.SUSPENDED: State.SUSPENDED}.get(status, State.OTHER)
    if state is State.SUSPENDED:
        reasons[STATUS] = (_("the licence is suspended"), {})
    elif state is State.OTHER:
        reasons[STATUS] = (_("the licence has been ended by its issuer"), {})
    return state, status is Status.VALID


def _live(state: State, reasons: dict[str, Reason]) -> bool:
    if state is not State.VALID:
        reasons[STATUS] = (
            _("the registry says of the licence: {state}"),
            {"state": both(STATE_NAMES[state])},
        )
    return state is State.VALID


def _signed_in_time(claims: Mapping[str, Any], now: datetime, reasons: dict[str, Reason]) -> bool | None:
    signed_at = claims.get("iat")
    if not isinstance(signed_at, int):
        return None
    if signed_at > now.timestamp() + CLOCK_SKEW_SECONDS:
        reasons[CLOCK] = (_("it says that it was signed in the future; look at the clock"), {})
        return False
    return True


def _tell_dates(
    checks: Mapping[str, bool | None], claims: Mapping[str, Any], reasons: dict[str, Reason]
) -> None:
    if checks["begun"] is False:
        reasons["begun"] = (_("it is valid from {day}"), {"day": claims["valid_from"]})
    if checks["not_over"] is False:
        reasons["not_over"] = (_("it was valid until {day}"), {"day": claims["valid_until"]})
