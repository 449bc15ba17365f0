"""E-licence identifiers: those seen in public systems hold, and a known wrong check variant is told from a forgery."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum.iso7064 import mod_37_36 as theirs

from foundation.identifiers import ElicenceIdentifier, IdentifierError
from foundation.identifiers.iso7064 import ALPHABET, mod_37_36, mod_37_36_legacy

PUBLIC = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.001.U"
PUBLIC_NEXT = "1.2.156.3005.2.11100000000013338W011.11430000006122244L.20230000403.002.S"
TYPE = "11100000000013338W011"
ISSUER = "11990100MB2A00001X"

types = st.text(ALPHABET, min_size=21, max_size=21)
issuers = st.one_of(
    st.text(ALPHABET, min_size=18, max_size=18), st.text("0123456789", min_size=6, max_size=6)
)
serials = st.text(ALPHABET, min_size=1, max_size=32)
versions = st.integers(1, 999)


@pytest.mark.parametrize("text", [PUBLIC, PUBLIC_NEXT])
def test_identifiers_of_public_systems_hold_and_come_out_as_they_went_in(text: str) -> None:
    parsed = ElicenceIdentifier.parse(text)
    assert not parsed.legacy
    assert str(parsed) == text
    assert (parsed.type_code, parsed.issuer, parsed.serial) == (TYPE, "11430000006122244L", "20230000403")


def test_a_change_keeps_the_serial_and_raises_the_version_as_public_systems_do() -> None:
    assert str(ElicenceIdentifier.parse(PUBLIC).next_version()) == PUBLIC_NEXT


def test_no_version_follows_the_last() -> None:
    with pytest.raises(IdentifierError, match="1 to 999"):
        ElicenceIdentifier.compute(TYPE, ISSUER, "1", 999).next_version()


@given(st.text(ALPHABET, min_size=1, max_size=80))
def test_the_check_character_is_that_of_an_independent_implementation(text: str) -> None:
    assert mod_37_36(text) == theirs.calc_check_digit(text)


@given(types, issuers, serials, versions)
def test_an_identifier_is_made_of_its_parts_and_gives_them_back(
    type_code: str, issuer: str, serial: str, version: int
) -> None:
    made = ElicenceIdentifier.compute(type_code, issuer, serial, version)
    assert (made.type_code, made.issuer, made.serial, made.version) == (type_code, issuer, serial, version)
    assert made.check == theirs.calc_check_digit(f"{type_code}{issuer}{serial}{version:03d}")
    assert not made.legacy
    assert ElicenceIdentifier.parse(str(made)) == made


@given(types, issuers, serials, versions)
def test_the_wrong_variant_of_the_wild_is_reported_as_legacy_and_not_as_forged(
    type_code: str, issuer: str, serial: str, version: int
) -> None:
    covered = f"{type_code}{issuer}{serial}{version:03d}"
    # The variant, spelled out again: letters count from 11, so that A stands where B ought to.
    check = 36
    for character in covered:
        value = int(character) if character.isdigit() else ord(character) - ord("A") + 11
        check = ((check + value) % 36 or 36) * 2 % 37
    wrong = ALPHABET[(37 - check) % 36]
    assert wrong == mod_37_36_legacy(covered)
    right = ElicenceIdentifier.compute(type_code, issuer, serial, version)
    assume(wrong != right.check)
    text = f"{str(right)[:-1]}{wrong}"
    parsed = ElicenceIdentifier.parse(text)
    assert parsed.legacy
    assert str(parsed) == text
    if version < 999:  # a change mends it
        assert not parsed.next_version().legacy


@given(types, issuers, serials, versions, st.sampled_from(ALPHABET))
def test_every_other_check_character_is_refused(
    type_code: str, issuer: str, serial: str, version: int, check: str
) -> None:
    made = ElicenceIdentifier.compute(type_code, issuer, serial, version)
    covered = f"{type_code}{issuer}{serial}{version:03d}"
    assume(check not in (made.check, mod_37_36_legacy(covered)))
    with pytest.raises(IdentifierError) as caught:
        ElicenceIdentifier.parse(str(made)[:-1] + check)
    assert (caught.value.kind, caught.value.code) == ("e-licence-identifier", "wrong-check-character")


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("", "unknown-root", "begin"),
        (PUBLIC.replace("1.2.156", "1.2.157"), "unknown-root", "begin"),
        ("1.2.156.3005.2" + PUBLIC[15:], "unknown-root", "begin"),
        (" " + PUBLIC, "unknown-root", "begin"),
        (PUBLIC.removesuffix(".U"), "ill-formed", "4 parts"),
        (PUBLIC + ".U", "ill-formed", "6 parts"),
        (PUBLIC.replace("011.", "01."), "ill-formed", "type"),
        (PUBLIC.replace("W011", "w011"), "ill-formed", "type"),
        (PUBLIC.replace("11430000006122244L", "11430000006122244"), "ill-formed", "issuer"),
        (PUBLIC.replace("11430000006122244L", "43000A"), "ill-formed", "issuer"),
        (PUBLIC.replace("20230000403", ""), "ill-formed", "serial"),
        (PUBLIC.replace("20230000403", "2" * 33), "ill-formed", "serial"),
        (PUBLIC.replace("20230000403", "２0230000403"), "ill-formed", "serial"),
        (PUBLIC.replace("20230000403", "2023-000403"), "ill-formed", "serial"),
        (PUBLIC.replace(".001.", ".1."), "ill-formed", "version"),
        (PUBLIC.replace(".001.", ".0001."), "ill-formed", "version"),
        (PUBLIC.replace(".001.", ".000."), "ill-formed", "version"),
        (PUBLIC[:-1], "ill-formed", "check"),
        (PUBLIC[:-1] + "u", "ill-formed", "check"),
        (PUBLIC + "\n", "ill-formed", "check"),
        (PUBLIC.replace("20230000403", "20230000404"), "wrong-check-character", "last"),
    ],
)
def test_what_is_no_identifier_is_refused_and_the_part_is_named(text: str, code: str, part: str) -> None:
    with pytest.raises(IdentifierError, match=part) as caught:
        ElicenceIdentifier.parse(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("type_code", "issuer", "serial", "version", "part"),
    [
        (TYPE[:20], ISSUER, "1", 1, "type"),
        (TYPE, ISSUER.lower(), "1", 1, "issuer"),
        (TYPE, ISSUER, "", 1, "serial"),
        (TYPE, ISSUER, "照1", 1, "serial"),
        (TYPE, ISSUER, "1.2", 1, "parts"),
        (TYPE, ISSUER, "1", 0, "version"),
        (TYPE, ISSUER, "1", 1000, "version"),
    ],
)
def test_no_identifier_is_made_of_parts_that_would_not_be_read(
    type_code: str, issuer: str, serial: str, version: int, part: str
) -> None:
    with pytest.raises(IdentifierError, match=part) as caught:
        ElicenceIdentifier.compute(type_code, issuer, serial, version)
    assert caught.value.code == "ill-formed"
