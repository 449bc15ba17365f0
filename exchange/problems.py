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
    "batch-key-invalid": ProblemKind(400, _("The Idempotency-Key is missing or not valid")),
    "batch-key-reused": ProblemKind(409, _("This Idempotency-Key came with another batch")),
    "batch-empty": ProblemKind(422, _("The batch has no subjects")),
    "batch-too-many-rows": ProblemKind(413, _("The batch has too many subjects")),
    "batch-encoding-wrong": ProblemKind(422, _("The subjects are not in the encoding that is stated")),
    "batch-form-unknown": ProblemKind(415, _("The subjects cannot be read in this form")),
    "batch-columns-wrong": ProblemKind(422, _("The first line of the CSV names no usable columns")),
    "batch-result-key-unusable": ProblemKind(422, _("The key for the result cannot be used")),
    "batches-too-many": ProblemKind(429, _("Too many batches are open"), {"Retry-After": "60"}),
    "batch-cut-short": ProblemKind(400, _("The batch was cut short")),
    "batch-not-finished": ProblemKind(409, _("The batch is not over yet")),
    "batch-finished": ProblemKind(409, _("The batch is over")),
    "batch-result-expired": ProblemKind(410, _("The result has expired")),
    "receipt-not-included": ProblemKind(409, _("The record is not in the log yet")),
}
