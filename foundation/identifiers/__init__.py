"""Identifiers as values: citizen IDs, unified social credit codes, divisions, e-licence identifiers.

Whole columns of them are checked by `foundation.identifiers.bulk`, which needs NumPy and stands apart for that.
"""

from foundation.identifiers.check import Check, check
from foundation.identifiers.citizen import (
    CITIZEN_ID_PATTERN,
    CitizenId,
    contains_citizen_id,
    mask,
    mask_citizen_ids,
)
from foundation.identifiers.division import Division, find, findings
from foundation.identifiers.elicence import ElicenceIdentifier
from foundation.identifiers.errors import IdentifierError
from foundation.identifiers.locating import Location, locate
from foundation.identifiers.uscc import Uscc, is_old_registration_number, registration_number_checks

__all__ = [
    "CITIZEN_ID_PATTERN",
    "Check",
    "CitizenId",
    "Division",
    "ElicenceIdentifier",
    "IdentifierError",
    "Location",
    "Uscc",
    "check",
    "contains_citizen_id",
    "find",
    "findings",
    "is_old_registration_number",
    "locate",
    "mask",
    "mask_citizen_ids",
    "registration_number_checks",
]
