"""The registry's row of the one table that turns error codes into HTTP (RFC 9457)."""

from __future__ import annotations

from foundation.language import _
from foundation.problems import ProblemKind, ProblemTable

REGISTRY_PROBLEMS: ProblemTable = {
    "licence-type-unknown": ProblemKind(404, _("No such licence type")),
    "licence-fields-invalid": ProblemKind(422, _("The fields do not fit the licence type")),
    "holder-invalid": ProblemKind(422, _("Holder or presenter are not named validly")),
    "licence-number-invalid": ProblemKind(422, _("The number does not fit the licence type")),
    "holder-unknown": ProblemKind(422, _("The holder is in no register")),
    "holder-differs": ProblemKind(422, _("The register has another name for the holder")),
    "holder-ended": ProblemKind(409, _("The holder is dead or no longer registered")),
    "issuing-key-invalid": ProblemKind(400, _("An Idempotency-Key of 1 to 200 visible characters is needed")),
    "issuing-key-reused": ProblemKind(422, _("The Idempotency-Key was used for another request")),
    "validity-invalid": ProblemKind(422, _("The dates of validity contradict each other")),
    "licence-in-force": ProblemKind(409, _("A licence of this number is in force")),
    "issuer-not-entitled": ProblemKind(403, _("The authority may not issue licences of this type")),
    "issuer-mismatch": ProblemKind(403, _("Another authority issued this licence")),
    "operation-not-allowed": ProblemKind(409, _("The state of the licence does not allow this")),
    "actor-not-entitled": ProblemKind(403, _("Somebody else may do this to a licence")),
    "licence-replaced": ProblemKind(409, _("A newer version has replaced the licence")),
    "state-description-missing": ProblemKind(422, _("The state needs a description")),
    "suspension-until-invalid": ProblemKind(422, _("The suspension cannot end on that day")),
    "transfer-invalid": ProblemKind(422, _("The licence cannot be transferred so")),
    "credential-invalid": ProblemKind(422, _("The credential does not hold")),
    "status-list-invalid": ProblemKind(422, _("The status list does not hold")),
    "code-used": ProblemKind(409, _("The code was used before")),
    "code-too-large": ProblemKind(422, _("A QR code cannot hold so much")),
    "delegation-invalid": ProblemKind(403, _("The delegation does not allow this")),
    "licence-lacking": ProblemKind(409, _("A licence that the matter asks for is lacking")),
    "disclosure-not-granted": ProblemKind(403, _("No grant lets the department see this")),
    "too-many-tries": ProblemKind(429, _("Too many wrong numbers"), {"Retry-After": "3600"}),
    "link-spent": ProblemKind(410, _("The link was used or is over")),
    "file-unreadable": ProblemKind(422, _("The file holds no licence")),
    "picture-unreadable": ProblemKind(422, _("No QR code can be read in the picture")),
    "code-expired": ProblemKind(410, _("The code has expired")),
    "store-full": ProblemKind(507, _("The object store is full")),
    "store-unavailable": ProblemKind(503, _("The object store cannot be reached"), {"Retry-After": "5"}),
    "object-exists": ProblemKind(500, _("Another object stands in the store")),
    "object-missing": ProblemKind(500, _("The stored licence is missing")),
    "object-altered": ProblemKind(500, _("The stored licence was altered")),
}
