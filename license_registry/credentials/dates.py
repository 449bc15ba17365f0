"""Dates of a token: `exp`, `nbf` and `iat` (RFC 7519 §4.1), judged with a small leeway for clocks that differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from foundation.language import _
from license_registry.credentials.errors import CredentialInvalid
from license_registry.credentials.key_binding import CLOCK_SKEW_SECONDS


def check_dates(claims: Mapping[str, Any], now: float, skew: int = CLOCK_SKEW_SECONDS) -> None:
    """Judge the dates of what is known to be signed.

    Args:
        now: seconds since 1970; `skew`: seconds by which the issuer's clock may be another.

    Raises:
        CredentialInvalid: expired, not yet valid, signed in the future, or a date that is no number.
    """
    expires, begins, signed = _number(claims, "exp"), _number(claims, "nbf"), _number(claims, "iat")
    if expires is not None and now >= expires + skew:
        raise CredentialInvalid(_("it has expired"))
    if begins is not None and now < begins - skew:
        raise CredentialInvalid(_("it is not valid yet"))
    if signed is not None and now < signed - skew:
        raise CredentialInvalid(_("it says that it was signed in the future"))


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CredentialInvalid(_("a date of it is no number"))
    return value
