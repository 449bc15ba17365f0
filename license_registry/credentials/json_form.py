"""SD-JWT in JWS JSON serialization (RFC 9901 §8), flattened or general: read into the compact form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from foundation.language import _
from foundation.signing import decode_base64url
from license_registry.credentials.errors import CredentialInvalid


def to_compact(document: Mapping[str, Any], kids: Collection[str] = ()) -> str:
    """Return the compact form of an SD-JWT, with its key binding if it has one; nothing is checked.

    Args:
        kids: of several signatures, the first whose `kid` is one of these is taken, else the first of all.
            Disclosures and key binding stand with the first (RFC 9901 §8.1).

    Raises:
        CredentialInvalid: it is not in this form.
    """
    signatures = document.get("signatures", [document])
    match document, signatures:
        case {"payload": str(payload)}, [
            {"header": {"disclosures": list(disclosures), **unprotected}},
            *_rest,
        ]:
            pass
        case _:
            raise CredentialInvalid(_("it is not an SD-JWT"))
    named = [_signature(one) for one in signatures]
    protected, signature = next(
        ((protected, value) for protected, value, kid in named if kid in kids), named[0][:2]
    )
    binding = unprotected.get("kb_jwt", "")
    parts = [f"{protected}.{payload}.{signature}", *disclosures, binding]
    if not all(isinstance(part, str) and "~" not in part for part in parts):
        raise CredentialInvalid(_("it is not an SD-JWT"))
    return "~".join(parts)


def _signature(one: object) -> tuple[str, str, object]:
    match one:
        case {"protected": str(protected), "signature": str(signature), **others}:
            pass
        case _:
            raise CredentialInvalid(_("it is not an SD-JWT"))
    kid = None
    header = others.get("header")
    if isinstance(header, dict):
        kid = header.get("kid")
    try:
        named = orjson.loads(decode_base64url(protected))
    except ValueError as error:
        raise CredentialInvalid(_("it is not an SD-JWT")) from error
    if isinstance(named, dict):
        kid = named.get("kid", kid)
    return protected, signature, kid
