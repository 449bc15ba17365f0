"""The exchange's row of the one table that turns error codes into HTTP (RFC 9457)."""

from __future__ import annotations

from foundation.language import _
from foundation.problems import ProblemKind, ProblemTable

EXCHANGE_PROBLEMS: ProblemTable = {
    "resource-unknown": ProblemKind(404, _("No such data resource")),
    "resource-not-shared": ProblemKind(403, _("The data resource is not shared")),
    "resource-not-connected": ProblemKind(409, _("The data resource is not connected yet")),
    "resource-malformed": ProblemKind(422, _("The description of the data resource is not valid")),
    "resource-of-another": ProblemKind(403, _("The data resource is of another department")),
    "resource-in-review": ProblemKind(409, _("The data resource is in review")),
    "resource-state-wrong": ProblemKind(409, _("The version is in another state")),
    "catalogue-file-unreadable": ProblemKind(422, _("The file of the catalogue cannot be read")),
    "field-unknown": ProblemKind(422, _("The data resource has no such field")),
    "not-granted": ProblemKind(403, _("Not granted")),
    "field-not-granted": ProblemKind(403, _("The grant does not cover this field")),
    "matter-not-granted": ProblemKind(403, _("The grant does not cover this matter")),
    "mode-not-granted": ProblemKind(403, _("The grant does not allow to ask this way")),
    "outside-hours": ProblemKind(403, _("The grant does not hold at this time of day")),
    "subject-not-covered": ProblemKind(403, _("The grant does not cover the subject")),
    "quota-exceeded": ProblemKind(429, _("The quota of the grant is used up")),
    "grant-malformed": ProblemKind(422, _("A grant cannot be given so")),
    "grant-not-in-force": ProblemKind(403, _("The grant is not in force")),
    "subject-malformed": ProblemKind(422, _("The identifier of the subject is not valid")),
    "claim-malformed": ProblemKind(422, _("A claim cannot be compared")),
    "matter-malformed": ProblemKind(422, _("The description of the matter is not valid")),
    "matter-not-publishable": ProblemKind(422, _("The matter names what is not there")),
    "matter-loop": ProblemKind(409, _("Matters would need each other in a circle")),
    "matter-version-stands": ProblemKind(409, _("This version of the matter cannot be written")),
    "matter-of-another-department": ProblemKind(403, _("The matter belongs to another department")),
    "evidence-type-unknown": ProblemKind(422, _("No such evidence type")),
    "material-name-malformed": ProblemKind(422, _("The name of the material cannot be decided on")),
    "material-confirmed-otherwise": ProblemKind(409, _("The name is confirmed otherwise")),
    "material-without-candidate": ProblemKind(409, _("There is no candidate for the name")),
    "receipt-not-included": ProblemKind(409, _("The record is not in the log yet")),
}
