"""Verifying a licence file without the registry: signature and dates always, the state by a kept status list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from foundation.civil import civil_date
from foundation.errors import DomainError
from foundation.language import _, english
from foundation.signing import PublicKey
from license_registry.credentials import sd_jwt
from license_registry.credentials.status_list import Status, read_status
from license_registry.lifecycle.states import State
from license_registry.presenting.check import Result, check


class FileUnreadable(DomainError):
    code = "file-unreadable"


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What is known of a licence file.

    Args:
        checks: name → passed, failed, or None for not checked (no status list was given).
        problem: why the credential does not hold at all, in words; None if it does.
    """

    result: Result
    checks: Mapping[str, bool | None]
    fields: Mapping[str, Any]
    problem: str | None

    @property
    def valid(self) -> bool:
        """Nothing that could be checked failed."""
        return self.result is Result.VALID


def verify_file(
    path: Path, keys: Mapping[str, PublicKey], status_list: str | None, now: datetime
) -> FileVerdict:
    """Verify a licence file (SD-JWT VC, with all or some disclosures).

    Args:
        keys: trusted keys of issuers, by `kid`.
        status_list: status list token; without it the state is not checked, and said so.

    Raises:
        FileUnreadable: it is not text of a licence at all. StatusListInvalid: the list given does not hold.
    """
    try:
        text = path.read_bytes()[: sd_jwt.LONGEST + 1].decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise FileUnreadable(_("{file} holds no licence"), file=path.name) from error
    if "~" not in text:
        raise FileUnreadable(_("{file} holds no licence"), file=path.name)
    try:
        credential = sd_jwt.verify(text, keys)
    except sd_jwt.CredentialInvalid as error:
        return FileVerdict(Result.VOID, {"signature": False}, {}, str(error))
    state, known = State.VALID, None
    try:
        if status_list is not None:
            reference = credential.claims["status"]["status_list"]
            status = read_status(
                status_list, keys, str(reference["uri"]), int(reference["idx"]), int(now.timestamp())
            )
            # The list tells 'not valid' from 'suspended'; which of the ends it was only the registry says.
            state = {Status.VALID: State.VALID, Status.SUSPENDED: State.SUSPENDED}.get(status, State.OTHER)
            known = status is Status.VALID
        checked = check(credential, state, True, civil_date(now))
    except (KeyError, TypeError, ValueError):
        # Well signed, but by somebody who issues other things than licences.
        problem = _("it lacks dates or status of a licence")
        return FileVerdict(Result.INSUFFICIENT_DATA, {"signature": True}, {}, english(problem))
    return FileVerdict(checked.result, {**checked.checks, "status": known}, checked.fields, None)
