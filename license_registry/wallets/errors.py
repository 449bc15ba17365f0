"""Why a wallet does not get what it asks for; the members that wallets read are those of OAuth (decision 6)."""

from __future__ import annotations

from foundation.identity.errors import OAuthError


class WalletCodeRefused(OAuthError):
    """The pre-authorised code, or the transaction code beside it, gives nothing."""

    code = "wallet-code-refused"
    error = "invalid_grant"


class WalletGrantUnsupported(OAuthError):
    code = "wallet-grant-unsupported"
    error = "unsupported_grant_type"


class WalletTokenRefused(OAuthError):
    code = "wallet-token-refused"
    error = "invalid_token"


class CredentialUnknown(OAuthError):
    code = "wallet-credential-unknown"
    error = "unknown_credential_configuration"


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
