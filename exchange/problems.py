"""The exchange's row of the one table that turns error codes into HTTP (RFC 9457)."""

from __future__ import annotations

from foundation.language import _
from foundation.problems import ProblemKind, ProblemTable

EXCHANGE_PROBLEMS: ProblemTable = {
    "resource-unknown": ProblemKind(404, _("No such data resource")),
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
    "plan-malformed": ProblemKind(422, _("The case does not fit the matter")),
    "plan-key-invalid": ProblemKind(400, _("An Idempotency-Key of 1 to 200 visible characters is needed")),
    "plan-key-reused": ProblemKind(422, _("The Idempotency-Key was used for another request")),
    "offer-not-open": ProblemKind(409, _("This is not open any more, or not yet")),
    "evidence-unavailable": ProblemKind(503, _("The evidence cannot be fetched now"), {"Retry-After": "60"}),
    "commitment-text-differs": ProblemKind(409, _("This is not the text that was offered")),
    "cursor-malformed": ProblemKind(422, _("The place to go on from cannot be read")),
    "receipt-not-included": ProblemKind(409, _("The record is not in the log yet")),
}
