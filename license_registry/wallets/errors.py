"""Why a wallet does not get what it asks for; the members that wallets read are those of OAuth (decision 6)."""

from __future__ import annotations

from foundation.identity.errors import OAuthError
from foundation.language import _


class WalletCodeRefused(OAuthError):
    """The pre-authorised code, or the transaction code beside it, gives nothing."""

    code = "wallet-code-refused"
    error = "invalid_grant"


class WalletGrantUnsupported(OAuthError):
    code = "wallet-grant-unsupported"
    error = "unsupported_grant_type"


class WalletClientUnknown(OAuthError):
    """No wallet is registered by this name: only registered ones may send people here."""

    code = "wallet-client-unknown"
    error = "invalid_client"


class WalletRequestRefused(OAuthError):
    code = "wallet-request-refused"
    error = "invalid_request"


class WalletResponseUnsupported(OAuthError):
    code = "wallet-response-unsupported"
    error = "unsupported_response_type"


class WalletScopeUnknown(OAuthError):
    code = "wallet-scope-unknown"
    error = "invalid_scope"


class WalletDetailsRefused(OAuthError):
    """What a wallet asks for by `authorization_details` (RFC 9396) is not one licence type of ours."""

    code = "wallet-details-refused"
    error = "invalid_authorization_details"


class WalletRequestUriRefused(OAuthError):
    """The pushed request that a browser was sent with is none, or is over."""

    code = "wallet-request-uri-refused"
    error = "invalid_request_uri"


class AttestationNeeded(OAuthError):
    """The wallet has to prove whose it is."""

    code = "wallet-attestation-needed"
    error = "invalid_client"


class AttestationRefused(OAuthError):
    """The attestation of the wallet, or the proof beside it, does not hold."""

    code = "wallet-attestation-refused"
    error = "invalid_client_attestation"


class AttestationStale(OAuthError):
    """The attestation of the wallet held once: its attester gives a new one."""

    code = "wallet-attestation-stale"
    error = "use_fresh_attestation"


class DpopRefused(OAuthError):
    """The proof that the wallet holds its key (RFC 9449) does not hold, or there is none where one is demanded."""

    code = "wallet-dpop-refused"
    error = "invalid_dpop_proof"


class TokenDpopRefused(DpopRefused):
    """The same where an access token comes with the proof."""

    code = "wallet-token-dpop-refused"


class DpopNonceNeeded(DpopRefused):
    """The proof lacks a nonce of ours that is fresh; one comes with this refusal (RFC 9449 §8).

    Args:
        nonce: to make the next proof with.
    """

    code = "wallet-dpop-nonce-needed"
    error = "use_dpop_nonce"

    def __init__(self, nonce: str) -> None:
        super().__init__(_("the DPoP proof lacks a fresh nonce: take the one that comes with this answer"))
        self.nonce = nonce

    def headers(self) -> dict[str, str]:
        """Return the nonce where wallets look for it."""
        return {"DPoP-Nonce": self.nonce}


class TokenDpopNonceNeeded(DpopNonceNeeded):
    """The same where an access token comes with the proof (RFC 9449 §9)."""

    code = "wallet-token-dpop-nonce-needed"


class WalletTokenRefused(OAuthError):
    code = "wallet-token-refused"
    error = "invalid_token"


class CredentialUnknown(OAuthError):
    code = "wallet-credential-unknown"
    error = "unknown_credential_configuration"


class CredentialIdentifierUnknown(OAuthError):
    code = "wallet-credential-identifier-unknown"
    error = "unknown_credential_identifier"


class CredentialDenied(OAuthError):
    """The licence is no longer one that may be put into a wallet."""

    code = "wallet-credential-denied"
    error = "credential_request_denied"


class ProofRefused(OAuthError):
    code = "wallet-proof-refused"
    error = "invalid_proof"


class NonceRefused(OAuthError):
    code = "wallet-nonce-refused"
    error = "invalid_nonce"


class AnswerRefused(OAuthError):
    """What a wallet answered is not what was asked, or does not hold."""

    code = "wallet-answer-refused"
    error = "invalid_request"
