"""A value of unknown kind is recognised by its shape, and shown masked wherever it may be a citizen ID."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.identifiers import CitizenId, ElicenceIdentifier, Uscc, check, mask
from foundation.identifiers.iso7064 import mod_11_10, mod_37_36, mod_37_36_legacy

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
BAD_PERSON = PERSON[:17] + ("1" if PERSON[17] != "1" else "2")
COMPANY = Uscc.compute("91990101MA2A00001").text
LICENCE = str(ElicenceIdentifier.compute("11990100MB2A00001X001", "11990100MB2A00001X", "2025000001", 1))
OLD_NUMBER = "990000139900001"[:14] + mod_11_10("990000139900001"[:14])


def legacy() -> str:
    serial = next(
        serial
        for serial in map(str, range(99))
        if mod_37_36(c := f"11990100MB2A00001X00111990100MB2A00001X{serial}001") != mod_37_36_legacy(c)
    )
    made = ElicenceIdentifier.compute("11990100MB2A00001X001", "11990100MB2A00001X", serial, 1)
    return str(made)[:-1] + mod_37_36_legacy(f"{made.type_code}{made.issuer}{serial}001")


@pytest.mark.parametrize(
    ("value", "kind", "valid", "said", "masked"),
    [
        (PERSON, "citizen-id", True, "", True),
        (PERSON[:6] + PERSON[8:17], "citizen-id", True, "fifteen-digits", True),
        (BAD_PERSON, "citizen-id", False, "wrong-check-character", True),
        (CitizenId.compute("990119", date(1980, 1, 1), 1).reveal(), "citizen-id", True, "unknown-division", True),
        (CitizenId.compute("990111", date(1980, 1, 1), 1).reveal(), "citizen-id", True, "abolished-division", True),
        # Before the table begins no code can be told to be wrong.
        (CitizenId.compute("990105", date(1950, 1, 1), 1).reveal(), "citizen-id", True, "", True),
        (COMPANY, "uscc", True, "", False),
        (Uscc.compute("91990119MA2A00001").text, "uscc", True, "unknown-division", False),
        (COMPANY[:17] + ("1" if COMPANY[17] != "1" else "2"), "uscc", False, "wrong-check-character", True),
        # A letter typed for a digit makes it look like a company's, and still a person can be read off it.
        (PERSON[:9] + "O" + PERSON[10:], "uscc", False, "ill-formed", True),
        (OLD_NUMBER, "old-registration-number", True, "", False),
        (OLD_NUMBER[:14] + str((int(OLD_NUMBER[14]) + 1) % 10), "old-registration-number", True, "wrong-check-digit", False),
        ("9900001399000", "old-registration-number", True, "", False),
        # A date in the right place, a division that no list has.
        ("990119800229123", "old-registration-number", True, "wrong-check-digit", True),
        ("990101", "division", True, "", False),
        ("990111", "division", True, "abolished-division", False),
        ("990119", "division", False, "unknown-division", False),
        (LICENCE, "e-licence-identifier", True, "", False),
        (legacy(), "e-licence-identifier", True, "legacy-check-character", False),
        (LICENCE[:-2], "e-licence-identifier", False, "ill-formed", False),
        ("张三", "unknown", False, "unknown-kind", True),
        ("", "unknown", False, "unknown-kind", True),
        (f" {PERSON}", "unknown", False, "unknown-kind", True),
        ("".join(chr(ord(c) + 0xFEE0) for c in PERSON), "unknown", False, "unknown-kind", True),
    ],
)  # fmt: skip
def test_a_value_is_recognised_judged_and_shown(
    value: str, kind: str, valid: bool, said: str, masked: bool
) -> None:
    found = check(value)
    assert (found.kind, found.valid) == (kind, valid)
    assert " ".join(found.reasons + found.findings) == said
    assert found.masked == (mask(value) if masked else value)
    assert found.valid is not bool(found.reasons)


def test_the_year_asked_for_counts() -> None:
    assert check("990111", 2000).findings == ()
    assert check("990105", 1999).findings == ("not-yet-division",)


@given(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.integers(0, 999),
    st.integers(0, 17),
    st.sampled_from("0123456789XxOIl -"),
)
def test_a_mistyped_citizen_id_is_not_shown_either(
    birth: date, sequence: int, place: int, character: str
) -> None:
    text = CitizenId.compute("990101", birth, sequence).reveal()
    found = check(text[:place] + character + text[place + 1 :])
    # One in 31 of the typos is a valid company code; it is one then.
    assert (found.kind == "uscc" and found.valid) or found.masked[6:14] == "*" * 8
