"""Is this licence good? One result code and every check by name: rules without database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import Any

from license_registry.credentials.sd_jwt import Credential
from license_registry.lifecycle.states import State


class Result(IntEnum):
    """Verification results of licence interfaces. A cancelled licence is `VOID`, never `NONE`."""

    VALID = 0
    NOT_ACTIVE = 1
    SUSPENDED = 2
    VOID = 3
    INSUFFICIENT_DATA = 4
    NONE = 5
    PARAMETERS_DIFFER = 6


@dataclass(frozen=True, slots=True)
class Checked:
    """Outcome: the result, which checks passed, and the fields shown (none unless signature and issuer hold)."""

    result: Result
    checks: Mapping[str, bool]
    state: State
    fields: Mapping[str, Any]


def check(credential: Credential, state: State, issuer_right: bool, today: date) -> Checked:
    """Judge a credential whose signature holds.

    Args:
        state: as the registry has it now.
        issuer_right: whether the signing authority may issue this type.
        today: the day for which it is asked.
    """
    claims = credential.claims
    valid_from = date.fromisoformat(str(claims["valid_from"]))
    until = claims.get("valid_until")
    begun = valid_from <= today
    not_over = until is None or today <= date.fromisoformat(str(until))
    checks = {
        "signature": True,
        "issuer": issuer_right,
        "status": state is State.VALID,
        "begun": begun,
        "not_over": not_over,
    }
    if state is State.SUSPENDED:
        result = Result.SUSPENDED
    elif state is not State.VALID or not not_over or not issuer_right:
        result = Result.VOID
    elif not begun:
        result = Result.NOT_ACTIVE
    else:
        result = Result.VALID
    shown = {**claims, **credential.disclosed} if issuer_right else {}
    technical = {"iss", "iat", "nbf", "exp", "vct", "status"}
    return Checked(result, checks, state, {k: v for k, v in shown.items() if k not in technical})
