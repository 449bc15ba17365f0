"""The registry's row of the one table that turns error codes into HTTP (RFC 9457)."""

from __future__ import annotations

from foundation.language import _
from foundation.problems import BEARER, ProblemKind, ProblemTable

REGISTRY_PROBLEMS: ProblemTable = {
    "licence-type-unknown": ProblemKind(404, _("No such licence type")),
    "licence-fields-invalid": ProblemKind(422, _("The fields do not fit the licence type")),
    "holder-invalid": ProblemKind(422, _("Holder or presenter are not named validly")),
    "validity-invalid": ProblemKind(422, _("The dates of validity contradict each other")),
    "licence-in-force": ProblemKind(409, _("A licence of this number is in force")),
    "issuer-not-entitled": ProblemKind(403, _("The authority may not issue licences of this type")),
    "issuer-mismatch": ProblemKind(403, _("Another authority issued this licence")),
    "operation-not-allowed": ProblemKind(409, _("The state of the licence does not allow this")),
    "credential-invalid": ProblemKind(422, _("The credential does not hold")),
    "status-list-invalid": ProblemKind(422, _("The status list does not hold")),
    "code-used": ProblemKind(409, _("The code was used before")),
    "code-expired": ProblemKind(410, _("The code has expired")),
    "wallet-code-refused": ProblemKind(400, _("The wallet's code is not good")),
    "wallet-grant-unsupported": ProblemKind(400, _("Wallets have another grant type")),
    "wallet-token-refused": ProblemKind(401, _("The wallet's token is not good"), BEARER),
    "wallet-credential-unknown": ProblemKind(400, _("The wallet asks for another licence type")),
    "wallet-credential-denied": ProblemKind(400, _("The licence cannot be put into a wallet")),
    "wallet-proof-refused": ProblemKind(400, _("The wallet's proof does not hold")),
    "wallet-nonce-refused": ProblemKind(400, _("The wallet's nonce is not good")),
    "wallet-answer-refused": ProblemKind(400, _("The wallet's answer does not hold")),
    "store-full": ProblemKind(507, _("The object store is full")),
    "store-unavailable": ProblemKind(503, _("The object store cannot be reached"), {"Retry-After": "5"}),
    "object-exists": ProblemKind(500, _("Another object stands in the store")),
    "object-missing": ProblemKind(500, _("The stored licence is missing")),
    "object-altered": ProblemKind(500, _("The stored licence was altered")),
}
