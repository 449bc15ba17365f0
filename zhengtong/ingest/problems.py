"""Refusals of batches on HTTP; what the pipeline refuses reaches HTTP here only."""

from __future__ import annotations

from foundation.language import _
from foundation.problems import ProblemKind, ProblemTable

INGEST_PROBLEMS: ProblemTable = {
    "sender-not-allowed": ProblemKind(403, _("This client may not send for this source")),
    "media-type-unknown": ProblemKind(415, _("The body is in a form that cannot be read")),
    "idempotency-key-missing": ProblemKind(400, _("An Idempotency-Key is needed")),
    "idempotency-key-reused": ProblemKind(422, _("The Idempotency-Key was used for another batch")),
    "ingest-under-way": ProblemKind(409, _("This batch is being worked on"), {"Retry-After": "5"}),
    "body-empty": ProblemKind(400, _("The body is empty")),
    "gate-closed": ProblemKind(422, _("The batch fell short of a quality gate")),
    "header-differs": ProblemKind(422, _("The columns are not those of the source")),
    "source-unreadable": ProblemKind(422, _("The batch cannot be read")),
}
