"""Trust bundles: all that an offline verifier needs, in one signed and dated file.

The file is JSON of two members: `bundle`, a compact JWS, and `chain`, the certificates of its signer. The verifier
holds the root certificate, which has come to it another way; nothing of the file counts before it leads there.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography import x509

from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJws,
    PublicKey,
    Signer,
    canonical_json,
    sign_compact,
    verify_compact,
)
from foundation.signing.chain import ChainBroken, certified_key, load_roots
from license_registry.seals.revocation import read_revocation_list
from license_registry.verifying.trust import Trust, TrustedKey, TrustedType, TrustUnusable

TYPE = "zhengtong-trust-bundle+jwt"
FORMAT = 1
LONGEST_BYTES = 256 << 20
CLOCK_SKEW_SECONDS = 60


def make_bundle(
    signer: Signer,
    chain: str,
    issuer: str,
    keys: Mapping[str, TrustedKey],
    types: Iterable[TrustedType],
    status_lists: Mapping[str, str],
    *,
    now: datetime,
    lives: int,
    revocation_lists: Iterable[bytes] = (),
    time_stamp_roots: str = "",
) -> bytes:
    """Return the bytes of a bundle file.

    Args:
        chain: certificates of the signer, in PEM, leaf first.
        lives: seconds for which verifiers may use it.
        revocation_lists: of certificates, DER. time_stamp_roots: PEM.
    """
    made = int(now.timestamp())
    claims = {
        "format": FORMAT,
        "iss": issuer,
        "iat": made,
        "exp": made + lives,
        "keys": [
            {
                "kid": kid,
                "jwk": key.public.to_jwk(),
                "purpose": key.purpose,
                "chain": key.chain,
                "revoked": None if key.revoked_at is None else int(key.revoked_at.timestamp()),
            }
            for kid, key in keys.items()
        ],
        "types": [
            {
                "vct": each.vct,
                "type_code": each.type_code,
                "version": each.version,
                "name": each.name,
                "name_en": each.name_en,
                "issuers": None if each.issuers is None else sorted(each.issuers),
            }
            for each in types
        ],
        # Each is signed by itself; the digest keeps anybody from putting in an older one.
        "status_lists": {uri: _digest(token) for uri, token in status_lists.items()},
        "revocation_lists": [b64encode(each).decode("ascii") for each in revocation_lists],
        "time_stamp_roots": time_stamp_roots,
    }
    token = sign_compact(signer, canonical_json(claims), TYPE)
    return orjson.dumps({"bundle": token, "chain": chain, "status_lists": dict(status_lists)})


def open_bundle(data: bytes, roots: tuple[x509.Certificate, ...], now: datetime) -> Trust:
    """Return what a bundle says is to be trusted.

    Raises:
        TrustUnusable: malformed, not signed under one of the roots, of an unknown format, or out of date.
    """
    try:
        outer = orjson.loads(data)
        token, chain, lists = str(outer["bundle"]), str(outer["chain"]), dict(outer["status_lists"])
    except (KeyError, TypeError, ValueError) as error:
        raise TrustUnusable(_("this is no trust bundle")) from error
    try:
        key = certified_key(chain, roots, now)
        claims = orjson.loads(verify_compact(token, _only(key), TYPE, frozenset(Algorithm)).payload)
    except ChainBroken as error:
        raise TrustUnusable(
            _("the trust bundle is not from whom you trust: {reason}"), reason=error.code
        ) from error
    except BadJws as error:
        raise TrustUnusable(
            _("the trust bundle is not from whom you trust: {reason}"), reason=error.code
        ) from error
    if claims.get("format") != FORMAT:
        raise TrustUnusable(_("the trust bundle is of a format that is not known here"))
    moment = now.timestamp()
    if moment < claims["iat"] - CLOCK_SKEW_SECONDS:
        raise TrustUnusable(_("the trust bundle is dated in the future: look at the clock"))
    if moment >= claims["exp"]:
        until = datetime.fromtimestamp(claims["exp"], UTC).isoformat()
        raise TrustUnusable(_("the trust bundle was good until {until}; fetch a new one"), until=until)
    if {uri: _digest(str(token)) for uri, token in lists.items()} != claims["status_lists"]:
        raise TrustUnusable(_("the status lists are not those of the trust bundle"))
    return _trust(claims, lists, roots)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _only(key: PublicKey) -> dict[str, PublicKey]:
    return {key.thumbprint(): key}


def _trust(claims: Mapping[str, Any], lists: Mapping[str, str], roots: tuple[x509.Certificate, ...]) -> Trust:
    try:
        keys = {
            str(told["kid"]): TrustedKey(
                PublicKey.from_jwk(told["jwk"]),
                told["purpose"],
                told["chain"],
                None if told["revoked"] is None else datetime.fromtimestamp(told["revoked"], UTC),
            )
            for told in claims["keys"]
        }
        types = {
            told["vct"]: TrustedType(
                told["vct"],
                told["type_code"],
                told["version"],
                told["name"],
                told["name_en"],
                None if told["issuers"] is None else frozenset(told["issuers"]),
            )
            for told in claims["types"]
        }
        # Bundles of before know neither.
        revoked = tuple(
            read_revocation_list(b64decode(told, validate=True))
            for told in claims.get("revocation_lists", ())
        )
        stamping = str(claims.get("time_stamp_roots", ""))
        time_stamp_roots = load_roots(stamping.encode("ascii")) if stamping else ()
    except (KeyError, TypeError, ValueError, ChainBroken) as error:
        raise TrustUnusable(_("this is no trust bundle")) from error
    return Trust(
        keys,
        types,
        lists,
        roots,
        revocation_lists=revoked,
        time_stamp_roots=time_stamp_roots,
        made_at=datetime.fromtimestamp(claims["iat"], UTC),
    )
