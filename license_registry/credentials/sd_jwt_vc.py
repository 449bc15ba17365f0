"""SD-JWT VC, whole: signature, disclosures, key binding, type and dates in one verdict or one refusal."""

from __future__ import annotations

from collections.abc import Mapping

from foundation.language import _
from foundation.signing import PublicKey
from license_registry.credentials.dates import check_dates
from license_registry.credentials.errors import CredentialInvalid
from license_registry.credentials.key_binding import CLOCK_SKEW_SECONDS, ExpectedBinding, holder_key
from license_registry.credentials.sd_jwt import Credential, KeyChoice, verify


def verify_vc(
    credential: str,
    keys: Mapping[str, PublicKey] | KeyChoice,
    *,
    now: float | None,
    vct: str | None = None,
    binding: ExpectedBinding | None = None,
    skew: int = CLOCK_SKEW_SECONDS,
) -> Credential:
    """Verify an SD-JWT VC with every rule but its status, which `status_list.read_status` tells.

    Args:
        now: seconds since 1970; None leaves the dates to the caller.
        vct: the type it must be of; None takes any.
        binding: what the holder must have signed for; None: no key binding is wanted.

    Raises:
        CredentialInvalid: it does not hold; the message says which rule.
    """
    verified = verify(credential, keys, binding=binding)
    said = verified.claims.get("vct")
    if not isinstance(said, str) or not said:
        raise CredentialInvalid(_("it states no type"))
    if vct is not None and said != vct:
        raise CredentialInvalid(_("it is of another type"))
    if now is not None:
        check_dates(verified.claims, now, skew)
        if "iat" in verified.disclosed:
            check_dates(verified.disclosed, now, skew)
    if "cnf" in verified.claims:
        holder_key(verified.claims)
    return verified


def status_reference(credential: Credential) -> tuple[str, int] | None:
    """Return address and index in its status list (Token Status List §6.2), None if it names none.

    Raises:
        CredentialInvalid: the reference is malformed.
    """
    match credential.claims.get("status"):
        case None:
            return None
        case {"status_list": {"uri": str(uri), "idx": int(index)}} if index >= 0:
            return uri, index
        case {"status_list": _malformed} | _malformed:
            raise CredentialInvalid(_("the reference to its status is malformed"))
