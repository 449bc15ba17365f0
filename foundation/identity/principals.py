"""Principals: who a request comes from, and in which roles."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a caller may do. A department system has one or more; a person has only `PERSON`."""

    DEPARTMENT_SYSTEM = "department-system"
    COUNTER = "counter"
    ISSUING_AUTHORITY = "issuing-authority"
    SHARING_AUTHORITY = "sharing-authority"
    DATA_SOURCE = "data-source"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    Args:
        id: client id of a system, or the issuer's `sub` of a person.
        department: unified code (USCC) of the department a system belongs to; empty for a person.
        roles: what it may do.
        subject: blind index of the citizen ID of a person; None for systems.
    """

    id: str
    department: str
    roles: frozenset[Role]
    subject: bytes | None = None
