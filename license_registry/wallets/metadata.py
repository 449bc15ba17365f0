"""What wallets read before they come: issuer metadata (OpenID4VCI 1.0 §12.2), authorisation server (RFC 8414), keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NotRequired

from typing_extensions import TypedDict

from foundation.signing import Algorithm
from license_registry.catalog.types import LicenceType

PROOF_ALGORITHMS: Final = (Algorithm.ES256, Algorithm.EDDSA)
PRE_AUTHORISED: Final = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
AUTHORISATION_CODE: Final = "authorization_code"
DETAILS_TYPE: Final = "openid_credential"
FORMAT: Final = "dc+sd-jwt"


class IssuerMetadata(TypedDict):
    """Metadata of the credential issuer (OpenID4VCI 1.0 §12.2.4)."""

    credential_issuer: str
    authorization_servers: list[str]
    credential_endpoint: str
    nonce_endpoint: str
    display: list[dict[str, str]]
    credential_configurations_supported: dict[str, dict[str, Any]]


WalletServerMetadata = TypedDict(
    "WalletServerMetadata",
    {
        "issuer": str,
        "token_endpoint": str,
        "grant_types_supported": list[str],
        "response_types_supported": list[str],
        "token_endpoint_auth_methods_supported": list[str],
        "authorization_endpoint": NotRequired[str],
        "pushed_authorization_request_endpoint": NotRequired[str],
        "require_pushed_authorization_requests": NotRequired[bool],
        "authorization_response_iss_parameter_supported": NotRequired[bool],
        "code_challenge_methods_supported": NotRequired[list[str]],
        "response_modes_supported": NotRequired[list[str]],
        "scopes_supported": NotRequired[list[str]],
        "authorization_details_types_supported": NotRequired[list[str]],
        "dpop_signing_alg_values_supported": list[str],
        "client_attestation_signing_alg_values_supported": NotRequired[list[str]],
        "client_attestation_pop_signing_alg_values_supported": NotRequired[list[str]],
        "pre-authorized_grant_anonymous_access_supported": bool,
    },
)
"""Metadata of the authorisation server of wallets (RFC 8414 §2, OpenID4VCI 1.0 §12.3)."""


def issuer_metadata(
    issuer: str, types: Iterable[LicenceType], algorithm: Algorithm, by_code: bool
) -> IssuerMetadata:
    """Return the metadata of the credential issuer, with one configuration per licence type.

    Args:
        issuer: its identifier, under which its endpoints stand.
        algorithm: what credentials are signed with.
        by_code: wallets may come by themselves; they ask by the scope that each configuration names then.
    """
    wallets = f"{issuer}/v1/wallets"
    return {
        "credential_issuer": issuer,
        "authorization_servers": [issuer],
        "credential_endpoint": f"{wallets}/credential",
        "nonce_endpoint": f"{wallets}/nonce",
        "display": [
            {"name": "电子证照库", "locale": "zh-CN"},
            {"name": "Licence registry", "locale": "en"},
        ],
        "credential_configurations_supported": {
            one.id: _configuration(one, algorithm) | ({"scope": one.id} if by_code else {}) for one in types
        },
    }


def _configuration(licence_type: LicenceType, algorithm: Algorithm) -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = licence_type.schema["properties"]
    return {
        "format": FORMAT,
        "vct": licence_type.vct,
        "cryptographic_binding_methods_supported": ["jwk"],
        "credential_signing_alg_values_supported": [algorithm.value],
        "proof_types_supported": {
            "jwt": {"proof_signing_alg_values_supported": [one.value for one in PROOF_ALGORITHMS]}
        },
        "credential_metadata": {
            "display": [
                {"name": licence_type.name, "locale": "zh-CN"},
                {"name": licence_type.name_en, "locale": "en"},
            ],
            "claims": [
                {
                    "path": [name],
                    "mandatory": name in licence_type.always_disclosed,
                    "display": [{"name": str(said.get("title", name)), "locale": "zh-CN"}],
                }
                for name, said in properties.items()
            ],
        },
    }


def authorisation_metadata(
    issuer: str, scopes: Iterable[str] | None, *, attested: bool, anonymous: bool
) -> WalletServerMetadata:
    """Return the metadata of the authorisation server of wallets.

    Args:
        scopes: that wallets may ask for by themselves; None where they come with a pre-authorised code only.
        attested: attestations are taken from some wallets at least.
        anonymous: wallets that nobody attests are taken.
    """
    algorithms = [one.value for one in PROOF_ALGORITHMS]
    wallets = f"{issuer}/v1/wallets"
    told: WalletServerMetadata = {
        "issuer": issuer,
        "token_endpoint": f"{wallets}/token",
        "grant_types_supported": [PRE_AUTHORISED],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": [
            *(["none"] if anonymous else []),
            *(["attest_jwt_client_auth"] if attested else []),
        ],
        "pre-authorized_grant_anonymous_access_supported": anonymous,
        "dpop_signing_alg_values_supported": algorithms,
    }
    if attested:
        told["client_attestation_signing_alg_values_supported"] = algorithms
        told["client_attestation_pop_signing_alg_values_supported"] = algorithms
    if scopes is None:
        return told
    return {
        **told,
        "grant_types_supported": [AUTHORISATION_CODE, PRE_AUTHORISED],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "authorization_endpoint": f"{wallets}/authorise",
        "pushed_authorization_request_endpoint": f"{wallets}/pushed-requests",
        "require_pushed_authorization_requests": True,
        "authorization_response_iss_parameter_supported": True,
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": list(scopes),
        "authorization_details_types_supported": [DETAILS_TYPE],
    }
