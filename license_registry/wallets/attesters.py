"""Who may attest which wallet, as the house trusts them: keys (JWK Set), or certificates that theirs lead to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509

from foundation.settings import SettingsError
from foundation.signing import BadJwk, PublicKey


@dataclass(frozen=True, slots=True)
class Attester:
    """Whose signature makes a wallet the one that it says it is: by `kid`, or by a chain to one of the roots."""

    keys: Mapping[str, PublicKey]
    roots: tuple[x509.Certificate, ...]


Attesters = Mapping[str, Attester]
"""Client id of a wallet → who attests it."""


def load_attesters(files: Mapping[str, Path]) -> Attesters:
    """Read the attesters of the setting `wallet_attesters`.

    Args:
        files: client id → a JWK Set, or certificates in PEM.

    Raises:
        SettingsError: a file cannot be read, or holds neither.
    """
    return {client_id: _read(client_id, path) for client_id, path in files.items()}


def _read(client_id: str, path: Path) -> Attester:
    try:
        content = path.read_bytes()
        if content.lstrip().startswith(b"{"):
            return Attester(_keys(orjson.loads(content)), ())
        roots = tuple(x509.load_pem_x509_certificates(content))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"wallet_attesters: {client_id}: {path}: {error}") from error
    return Attester({}, roots)


def _keys(said: dict[str, Any]) -> dict[str, PublicKey]:
    keys: dict[str, PublicKey] = {}
    for jwk in said["keys"]:
        key = PublicKey.from_jwk(jwk)
        keys[str(jwk.get("kid", key.thumbprint()))] = key
    if not keys:
        raise BadJwk("the set holds no key")
    return keys
