"""SD-JWT (RFC 9901) as SD-JWT VC: issue, present a selection, verify. Flat: disclosures of top-level claims."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from foundation.errors import DomainError
from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJws,
    PublicKey,
    Signer,
    canonical_json,
    decode_base64url,
    encode_base64url,
    sign_compact,
    verify_compact,
)

TYPE = "dc+sd-jwt"
ALLOWED = frozenset({Algorithm.ES256, Algorithm.EDDSA, Algorithm.SM2})
LONGEST = 256 * 1024
_RESERVED = frozenset({"_sd", "_sd_alg", "...", "iss", "nbf", "exp", "cnf", "vct", "status", "iat"})


class CredentialInvalid(DomainError):
    """The credential does not hold; the message says which check failed."""

    code = "credential-invalid"


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified credential.

    Args:
        claims: what the issuer signed in clear, without `_sd` and `_sd_alg`.
        disclosed: claims shown by disclosures.
        hidden: how many claims stay hidden.
    """

    claims: Mapping[str, Any]
    disclosed: Mapping[str, Any]
    hidden: int


def issue(signer: Signer, claims: Mapping[str, Any], disclosable: Mapping[str, Any]) -> str:
    """Return an SD-JWT with one disclosure per disclosable claim (RFC 9901 §4.2).

    Digests are sorted, so that their order tells nothing of the claims.

    Raises:
        ValueError: a claim is disclosable that RFC 9901 §4.1 or SD-JWT VC §2.2.2.2 forbids to hide.
    """
    forbidden = _RESERVED.intersection(disclosable) | set(claims).intersection(disclosable)
    if forbidden:
        raise ValueError(f"claims that must not be selectively disclosable: {sorted(forbidden)}")
    disclosures = [_disclosure(name, value) for name, value in disclosable.items()]
    digests = sorted(_digest(disclosure) for disclosure in disclosures)
    payload = {**claims, "_sd": digests, "_sd_alg": "sha-256"}
    token = sign_compact(signer, canonical_json(payload), TYPE)
    return "~".join([token, *disclosures, ""])


def select(credential: str, names: Collection[str]) -> str:
    """Return the credential with only the named disclosures; nothing is re-signed.

    Raises:
        CredentialInvalid: malformed, or a name that it cannot disclose.
    """
    token, disclosures = _take_apart(credential)
    chosen = {_read_disclosure(disclosure)[0]: disclosure for disclosure in disclosures}
    missing = sorted(set(names).difference(chosen))
    if missing:
        raise CredentialInvalid(_("it cannot disclose {field}"), pointer="/disclose", field=missing[0][:60])
    return "~".join([token, *(chosen[name] for name in chosen if name in names), ""])


def verify(credential: str, keys: Mapping[str, PublicKey]) -> Credential:
    """Check signature and disclosures (RFC 9901 §7.1). Dates and status are the caller's to judge.

    Raises:
        CredentialInvalid: malformed, wrongly signed, a disclosure that nothing refers to, that comes twice, or
            that would overwrite a claim; or digests stand within a claim, which are not read here.
    """
    token, disclosures = _take_apart(credential)
    try:
        verified = verify_compact(token, keys, TYPE, ALLOWED)
        payload = orjson.loads(verified.payload)
    except BadJws as error:
        raise CredentialInvalid(_("the signature does not hold: {reason}"), reason=error.code) from error
    except orjson.JSONDecodeError as error:
        raise CredentialInvalid(_("the signed part is not JSON")) from error
    if not isinstance(payload, dict):
        raise CredentialInvalid(_("the signed part is not an object"))
    if payload.pop("_sd_alg", "sha-256") != "sha-256":
        raise CredentialInvalid(_("the digest algorithm is not known"))
    digests = payload.pop("_sd", [])
    if not isinstance(digests, list) or not all(isinstance(digest, str) for digest in digests):
        raise CredentialInvalid(_("the list of digests is malformed"))
    if len(set(digests)) != len(digests):
        raise CredentialInvalid(_("a digest stands twice"))
    if "..." in payload:
        raise CredentialInvalid(_("the signed part holds a reserved claim"))
    disclosed: dict[str, Any] = {}
    remaining = set(digests)
    for disclosure in disclosures:
        digest = _digest(disclosure)
        if digest not in remaining:
            raise CredentialInvalid(_("a disclosure belongs to nothing that was signed"))
        remaining.remove(digest)
        name, value = _read_disclosure(disclosure)
        if name in {"_sd", "..."} or name in payload or name in disclosed:
            raise CredentialInvalid(_("a disclosure would overwrite a claim"))
        disclosed[name] = value
    if _holds_digests([*payload.values(), *disclosed.values()]):
        raise CredentialInvalid(_("it hides parts of claims, which no licence type does"))
    return Credential(payload, disclosed, len(remaining))


def _holds_digests(value: Any) -> bool:
    if isinstance(value, dict):
        return "_sd" in value or "..." in value or _holds_digests([*value.values()])
    return isinstance(value, list) and any(_holds_digests(member) for member in value)


def _disclosure(name: str, value: Any) -> str:
    salt = encode_base64url(secrets.token_bytes(16))
    return encode_base64url(orjson.dumps([salt, name, value]))


def _digest(disclosure: str) -> str:
    return encode_base64url(hashlib.sha256(disclosure.encode("ascii")).digest())


def _read_disclosure(disclosure: str) -> tuple[str, Any]:
    try:
        decoded = orjson.loads(decode_base64url(disclosure))
    except ValueError as error:
        raise CredentialInvalid(_("a disclosure is malformed")) from error
    match decoded:
        case [str(), str(name), value]:
            return name, value
        case _:
            raise CredentialInvalid(_("a disclosure is malformed"))


def _take_apart(credential: str) -> tuple[str, list[str]]:
    if len(credential) > LONGEST or not credential.isascii():
        raise CredentialInvalid(_("it is not an SD-JWT"))
    token, *rest = credential.split("~")
    if not rest or "" in rest[:-1]:
        raise CredentialInvalid(_("it is not an SD-JWT"))
    if rest[-1]:
        raise CredentialInvalid(_("it carries a key binding, which this licence type does not use"))
    return token, rest[:-1]
