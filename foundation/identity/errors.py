"""Why a caller is not let in."""

from __future__ import annotations

from foundation.errors import DomainError
from foundation.language import _
from foundation.problems import ProblemKind, ProblemTable


class TokenMissing(DomainError):
    code = "token-missing"


class TokenUnknown(DomainError):
    code = "token-unknown"


class TokenExpired(DomainError):
    code = "token-expired"


class TokenWrongAudience(DomainError):
    code = "token-wrong-audience"


class PeopleIssuerUnavailable(DomainError):
    """The issuer that people come from does not answer: the token may be good, come again."""

    code = "people-issuer-unavailable"


class SignInRefused(DomainError):
    """The person did not come back from their issuer as somebody: declined, of another sign-in, or too late."""

    code = "sign-in-refused"


class RoleMissing(DomainError):
    code = "role-missing"


class OAuthError(DomainError):
    """A refusal at the token endpoint; `error` is the code of RFC 6749 §5.2 or RFC 8707 §2."""

    error = "invalid_request"

    def members(self) -> dict[str, str]:
        """Return the members that OAuth clients read (RFC 6749 §5.2)."""
        return {"error": self.error, "error_description": str(self)}


class GrantTypeUnsupported(OAuthError):
    code = "grant-type-unsupported"
    error = "unsupported_grant_type"


class AssertionRefused(OAuthError):
    code = "assertion-refused"
    error = "invalid_client"


class AssertionReplayed(OAuthError):
    code = "assertion-replayed"
    error = "invalid_client"


class TargetUnknown(OAuthError):
    code = "target-unknown"
    error = "invalid_target"


class TokenRequestMalformed(OAuthError):
    code = "token-request-malformed"


IDENTITY_PROBLEMS: ProblemTable = {
    "grant-type-unsupported": ProblemKind(400, _("Only the client credentials grant is offered")),
    "assertion-refused": ProblemKind(401, _("The client assertion is not accepted")),
    "assertion-replayed": ProblemKind(401, _("The client assertion was used before")),
    "target-unknown": ProblemKind(400, _("No such service to get a token for")),
    "token-request-malformed": ProblemKind(400, _("The token request cannot be read")),
}
