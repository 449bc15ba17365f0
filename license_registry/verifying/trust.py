"""What a verifier trusts: keys and what each is for, certificates, types and who issues them, status lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography import x509

from foundation.errors import DomainError
from foundation.language import _
from foundation.signing import PublicKey, decode_base64url
from foundation.signing.chain import ChainBroken, certified_key, load_roots
from license_registry.seals.revocation import RevocationList, read_revocation_lists

CREDENTIAL = "credential"
ANSWER = "answer"
BUNDLE = "trust"
"""Signs trust bundles, and nothing else."""
LOG = "ledger"
"""Signs the heads of the transparency log."""


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key that signatures are checked with.

    Args:
        purpose: what it may sign, such as `credential`; None: not known, then it is not checked.
        chain: certificates in PEM, leaf first; None: it has none (SM2 keys have none).
        revoked_at: since when nothing that it signed counts any more, whatever date stands in it.
        certified: whether its certificate leads to a trusted root, where that was found out before.
        broken: why it does not.
    """

    public: PublicKey
    purpose: str | None
    chain: str | None = None
    revoked_at: datetime | None = None
    certified: bool | None = None
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class TrustedType:
    """One version of a licence type, and the authorities that issue it; `issuers` None: any authority does."""

    vct: str
    type_code: str
    version: int
    name: str
    name_en: str
    issuers: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Trust:
    """All that is trusted.

    Args:
        keys: by `kid`.
        types: by `vct`; None: not known, then the issuer's right is judged by the key alone.
        status_lists: tokens by their address.
        roots: of the certificates; none: chains are not checked.
        revocation_lists: of certificates; None: whether one was revoked is not asked.
        time_stamp_roots: trusted to certify authorities of time stamps.
        made_at: date of the bundle that this is of; None: there is no bundle.
    """

    keys: Mapping[str, TrustedKey]
    types: Mapping[str, TrustedType] | None = None
    status_lists: Mapping[str, str] = field(default_factory=dict)
    roots: tuple[x509.Certificate, ...] = ()
    revocation_lists: tuple[RevocationList, ...] | None = None
    time_stamp_roots: tuple[x509.Certificate, ...] = ()
    made_at: datetime | None = None

    @property
    def public_keys(self) -> dict[str, PublicKey]:
        """All keys, revoked ones too: that a signature is theirs is known before it is refused for what they are."""
        return {kid: key.public for kid, key in self.keys.items()}

    def beginning(self, prefix: bytes) -> dict[str, PublicKey]:
        """Return the keys whose `kid`, in bytes, begins like this: short codes name their key by a few bytes."""
        found = {}
        for kid, key in self.keys.items():
            try:
                whole = decode_base64url(kid)
            except ValueError:
                continue  # a name that somebody gave, not a thumbprint
            if prefix and whole.startswith(prefix):
                found[kid] = key.public
        return found


@dataclass(frozen=True, slots=True)
class Signed:
    """What is known of a key that signed something.

    Args:
        certified: whether its certificate leads to a trusted root; None: not checked.
        entitled: whether it may sign such a thing, and is not revoked.
        refusal: why not, as a message id with its values.
    """

    certified: bool | None
    entitled: bool
    refusal: tuple[str, Mapping[str, object]] | None


def certify(key: TrustedKey, roots: Sequence[x509.Certificate], now: datetime) -> TrustedKey:
    """Return a key with what its certificate is worth, found out now unless it was before."""
    if key.certified is not None or key.chain is None or not roots:
        return key
    try:
        if certified_key(key.chain, roots, now) == key.public:
            return replace(key, certified=True)
    except ChainBroken as error:
        return replace(key, certified=False, broken=error.code)
    return replace(key, certified=False, broken="another-key")


def judge_key(trust: Trust, kid: str, purpose: str, now: datetime) -> Signed:
    """Judge the key of a signature that holds: its certificate, its purpose, whether it is revoked."""
    key = certify(trust.keys[kid], trust.roots, now)
    certified = key.certified
    refusal: tuple[str, Mapping[str, object]] | None = None
    if certified is False:
        refusal = (_("the certificate of the signer does not hold: {reason}"), {"reason": key.broken})
    if key.revoked_at is not None:
        revoked = (
            _("the key of the signer was revoked on {day}"),
            {"day": key.revoked_at.date().isoformat()},
        )
        return Signed(certified, False, revoked)
    if key.purpose is not None and key.purpose != purpose:
        wrong = (_("the key that signed may not sign this: it is for {purpose}"), {"purpose": key.purpose})
        return Signed(certified, False, wrong)
    return Signed(certified, True, refusal)


def with_further(trust: Trust, revocation_lists: Sequence[bytes], time_stamp_roots: bytes | None) -> Trust:
    """Return the trust with lists of revoked certificates, files of DER or PEM, and roots of time stamps, PEM.

    Whether a certificate was revoked is asked then, even where there is no list to tell.

    Raises:
        ChainBroken: `malformed`.
    """
    read = tuple(each for data in revocation_lists for each in read_revocation_lists(data))
    stamping = () if time_stamp_roots is None else load_roots(time_stamp_roots)
    return replace(
        trust,
        revocation_lists=(*(trust.revocation_lists or ()), *read),
        time_stamp_roots=(*trust.time_stamp_roots, *stamping),
    )


class TrustUnusable(DomainError):
    """The trust bundle or the root does not hold, so that nothing can be verified by it."""

    code = "trust-unusable"
