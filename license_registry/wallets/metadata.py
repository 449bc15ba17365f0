"""What wallets read before they come: issuer metadata (OpenID4VCI 1.0 §12.2), authorisation server (RFC 8414), keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from typing_extensions import TypedDict

from foundation.signing import Algorithm
from license_registry.catalog.types import LicenceType

PROOF_ALGORITHMS: Final = (Algorithm.ES256, Algorithm.EDDSA)
PRE_AUTHORISED: Final = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
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
        "pre-authorized_grant_anonymous_access_supported": bool,
    },
)
"""Metadata of the authorisation server of wallets (RFC 8414 §2, OpenID4VCI 1.0 §12.3)."""


def issuer_metadata(issuer: str, types: Iterable[LicenceType], algorithm: Algorithm) -> IssuerMetadata:
    """Return the metadata of the credential issuer, with one configuration per licence type.

    Args:
        issuer: its identifier, under which its endpoints stand.
        algorithm: what credentials are signed with.
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
        "credential_configurations_supported": {one.id: _configuration(one, algorithm) for one in types},
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


def authorisation_metadata(issuer: str) -> WalletServerMetadata:
    """Return the metadata of the authorisation server of wallets, which knows the pre-authorised code only."""
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/v1/wallets/token",
        "grant_types_supported": [PRE_AUTHORISED],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "pre-authorized_grant_anonymous_access_supported": True,
    }
