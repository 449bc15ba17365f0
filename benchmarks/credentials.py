"""Issuing and verifying credentials with 10 disclosures beside PyPI `sd-jwt`, on the same claims and one core.

    python -m benchmarks.credentials [--seconds 2]

Both sign and check ES256 and take turns in short rounds, so that a slow moment of the machine strikes both; the ratio
is the median of those of the rounds. A credential is taken through every check of ours (`verify_vc`: signature,
disclosures, type, dates); the peer checks less (it ignores `exp` and disclosures that nothing refers to). What is
issued by one must be read by the other. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from foundation.signing import PublicKey, decode_base64url, load_signer
from license_registry.credentials import sd_jwt
from license_registry.credentials.sd_jwt_vc import verify_vc

ISSUE_TARGET, VERIFY_TARGET = 3.0, 2.0
ROUNDS = 41
NOW = int(time.time())
CLAIMS: dict[str, Any] = {
    "iss": "https://registry.example/registry",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 10**8,
    "vct": "urn:example:business-licence",
    "status": {"status_list": {"idx": 4711, "uri": "https://registry.example/registry/v1/status-lists/0"}},
    "licence_identifier": "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U",
    "licence_number": "91990101MA0000001X",
    "issuer_code": "11990100MB2A00001X",
    "valid_from": "2020-01-01",
}
FIELDS = {f"field_{n}": f"示范市东湖茶业有限公司第{n}分公司" for n in range(10)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each side of each comparison")
    seconds = parser.parse_args().seconds
    key = JWK.generate(kty="EC", crv="P-256", kid="k")
    public = PublicKey.from_jwk(key.export_public(as_dict=True))
    signer = load_signer(decode_base64url(key.export(as_dict=True)["d"]), public, "k")
    headers = {"typ": sd_jwt.TYPE, "kid": "k"}
    keys = {"k": public}

    def ours_issues() -> str:
        return sd_jwt.issue(signer, CLAIMS, FIELDS)

    def theirs_issues() -> str:
        claims = {**CLAIMS, **{SDObj(name): value for name, value in FIELDS.items()}}
        issued: str = SDJWTIssuer(claims, key, extra_header_parameters=headers).sd_jwt_issuance
        return issued

    credential, foreign = ours_issues(), theirs_issues()

    def ours_verifies(text: str = credential) -> dict[str, Any]:
        found = verify_vc(text, keys, now=NOW, vct=CLAIMS["vct"])
        return {**found.claims, **found.disclosed}

    def theirs_verifies(text: str = credential) -> dict[str, Any]:
        payload: dict[str, Any] = SDJWTVerifier(text, lambda _issuer, _header: key).get_verified_payload()
        return payload

    whole = CLAIMS | FIELDS
    for reader in (ours_verifies, theirs_verifies):
        for text in (credential, foreign):
            if reader(text) != whole:
                raise RuntimeError("what was issued is not what is read")
    met = compare("issuing", ours_issues, theirs_issues, seconds, ISSUE_TARGET)
    return 0 if compare("verifying", ours_verifies, theirs_verifies, seconds, VERIFY_TARGET) and met else 1


def compare(
    name: str, ours: Callable[[], object], theirs: Callable[[], object], seconds: float, target: float
) -> bool:
    """Print both rates and whether the ratio meets the target."""
    rates: tuple[list[float], list[float]] = ([], [])
    for _round in range(ROUNDS):
        for work, found in zip((ours, theirs), rates, strict=True):
            found.append(_rate(work, seconds / ROUNDS))
    mine, others = (statistics.median(found) for found in rates)
    ratio = statistics.median(mine / other for mine, other in zip(*rates, strict=True))
    print(
        f"{name:<10} ours {mine:8,.0f}/s   sd-jwt {others:8,.0f}/s   ratio {ratio:5.2f} (target at least {target})"
    )
    return ratio >= target


def _rate(work: Callable[[], object], seconds: float) -> float:
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        work()
        count += 1
    return count / spent


if __name__ == "__main__":
    sys.exit(main())
