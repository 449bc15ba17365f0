"""Whose wallet it is, as its maker attests (OAuth 2.0 Attestation-Based Client Authentication).

By draft-ietf-oauth-attestation-based-client-auth-11: two tokens, one of the attester about a key of this instance of
the wallet, one by that key for this server (§4, §5.1). What other drafts ask for (`iss` and `exp` of the proof, `iat`
of the attestation) is checked where it is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from foundation.language import _
from foundation.signing import BadJwk, BadJws, PublicKey, decode_base64url, verify_chosen
from license_registry.credentials.errors import CredentialInvalid
from license_registry.credentials.issuer_keys import chosen_by
from license_registry.credentials.key_binding import CLOCK_SKEW_SECONDS
from license_registry.wallets.attesters import Attester, Attesters
from license_registry.wallets.errors import AttestationNeeded, AttestationRefused, AttestationStale
from license_registry.wallets.metadata import PROOF_ALGORITHMS
from license_registry.wallets.once import Once

ATTESTATION_TYPE: Final = "oauth-client-attestation+jwt"
POP_TYPE: Final = "oauth-client-attestation-pop+jwt"
POP_SECONDS: Final = 300
"""How old a proof may be."""
LONGEST: Final = 16_000
"""Characters of either token; an attestation brings a certificate chain along."""
LONGEST_ID: Final = 500
"""Characters of `jti`."""


@dataclass(frozen=True, slots=True)
class Attested:
    """The wallet that an attestation is about, and the proof to be used up."""

    client_id: str
    proof: Once


@dataclass(frozen=True, slots=True)
class Said:
    """What came in the two header fields, each as often as it came."""

    attestations: Sequence[str]
    proofs: Sequence[str]


def check_attestation(
    attesters: Attesters, said: Said, issuer: str, client_id: str, now: datetime
) -> Attested:
    """Return whose wallet sends a request (§7.1, §7.2).

    Args:
        issuer: this authorisation server, which the proof is to be for.
        client_id: as the request names it; empty where it does not.

    Raises:
        AttestationRefused: it does not hold, or there is nobody who may attest this wallet.
        AttestationStale: it is over: the wallet is to get a new one.
    """
    if (len(said.attestations), len(said.proofs)) != (1, 1):
        raise _refused("not-one")
    if max(len(said.attestations[0]), len(said.proofs[0])) > LONGEST:
        raise _refused("too-large")
    subject, key = _about(attesters, said.attestations[0], now)
    if client_id not in {"", subject}:
        raise _refused("client-differs")
    return Attested(subject, _checked(said.proofs[0], subject, key, issuer, now))


def demand(attesters: Attesters, client_id: str, everybody: bool) -> None:
    """Raise AttestationNeeded for a request without an attestation that should have come with one.

    A wallet that somebody attests is never taken without: else whoever names it would be it.
    """
    if everybody or client_id in attesters:
        raise AttestationNeeded(_("the wallet has to prove by an attestation whose it is"))


def _about(attesters: Attesters, attestation: str, now: datetime) -> tuple[str, PublicKey]:
    """Return the client id of the wallet, and the key of its instance (§7.1)."""
    # Whose keys to look among is said by the claims, which nobody believes before the signature holds.
    attester = attesters.get(_subject(attestation))
    if attester is None:
        raise _refused("attester-unknown")
    try:
        claims = _verified(attestation, _chosen(attester, now), ATTESTATION_TYPE)
    except CredentialInvalid as error:
        raise _refused("chain-broken") from error
    match claims:
        case {"sub": str(subject), "exp": int() | float() as until, "cnf": {"jwk": dict(jwk)}}:
            pass
        case _:
            raise _refused("malformed")
    seconds = now.timestamp()
    begins = [claims[name] for name in ("iat", "nbf") if name in claims]
    if not all(isinstance(one, int | float) and one <= seconds + CLOCK_SKEW_SECONDS for one in begins):
        raise _refused("not-yet-valid")
    if until + CLOCK_SKEW_SECONDS <= seconds:
        raise AttestationStale(_("the attestation of the wallet is over"))
    try:
        return subject, PublicKey.from_jwk(jwk)  # refuses private members, as §7.1 asks
    except BadJwk as error:
        raise _refused("instance-key-refused") from error


def _checked(proof: str, client_id: str, key: PublicKey, issuer: str, now: datetime) -> Once:
    """Return the proof of the instance's key, to be used up (§7.2)."""
    claims = _verified(proof, lambda _header: key, POP_TYPE)
    match claims:
        case {"aud": str(audience) | [str(audience)], "jti": str(proof_id), "iat": int() | float() as made}:
            pass
        case _:
            raise _refused("proof-malformed")
    seconds = now.timestamp()
    over = claims.get("exp", made + POP_SECONDS)
    if not 0 < len(proof_id) <= LONGEST_ID or not isinstance(over, int | float):
        raise _refused("proof-malformed")
    if audience != issuer:
        raise _refused("audience-differs")
    if claims.get("iss", client_id) != client_id:
        raise _refused("client-differs")
    if not seconds - POP_SECONDS - CLOCK_SKEW_SECONDS <= made <= seconds + CLOCK_SKEW_SECONDS:
        raise _refused("proof-not-of-now")
    if over + CLOCK_SKEW_SECONDS <= seconds:
        raise _refused("proof-not-of-now")
    digest = hashlib.sha256(f"attestation\0{key.thumbprint()}\0{proof_id}".encode()).digest()
    # `made` is bounded by now; one second more, since it may have a fraction.
    until = datetime.fromtimestamp(int(made) + POP_SECONDS + CLOCK_SKEW_SECONDS + 1, UTC)
    return Once(digest, until, _refused("proof-used"))


def _verified(
    token: str, choose: Callable[[Mapping[str, Any]], PublicKey | None], typ: str
) -> Mapping[str, Any]:
    try:
        payload = verify_chosen(token, choose, typ, frozenset(PROOF_ALGORITHMS)).payload
        said = orjson.loads(payload)
    except BadJws as error:
        raise _refused(error.code if typ == ATTESTATION_TYPE else f"proof-{error.code}") from error
    except orjson.JSONDecodeError as error:
        raise _refused("malformed") from error
    if not isinstance(said, dict):
        raise _refused("malformed")
    return said


def _chosen(attester: Attester, now: datetime) -> Callable[[Mapping[str, Any]], PublicKey | None]:
    """Return what chooses the attester's key for a header: a set of one key needs no name."""
    choose = chosen_by(attester.keys, attester.roots, now)
    only = next(iter(attester.keys.values())) if len(attester.keys) == 1 else None

    def chosen(header: Mapping[str, Any]) -> PublicKey | None:
        return only if only is not None and "kid" not in header else choose(header)

    return chosen


def _subject(attestation: str) -> str:
    try:
        claims = orjson.loads(decode_base64url(attestation.split(".")[1]))
    except (ValueError, IndexError) as error:
        raise _refused("malformed") from error
    said = claims.get("sub") if isinstance(claims, dict) else None
    return said if isinstance(said, str) else ""


def _refused(reason: str) -> AttestationRefused:
    return AttestationRefused(_("the attestation of the wallet does not hold: {reason}"), reason=reason)
