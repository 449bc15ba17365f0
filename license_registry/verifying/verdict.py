"""What a verification says: one result code, each check by name, why what failed did, and what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foundation.language import _, both
from license_registry.presenting.check import Result
from license_registry.seals.checks import SEAL_CHECK_NAMES

SIGNATURE = "signature"
CERTIFICATE = "certificate"
ISSUER = "issuer"
TYPE = "type"
IDENTIFIER = "identifier"
STATUS = "status"
BEGUN = "begun"
NOT_OVER = "not_over"
CLOCK = "clock"
HOLDER_BINDING = "holder_binding"
PURPOSE = "purpose"
DIGESTS = "digests"
LOGGED = "log"
SEALS = "seals"
COVERED = "covered"
PLACE = "place"
SEAL_FILE = "seal_file"
SEAL_TODAY = "seal_today"

CHECK_NAMES: Mapping[str, str] = {
    **SEAL_CHECK_NAMES,
    SIGNATURE: _("signature"),
    CERTIFICATE: _("certificate chain"),
    ISSUER: _("right of the signer"),
    TYPE: _("type and version"),
    IDENTIFIER: _("check character of the identifier"),
    STATUS: _("status"),
    BEGUN: _("validity has begun"),
    NOT_OVER: _("validity is not over"),
    CLOCK: _("date of signing"),
    HOLDER_BINDING: _("presented by its holder"),
    PURPOSE: _("purpose"),
    DIGESTS: _("digests"),
    LOGGED: _("records are in the log"),
    SEALS: _("seals of the document"),
    COVERED: _("every file of the document is sealed"),
    PLACE: _("the stamp lies where it was put"),
    SEAL_FILE: _("the seal beside the stamp is the one in it"),
    SEAL_TODAY: _("the seal's validity is not over today"),
}

Reason = tuple[str, Mapping[str, object]]
"""Message id and its values."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of verifying one thing.

    Args:
        kind: `credential`, `offline-code`, `answer`, `plan`, `commitment`, `receipts`, `archive`, `ofd`,
            `seal` or `signature`.
        checks: name → passed, failed, or None for what could not be checked.
        reasons: why a check failed or could not be made, by its name.
        fields: what was shown; none unless signature and signer hold.
        told: what the presenter said of it: purpose, matter, until when.
        parts: verdicts of what it consists of.
    """

    kind: str
    result: Result
    checks: Mapping[str, bool | None]
    fields: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Nothing that could be checked failed."""
        return self.result is Result.VALID

    @property
    def problem(self) -> Reason | None:
        """The first reason for a failure."""
        failed = (name for name, passed in self.checks.items() if passed is False)
        return next((self.reasons[name] for name in failed if name in self.reasons), None)

    def as_json(self) -> dict[str, Any]:
        """Return it for a report."""
        problem = self.problem
        told: dict[str, Any] = {
            "kind": self.kind,
            "result": int(self.result),
            "valid": self.valid,
            "checks": dict(self.checks),
            "reasons": {name: both(message, **values) for name, (message, values) in self.reasons.items()},
            "fields": dict(self.fields),
            "problem": None if problem is None else both(problem[0], **problem[1]),
        }
        if self.told:
            told["presented"] = dict(self.told)
        if self.parts:
            told["parts"] = {name: part.as_json() for name, part in self.parts.items()}
        return told


def refused(kind: str, message: str, /, **values: object) -> Verdict:
    """Return the verdict on what is not well signed: nothing of it is shown."""
    return Verdict(kind, Result.VOID, {SIGNATURE: False}, reasons={SIGNATURE: (message, values)})
