"""The examples of RFC 9901, whose signatures are not ours, pass; and what is changed in them does not."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from foundation.signing import Algorithm, PublicKey, new_signer, sign_compact
from license_registry.credentials.dates import check_dates
from license_registry.credentials.json_form import to_compact
from license_registry.credentials.key_binding import ExpectedBinding
from license_registry.credentials.sd_jwt import CredentialInvalid, verify_sd_jwt

VECTORS = Path(__file__).parent / "golden" / "rfc9901"
ISSUER = PublicKey.from_jwk(orjson.loads((VECTORS / "issuer_key.json").read_bytes()))
PRESENTATION = "".join((VECTORS / "presentation.txt").read_text(encoding="ascii").split())
FLATTENED = orjson.loads((VECTORS / "flattened.json").read_bytes())
ASKED = ExpectedBinding("https://verifier.example.org", "1234567890", now=1_748_361_950)
TYPE = "example+sd-jwt"
IN_CLEAR = {"iss": "https://issuer.example.com", "iat": 1683000000, "exp": 1883000000}


def issuer(_header: object) -> PublicKey:
    """The examples name no `kid`: their key is known beforehand."""
    return ISSUER


def test_the_presentation_of_section_5_2() -> None:
    found = verify_sd_jwt(PRESENTATION, issuer, typ=TYPE, binding=ASKED)
    assert found.bound
    claims = dict(found.claims)
    assert claims.pop("cnf")["jwk"]["x"] == "TCAER19Zvu3OHF4j4W4vfSVoHIP1ILilDls7vCeGemc"
    assert claims == IN_CLEAR | {"sub": "user_42", "nationalities": ["US"]}
    assert found.disclosed == {
        "family_name": "Doe",
        "given_name": "John",
        "address": {
            "street_address": "123 Main St",
            "locality": "Anytown",
            "region": "Anystate",
            "country": "US",
        },
    }
    assert found.hidden == 6
    check_dates(found.claims, ASKED.now)
    with pytest.raises(CredentialInvalid, match="expired"):
        check_dates(found.claims, 1_883_000_060)


def test_the_issuance_of_section_5_1() -> None:
    further = (VECTORS / "further_disclosures.txt").read_text(encoding="ascii").split()
    issued = "~".join([PRESENTATION.rpartition("~")[0], *further, ""])
    found = verify_sd_jwt(issued, issuer, typ=TYPE)
    assert (found.hidden, found.claims["nationalities"]) == (0, ["US", "DE"])
    assert {name: found.disclosed[name] for name in ("email", "phone_number_verified", "updated_at")} == {
        "email": "johndoe@example.com",
        "phone_number_verified": True,
        "updated_at": 1570000000,
    }


def test_the_recursive_disclosures_of_section_6_3() -> None:
    signer = new_signer(Algorithm.ES256, "k")
    payload = {"_sd": ["HvrKX6fPV0v9K_yCVFBiLFHsMaxcD_114Em6VT8x1lg"], "_sd_alg": "sha-256", **IN_CLEAR}
    disclosures = (VECTORS / "recursive_disclosures.txt").read_text(encoding="ascii").split()
    token = sign_compact(signer, orjson.dumps(payload), TYPE)
    whole = verify_sd_jwt("~".join([token, *disclosures, ""]), {"k": signer.public}, typ=TYPE)
    assert whole.disclosed == {
        "address": {
            "street_address": "Schulstr. 12",
            "locality": "Schulpforta",
            "region": "Sachsen-Anhalt",
            "country": "DE",
        }
    }
    some = verify_sd_jwt("~".join([token, *disclosures[3:], ""]), {"k": signer.public}, typ=TYPE)
    assert (some.disclosed, some.hidden) == ({"address": {"country": "DE"}}, 3)
    with pytest.raises(CredentialInvalid, match="belongs to nothing"):
        verify_sd_jwt("~".join([token, *disclosures[:-1], ""]), {"k": signer.public}, typ=TYPE)


def test_the_json_form_of_section_8_2() -> None:
    found = verify_sd_jwt(to_compact(FLATTENED), issuer, typ=TYPE, binding=ASKED)
    assert found.disclosed == {"family_name": "Doe", "given_name": "John"}
    one = {name: FLATTENED[name] for name in ("protected", "signature", "header")}
    general = {"payload": FLATTENED["payload"], "signatures": [one]}
    assert verify_sd_jwt(to_compact(general), issuer, typ=TYPE, binding=ASKED) == found


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (ExpectedBinding("https://other.example.org", ASKED.nonce, ASKED.now), "audience-differs"),
        (ExpectedBinding(ASKED.audience, "1234567891", ASKED.now), "nonce-differs"),
        (ExpectedBinding(ASKED.audience, ASKED.nonce, ASKED.now + 400), "too-old"),
        (ExpectedBinding(ASKED.audience, ASKED.nonce, ASKED.now - 100), "not-yet-made"),
    ],
)
def test_a_presentation_for_another_question_is_refused(changed: ExpectedBinding, words: str) -> None:
    with pytest.raises(CredentialInvalid, match=words):
        verify_sd_jwt(PRESENTATION, issuer, typ=TYPE, binding=changed)


def test_a_disclosure_left_out_after_binding_is_noticed() -> None:
    parts = PRESENTATION.split("~")
    with pytest.raises(CredentialInvalid, match="presentation-differs"):
        verify_sd_jwt("~".join(parts[:1] + parts[2:]), issuer, typ=TYPE, binding=ASKED)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"payload": "x"},
        FLATTENED | {"header": {}},
        FLATTENED | {"header": {"disclosures": [1]}},
        FLATTENED | {"header": {"disclosures": ["a~b"]}},
        FLATTENED | {"protected": "x"},
        {"payload": FLATTENED["payload"], "signatures": []},
        {"payload": FLATTENED["payload"], "signatures": 1},
    ],
)
def test_what_is_not_in_json_form_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(CredentialInvalid):
        to_compact(broken)
