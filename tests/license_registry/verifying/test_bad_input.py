"""Each way in which a licence can be bad: refused, with its reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from foundation.signing import (
    Algorithm,
    canonical_json,
    decode_base64url,
    encode_base64url,
    new_signer,
    sign_compact,
)
from license_registry.credentials.status_list import Status
from license_registry.presenting.check import Result
from license_registry.verifying.credential import verify_credential
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import Verdict
from tests.license_registry.verifying.conftest import NOW, OTHER_ISSUER, TYPE_CODE, Registry


def verdict(text: str, trust: Trust, now: datetime = NOW) -> Verdict:
    return verify_credential(text, trust, now, require_status=True)


def test_a_good_one_passes_every_check_that_a_file_can(made: Registry) -> None:
    found = verdict(made.credential(), made.trust())
    assert found.valid
    assert {name for name, passed in found.checks.items() if passed} == {
        "signature",
        "certificate",
        "issuer",
        "type",
        "identifier",
        "status",
        "begun",
        "not_over",
        "clock",
    }
    assert {name for name, passed in found.checks.items() if passed is None} == {"holder_binding", "purpose"}
    assert found.fields["address"] == "东湖路1号"
    assert found.reasons == {}


def wrong_check_character(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


CHANGED: dict[str, tuple[dict[str, Any], str, str]] = {
    "other issuer than the type names": ({"issuer_code": OTHER_ISSUER}, "issuer", "names another issuer"),
    "unknown version of the type": (
        {"vct": "urn:zhengtong:licence:business-licence:9"},
        "type",
        "is not known here",
    ),
    "no identifier": ({"licence_identifier": "1.2.3"}, "identifier", "unknown-root"),
    "ended": ({"valid_until": "2026-06-29"}, "not_over", "valid until 2026-06-29"),
    "not begun": ({"valid_from": "2026-07-01"}, "begun", "valid from 2026-07-01"),
    "signed in the future": (
        {"iat": int((NOW + timedelta(minutes=2)).timestamp())},
        "clock",
        "signed in the future",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_well_signed_but_wrong_is_refused_with_its_reason(made: Registry, name: str) -> None:
    changes, check, words = CHANGED[name]
    found = verdict(made.credential(**changes), made.trust())
    assert not found.valid
    assert [each for each, passed in found.checks.items() if passed is False] == [check]
    message, values = found.reasons[check]
    assert words in message.format_map(values)


def test_a_wrong_check_character_is_refused(made: Registry) -> None:
    identifier = wrong_check_character(made.claims()["licence_identifier"])
    found = verdict(made.credential(licence_identifier=identifier), made.trust())
    assert (found.result, found.checks["identifier"]) == (Result.VOID, False)
    assert found.reasons["identifier"][1] == {"reason": "wrong-check-character"}


def test_a_clock_that_differs_by_less_than_a_minute_is_no_reason(made: Registry) -> None:
    signed = int((NOW + timedelta(seconds=50)).timestamp())
    assert verdict(made.credential(iat=signed), made.trust()).valid


def test_an_authority_that_the_type_does_not_name_is_refused(made: Registry) -> None:
    from foundation.identifiers import ElicenceIdentifier

    identifier = str(ElicenceIdentifier.compute(TYPE_CODE, OTHER_ISSUER, "20260000403", 1))
    text = made.credential(issuer_code=OTHER_ISSUER, licence_identifier=identifier)
    found = verdict(text, made.trust())
    assert (found.result, found.checks["issuer"], dict(found.fields)) == (Result.VOID, False, {})
    assert "may not issue" in found.reasons["issuer"][0]


def test_a_key_for_something_else_may_not_sign_licences(made: Registry) -> None:
    found = verdict(made.credential(made.keys.signer("answer")), made.trust())
    assert (found.result, found.checks["issuer"], dict(found.fields)) == (Result.VOID, False, {})
    assert found.reasons["issuer"][1] == {"purpose": "answer"}


def test_a_revoked_signer_counts_for_nothing_however_old_its_signature(made: Registry) -> None:
    text = made.credential(iat=int((NOW - timedelta(days=20)).timestamp()))
    kid = made.signer.kid
    made.keys.rotate("credential", NOW)
    assert verdict(text, made.trust()).valid
    made.keys.revoke(kid, NOW)
    found = verdict(text, made.trust())
    assert (found.result, found.checks["issuer"], dict(found.fields)) == (Result.VOID, False, {})
    assert "revoked" in found.reasons["issuer"][0]
    assert kid not in made.keys.verification_keys("credential")


def test_an_expired_certificate_is_refused(made: Registry) -> None:
    later = NOW + timedelta(days=3 * 365)
    trust = made.trust()
    found = verdict(made.credential(valid_until="2036-12-31"), trust, later)
    assert (found.result, found.checks["certificate"]) == (Result.VOID, False)
    assert found.reasons["certificate"][1] == {"reason": "expired"}


def test_a_certificate_of_another_root_is_refused(made: Registry, tmp_path: Any) -> None:
    from foundation.signing import CertificateAuthority, KeyStore
    from foundation.signing.chain import load_roots
    from license_registry.presenting.own_trust import root_pem

    keys = KeyStore(tmp_path / "other", bytes(32))
    roots = load_roots(root_pem(keys, CertificateAuthority(keys), NOW).encode())
    found = verdict(made.credential(), made.trust(roots=roots))
    assert found.checks["certificate"] is False
    assert found.reasons["certificate"][1] == {"reason": "signature-wrong"}


def another_key(made: Registry) -> str:
    return made.credential(new_signer(Algorithm.ES256, made.signer.kid))


def unknown_key(made: Registry) -> str:
    return made.credential(new_signer(Algorithm.ES256, "nobody"))


def with_header(made: Registry, **changes: Any) -> str:
    token, rest = made.credential().split("~", 1)
    header, payload, signature = token.split(".")
    told = orjson.loads(decode_base64url(header)) | changes
    return f"{encode_base64url(canonical_json(told))}.{payload}.{signature}~{rest}"


def none_algorithm(made: Registry) -> str:
    return with_header(made, alg="none")


def none_without_signature(made: Registry) -> str:
    token, rest = with_header(made, alg="none").split("~", 1)
    return f"{token.rpartition('.')[0]}.~{rest}"


def hmac_with_the_public_key(made: Registry) -> str:
    import hashlib
    import hmac

    token, rest = with_header(made, alg="HS256").split("~", 1)
    signed = token.rpartition(".")[0]
    secret = canonical_json(made.signer.public.to_jwk())
    return f"{signed}.{encode_base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}~{rest}"


def unknown_crit(made: Registry) -> str:
    claims = canonical_json(made.claims())
    header = encode_base64url(
        canonical_json({"alg": "ES256", "kid": made.signer.kid, "typ": "dc+sd-jwt", "crit": ["x"], "x": 1})
    )
    signed = f"{header}.{encode_base64url(claims)}"
    return f"{signed}.{encode_base64url(made.signer.sign(signed.encode()))}~"


def another_type_of_token(made: Registry) -> str:
    return sign_compact(made.signer, canonical_json(made.claims()), "statuslist+jwt") + "~"


def swapped_disclosure(made: Registry) -> str:
    token, first, *rest = made.credential().split("~")
    salt, name, _value = orjson.loads(decode_base64url(first))
    return "~".join([token, encode_base64url(orjson.dumps([salt, name, "别人"])), *rest])


def disclosure_of_another_licence(made: Registry) -> str:
    token, *_own = made.credential().split("~")
    _other, *disclosures = made.credential().split("~")
    return "~".join([token, *disclosures])


def disclosure_twice(made: Registry) -> str:
    token, first, *rest = made.credential().split("~")
    return "~".join([token, first, first, *rest])


FORGED: list[tuple[Callable[[Registry], str], str]] = [
    (another_key, "signature-wrong"),
    (unknown_key, "key-unknown"),
    (none_algorithm, "algorithm-refused"),
    (none_without_signature, "algorithm-refused"),
    (hmac_with_the_public_key, "algorithm-refused"),
    (unknown_crit, "critical-unknown"),
    (another_type_of_token, "type-mismatch"),
    (swapped_disclosure, "a disclosure"),
    (disclosure_of_another_licence, "a disclosure"),
    (disclosure_twice, "a disclosure"),
]


@pytest.mark.parametrize(("forge", "words"), FORGED, ids=[forge.__name__ for forge, _ in FORGED])
def test_what_is_forged_shows_nothing(made: Registry, forge: Callable[[Registry], str], words: str) -> None:
    found = verdict(forge(made), made.trust())
    assert (found.result, dict(found.checks), dict(found.fields)) == (Result.VOID, {"signature": False}, {})
    assert found.problem is not None
    assert words in found.problem[0].format_map(found.problem[1])


@pytest.mark.parametrize(
    ("status", "result"),
    [(Status.VALID, Result.VALID), (Status.SUSPENDED, Result.SUSPENDED), (Status.INVALID, Result.VOID)],
)
def test_the_list_of_the_bundle_tells_the_state(made: Registry, status: Status, result: Result) -> None:
    made.statuses[5] = status
    found = verdict(made.credential(), made.trust())
    assert (found.result, found.checks["status"]) == (result, status is Status.VALID)


def test_without_a_list_or_with_an_old_one_the_data_do_not_suffice(made: Registry) -> None:
    for lists, words in (({}, "no status list"), (None, "expired")):
        trust = made.trust() if lists is None else made.trust(status_lists=lists)
        now = NOW + timedelta(hours=25) if lists is None else NOW
        found = verdict(made.credential(), trust, now)
        assert (found.result, found.checks["status"]) == (Result.INSUFFICIENT_DATA, None)
        assert words in found.reasons["status"][0]


@pytest.mark.parametrize(
    "lacking", [{"status": ...}, {"status": "x"}, {"valid_from": ...}, {"valid_until": 5}]
)
def test_what_is_well_signed_but_no_licence_is_insufficient(made: Registry, lacking: dict[str, Any]) -> None:
    found = verdict(made.credential(**lacking), made.trust())
    assert (found.result, dict(found.fields)) == (Result.INSUFFICIENT_DATA, {})
