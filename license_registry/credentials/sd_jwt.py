"""SD-JWT (RFC 9901) as SD-JWT VC: issue, present a selection, bind it to its holder's key, verify."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJws,
    PublicKey,
    Signer,
    canonical_json,
    decode_base64url,
    sign_compact,
    verify_chosen,
    verify_compact,
)
from license_registry.credentials.disclosures import (
    DIGEST_ALGORITHM,
    Path,
    conceal,
    conceal_members,
    places,
    unfold,
)
from license_registry.credentials.errors import CredentialInvalid
from license_registry.credentials.key_binding import ExpectedBinding, check_binding, make_binding

__all__ = [
    "ALLOWED",
    "LONGEST",
    "NEVER_HIDDEN",
    "TYPE",
    "Credential",
    "CredentialInvalid",
    "Unverified",
    "bind",
    "claims_of",
    "issue",
    "issue_parts",
    "select",
    "select_parts",
    "verify",
    "verify_sd_jwt",
]

TYPE = "dc+sd-jwt"
ALLOWED = frozenset({Algorithm.ES256, Algorithm.EDDSA, Algorithm.SM2})
"""Algorithms that are taken; `none` and those with a shared secret are none of them (RFC 9901 §9.1, §9.2)."""
LONGEST = 256 * 1024
NEVER_HIDDEN: Final = frozenset({"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"})
"""Claims of SD-JWT VC §2.2.2.2 that a holder could otherwise leave out to make a credential look better."""
_RESERVED = NEVER_HIDDEN | {"_sd", "_sd_alg", "...", "iat"}

KeyChoice = Callable[[Mapping[str, Any]], PublicKey | None]
"""Gives the trusted key that a header, not yet checked, names; see `issuer_keys`."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified credential.

    Args:
        claims: what the issuer signed in clear, without `_sd` and `_sd_alg`; parts disclosed within are filled in.
        disclosed: claims shown by disclosures.
        hidden: how many claims, or parts of claims, stay hidden.
        header: protected header of the issuer's signature.
        bound: whether the holder's key signed for this question.
    """

    claims: Mapping[str, Any]
    disclosed: Mapping[str, Any]
    hidden: int
    header: Mapping[str, Any] = field(default_factory=dict)
    bound: bool = False


@dataclass(frozen=True, slots=True)
class Unverified:
    """Payload as signed, and where the disclosures stand in it."""

    payload: Mapping[str, Any]
    places: Mapping[Path, str]


def issue(
    signer: Signer,
    claims: Mapping[str, Any],
    disclosable: Mapping[str, Any],
    *,
    headers: Mapping[str, Any] | None = None,
) -> str:
    """Return an SD-JWT VC with one disclosure per disclosable claim (RFC 9901 §4.2).

    Args:
        headers: further members of the header, such as `x5c`.

    Raises:
        ValueError: a claim is disclosable that RFC 9901 §4.1 or SD-JWT VC §2.2.2.2 forbids to hide.
    """
    forbidden = _RESERVED.intersection(disclosable) | set(claims).intersection(disclosable)
    if forbidden:
        raise ValueError(f"claims that must not be selectively disclosable: {sorted(forbidden)}")
    payload, disclosures = conceal_members(claims, disclosable)
    return _signed(signer, payload, disclosures, TYPE, headers)


def issue_parts(
    signer: Signer,
    claims: Mapping[str, Any],
    paths: Collection[Path],
    *,
    decoys: int = 0,
    headers: Mapping[str, Any] | None = None,
    typ: str = TYPE,
) -> str:
    """Return an SD-JWT in which the parts at these paths are disclosable one by one, at any depth.

    Raises:
        ValueError: a part that SD-JWT VC forbids to hide, that is not there, or a claim with a reserved name.
    """
    forbidden = sorted({str(path[0]) for path in paths if path and path[0] in NEVER_HIDDEN})
    if forbidden:
        raise ValueError(f"claims that must not be selectively disclosable: {forbidden}")
    payload, disclosures = conceal(claims, paths, decoys)
    return _signed(signer, payload, disclosures, typ, headers)


def _signed(
    signer: Signer,
    payload: Mapping[str, Any],
    disclosures: Iterable[str],
    typ: str,
    headers: Mapping[str, Any] | None,
) -> str:
    token = sign_compact(signer, canonical_json(payload), typ, headers)
    return "~".join([token, *disclosures, ""])


def select(credential: str, names: Collection[str]) -> str:
    """Return the credential with only the named claims disclosed, each whole; nothing is re-signed.

    Raises:
        CredentialInvalid: malformed, or a name that it cannot disclose.
    """
    return select_parts(credential, [(name,) for name in names])


def select_parts(credential: str, paths: Iterable[Path]) -> str:
    """Return the credential with only these parts disclosed: each with what it stands in and what stands in it.

    Raises:
        CredentialInvalid: malformed, or a part that it cannot disclose.
    """
    token, disclosures, _binding = _take_apart(credential)
    there = places(_unchecked_payload(token), disclosures)
    chosen: set[Path] = set()
    for path in paths:
        inside = [place for place in there if place[: len(path)] == path]
        if not inside:
            raise CredentialInvalid(
                _("it cannot disclose {field}"), pointer="/disclose", field=".".join(map(str, path))[:60]
            )
        chosen.update(inside)
        chosen.update(place for place in there if path[: len(place)] == place)
    shown = {there[place] for place in chosen}
    return "~".join([token, *(disclosure for disclosure in disclosures if disclosure in shown), ""])


def claims_of(credential: str) -> Unverified:
    """Return what a credential of one's own says, for its holder to choose from: no signature is checked.

    Raises:
        CredentialInvalid: malformed.
    """
    token, disclosures, _binding = _take_apart(credential)
    payload = _unchecked_payload(token)
    return Unverified(payload, places(payload, disclosures))


def bind(credential: str, signer: Signer, *, audience: str, nonce: str, now: int) -> str:
    """Return a presentation bound to the holder's key, for one verifier and one question (RFC 9901 §4.3).

    Raises:
        CredentialInvalid: it is bound already, or malformed.
    """
    if _take_apart(credential)[2] is not None:
        raise CredentialInvalid(_("it carries a key binding that nobody asked for"))
    return credential + make_binding(credential, signer, audience=audience, nonce=nonce, now=now)


def verify(
    credential: str,
    keys: Mapping[str, PublicKey] | KeyChoice,
    *,
    binding: ExpectedBinding | None = None,
) -> Credential:
    """Check signature, disclosures and key binding of an SD-JWT VC. Dates and status are the caller's to judge.

    Args:
        keys: trusted keys of issuers by `kid`, or what chooses one by the header.
        binding: what the holder must have signed for; none: a key binding is refused, as nobody asked for it.

    Raises:
        CredentialInvalid: malformed, wrongly signed, a disclosure that nothing refers to, that comes twice, that
            would overwrite a claim or that shows what must not be hidden; a key binding that does not hold.
    """
    verified = verify_sd_jwt(credential, keys, typ=TYPE, binding=binding)
    if not NEVER_HIDDEN.isdisjoint(verified.disclosed):
        raise CredentialInvalid(_("a claim that must not be hidden stands in a disclosure"))
    return verified


def verify_sd_jwt(
    credential: str,
    keys: Mapping[str, PublicKey] | KeyChoice,
    *,
    typ: str | None,
    binding: ExpectedBinding | None = None,
) -> Credential:
    """Check an SD-JWT of any type (RFC 9901 §7.1, §7.3), without the further rules of SD-JWT VC.

    Args and raises: as for `verify`; `typ` None takes any.
    """
    token, disclosures, bound = _take_apart(credential)
    try:
        if isinstance(keys, Mapping):
            verified = verify_compact(token, keys, typ, ALLOWED)
        else:
            verified = verify_chosen(token, keys, typ, ALLOWED)
        payload = orjson.loads(verified.payload)
    except BadJws as error:
        raise CredentialInvalid(_("the signature does not hold: {reason}"), reason=error.code) from error
    except orjson.JSONDecodeError as error:
        raise CredentialInvalid(_("the signed part is not JSON")) from error
    if not isinstance(payload, dict):
        raise CredentialInvalid(_("the signed part is not an object"))
    unfolded = unfold(payload, disclosures)
    if binding is None:
        if bound is not None:
            raise CredentialInvalid(_("it carries a key binding that nobody asked for"))
    elif bound is None:
        raise CredentialInvalid(_("its holder has not signed for this question"))
    else:
        algorithm = payload.get("_sd_alg", DIGEST_ALGORITHM)
        before = credential[: len(credential) - len(bound)]
        check_binding(before, bound, unfolded.clear, algorithm, ALLOWED, binding)
    return Credential(
        unfolded.clear, unfolded.disclosed, unfolded.hidden, verified.header, binding is not None
    )


def _take_apart(credential: str) -> tuple[str, list[str], str | None]:
    if len(credential) > LONGEST or not credential.isascii():
        raise CredentialInvalid(_("it is not an SD-JWT"))
    token, *rest = credential.split("~")
    if not rest or "" in rest[:-1]:
        raise CredentialInvalid(_("it is not an SD-JWT"))
    return token, rest[:-1], rest[-1] or None


def _unchecked_payload(token: str) -> dict[str, Any]:
    try:
        payload = orjson.loads(decode_base64url(token.split(".")[1]))
    except (IndexError, ValueError) as error:
        raise CredentialInvalid(_("it is not an SD-JWT")) from error
    if not isinstance(payload, dict):
        raise CredentialInvalid(_("the signed part is not an object"))
    return payload
