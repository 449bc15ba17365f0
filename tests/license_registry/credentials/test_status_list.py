"""Status lists: examples of the standard, round trip, and tokens that do not hold."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.signing import (
    Algorithm,
    canonical_json,
    decode_base64url,
    encode_base64url,
    new_signer,
    sign_compact,
)
from license_registry.credentials.sd_jwt import issue
from license_registry.credentials.sd_jwt_vc import status_reference, verify_vc
from license_registry.credentials.status_list import (
    LIST_ENTRIES,
    TYPE,
    Status,
    StatusListInvalid,
    encode,
    read_status,
    sign_list,
    status_of_state,
)
from license_registry.lifecycle.states import State

# Token Status List §4.2 (two bits each) and §4.1 (one bit).
TWO_BITS, TWO_BITS_LIST = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3], "eNo76fITAAPfAgc"
ONE_BIT_LIST = "eNrbuRgAAhcBXQ"
URI = "https://registry.example/v1/status-lists/0"
SIGNER = new_signer(Algorithm.ES256, "k")
KEYS = {"k": SIGNER.public}
NOW = 1_700_000_000


def token(**changes: Any) -> str:
    claims = {
        "sub": URI,
        "iat": NOW,
        "exp": NOW + 60,
        "status_list": {"bits": 2, "lst": TWO_BITS_LIST},
    } | changes
    claims = {name: value for name, value in claims.items() if value is not ...}
    return sign_compact(SIGNER, canonical_json(claims), TYPE)


def test_the_standard_s_example_is_read() -> None:
    for index, value in enumerate(TWO_BITS):
        if value == 3:  # meaning of one's own (§7.1), which ours gives none
            with pytest.raises(StatusListInvalid, match="malformed"):
                read_status(token(), KEYS, URI, index, NOW)
        else:
            assert read_status(token(), KEYS, URI, index, NOW) == value


def test_the_standard_s_example_is_written() -> None:
    written = zlib.decompress(decode_base64url(encode(enumerate(TWO_BITS))))  # type: ignore[arg-type]
    assert written[:3] == zlib.decompress(decode_base64url(TWO_BITS_LIST)) == bytes.fromhex("c944f9")
    assert written[3:] == bytes(LIST_ENTRIES // 4 - 3)


def test_the_standard_s_example_of_one_bit_is_not_one_of_ours() -> None:
    one_bit = {"bits": 1, "lst": ONE_BIT_LIST}
    assert zlib.decompress(decode_base64url(ONE_BIT_LIST)) == bytes.fromhex("b9a3")
    with pytest.raises(StatusListInvalid, match="another one"):
        read_status(token(status_list=one_bit), KEYS, URI, 0, NOW)


@given(st.dictionaries(st.integers(0, LIST_ENTRIES - 1), st.sampled_from(Status), max_size=30))
def test_what_is_written_is_read_and_all_others_are_valid(given_statuses: dict[int, Status]) -> None:
    made = sign_list(SIGNER, URI, given_statuses.items(), now=NOW, ttl=300, lives=3600)
    neighbours = {near for index in given_statuses for near in (index - 1, index + 1)}
    for index in {0, LIST_ENTRIES - 1, *given_statuses, *neighbours} & set(range(LIST_ENTRIES)):
        assert read_status(made, KEYS, URI, index, NOW) is given_statuses.get(index, Status.VALID)


def test_every_state_has_what_verifiers_are_told() -> None:
    told = {state.value: status_of_state(state.value) for state in State}
    assert told == {
        "01": Status.VALID,
        "02": Status.SUSPENDED,
        **dict.fromkeys(["03", "04", "05", "06", "07", "99"], Status.INVALID),
    }


@pytest.mark.parametrize("index", [-1, 12, LIST_ENTRIES])
def test_a_place_beyond_the_list_is_refused(index: int) -> None:
    with pytest.raises(StatusListInvalid, match="too short"):
        read_status(token(), KEYS, URI, index, NOW)


BOMB = encode_base64url(zlib.compress(bytes(1 << 26), 9))
NOT_HELD: dict[str, tuple[str, str]] = {
    "expired this second": (token(exp=NOW), "expired"),
    "no exp": (token(exp=...), "expired"),
    "exp that is text": (token(exp=str(NOW + 60)), "expired"),
    "another list": (token(sub=URI + "0"), "another one"),
    "no sub": (token(sub=...), "another one"),
    "no list": (token(status_list=...), "malformed"),
    "list that is text": (token(status_list="x"), "malformed"),
    "not compressed": (token(status_list={"bits": 2, "lst": encode_base64url(bytes(3))}), "malformed"),
    "not base64url": (token(status_list={"bits": 2, "lst": "++"}), "malformed"),
    "four bits": (token(status_list={"bits": 4, "lst": TWO_BITS_LIST}), "another one"),
    "not an object": (sign_compact(SIGNER, b"[]", TYPE), "malformed"),
    "not JSON": (sign_compact(SIGNER, b"{", TYPE), "malformed"),
    "a credential": (sign_compact(SIGNER, b"{}", "dc+sd-jwt"), "type-mismatch"),
    "another signer": (
        sign_list(new_signer(Algorithm.ES256, "k"), URI, [], now=NOW, ttl=1, lives=9),
        "signature-wrong",
    ),
    "not a token": ("x", "malformed"),
}


@pytest.mark.parametrize("name", NOT_HELD)
def test_what_does_not_hold_is_refused_in_words(name: str) -> None:
    made, words = NOT_HELD[name]
    with pytest.raises(StatusListInvalid, match=words):
        read_status(made, KEYS, URI, 0, NOW)


def test_a_list_that_would_fill_the_memory_is_cut_off() -> None:
    made = token(status_list={"bits": 2, "lst": BOMB})
    assert read_status(made, KEYS, URI, (1 << 22) * 4 - 1, NOW) is Status.VALID
    with pytest.raises(StatusListInvalid, match="too short"):
        read_status(made, KEYS, URI, (1 << 22) * 4, NOW)


def test_a_list_of_this_morning_catches_yesterday_s_revocation() -> None:
    hour = 3600
    issued_at = NOW  # noon of the day before
    credential = issue(
        SIGNER, {"vct": "x", "iat": issued_at, "status": {"status_list": {"uri": URI, "idx": 7}}}, {}
    )
    yesterday = sign_list(SIGNER, URI, [], now=issued_at, ttl=300, lives=24 * hour)
    this_morning = sign_list(
        SIGNER, URI, [(7, Status.INVALID)], now=issued_at + 20 * hour, ttl=300, lives=24 * hour
    )
    noon = issued_at + 24 * hour
    # No network from here on: the credential, the keys, and a list that was fetched before.
    found = verify_vc(credential, KEYS, now=noon)
    uri, index = status_reference(found) or ("", -1)
    assert read_status(this_morning, KEYS, uri, index, noon) is Status.INVALID
    # One that is a day old is none any more: it would still say that all is well.
    assert read_status(yesterday, KEYS, uri, index, noon - 1) is Status.VALID
    with pytest.raises(StatusListInvalid, match="expired"):
        read_status(yesterday, KEYS, uri, index, noon)
