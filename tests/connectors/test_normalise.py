"""Normalising: each way of writing becomes the one way, is told, and what means nothing is not guessed at."""

from __future__ import annotations

import string
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.normalise import (
    Notes,
    addresses,
    amounts,
    codes,
    dates,
    dates_later,
    ids_born_later,
    names,
    tidied,
)
from foundation.identifiers import CitizenId


def day(text: str, *, excel_serial: bool = False) -> tuple[str | None, str | None]:
    """Read one date between two good ones: the day and what was noted, finding or fault."""
    notes = Notes()
    before, found, after = dates(["2001-02-03", text, None], "day", notes, excel_serial=excel_serial)
    assert (before, after) == ("2001-02-03", None)
    noted = [(place, field, code) for place, (field, code) in notes.faults.items()] + notes.findings
    assert all((place, field) == (1, "day") for place, field, _ in noted)
    assert (found is None) == (1 in notes.faults)
    assert len(noted) <= 1
    return found, noted[0][2] if noted else None


@pytest.mark.parametrize(
    "text",
    [
        "2003-1-5", "2003-01-5", "2003/01/05", "2003/1/5", "2003.1.5", "2003.01.05", "20030105",
        "2003年1月5日", "2003年01月05日", "2003年1月5号", "2003年 1月 5日", "二〇〇三年一月五日", "二○○三年一月五日",
        "二零零三年一月五日", "二〇〇三年1月五日", "2003年一月5日", "２００３－０１－０５", "２００３年１月５日", "２００３．１．５",
        "2003-01-05 00:00:00", "2003-01-05T00:00:00", "2003-01-05 0:00", "2003-01-05 00:00:00.000000",
        "2003-01-05T00:00:00+08:00", "2003年1月5日 00:00", "20030105 00:00:00",
    ],
)  # fmt: skip
def test_a_day_is_read_in_the_ways_it_comes(text: str) -> None:
    assert day(text) == ("2003-01-05", "date-normalised")


@pytest.mark.parametrize(
    "text",
    [
        "2003-01-05 23:59:59",
        "2003-1-5 8:30",
        "2003-01-05T12:00:00.5+0800",
        "2003年1月5日12:30",
        "20030105 01:00",
    ],
)
def test_a_time_of_the_day_is_dropped_and_told(text: str) -> None:
    assert day(text) == ("2003-01-05", "time-dropped")


@pytest.mark.parametrize(
    ("month", "day_of_month", "iso"),
    [("十", "十", "10-10"), ("十一", "十九", "11-19"), ("十二", "二十", "12-20"), ("九", "二十一", "09-21"),
     ("八", "三十", "08-30"), ("十二", "三十一", "12-31")],
)  # fmt: skip
def test_chinese_numerals_count_as_they_should(month: str, day_of_month: str, iso: str) -> None:
    assert day(f"一九九九年{month}月{day_of_month}日") == (f"1999-{iso}", "date-normalised")


@pytest.mark.parametrize(
    "text",
    [
        "2003-02-29", "2003/2/30", "20030230", "2003年2月29日", "二〇〇三年二月二十九日", "2003-13-01", "2003-00-10",
        "2003-01-00", "0000-01-01", "2003-01/05", "2003-1", "2003年1月", "2003", "5/1/2003", "2003-W05-2",
        "二〇〇三年十三月一日", "二〇〇三年一二月一日", "二〇〇三年一月十十日", "二〇〇三年一月三十二日", "二千零三年一月五日",
        "2003-01-05 24:00:00", "2003-01-05 12", "2003-01-05 12:60", "2003-01-0512:30", "2003-001-05",
        "2003-01-05T16:00:00Z", "2003-01-05T16:00:00+00:00", "37626", "never", "２００３", "2003-01-05 ",
        "²003-01-05", "٢٠٠٣-٠١-٠٥", "-2003-01-05", "2003-01-05-01",
    ],
)  # fmt: skip
def test_what_is_no_day_is_not_guessed_at(text: str) -> None:
    assert day(text) == (None, "impossible-date")


@pytest.mark.parametrize(
    "text", ["03-01-05", "03/1/5", "03.1.5", "03年1月5日", "〇三年一月五日", "０３－０１－０５"]
)
def test_a_year_of_two_digits_is_refused(text: str) -> None:
    assert day(text) == (None, "two-digit-year")


# As LibreOffice and Excel show these numbers in the 1900 system.
@pytest.mark.parametrize(
    ("text", "iso"),
    [("1", "1900-01-01"), ("59", "1900-02-28"), ("61", "1900-03-01"), ("36526", "2000-01-01"),
     ("37626", "2003-01-05"), ("37626.0", "2003-01-05"), ("37626.75", "2003-01-05"), ("2958465", "9999-12-31")],
)  # fmt: skip
def test_the_day_numbers_of_a_workbook(text: str, iso: str) -> None:
    assert day(text, excel_serial=True) == (iso, "converted-from-excel-serial")


@pytest.mark.parametrize("text", ["0", "60", "2958466", "9999999", "-1", "1e3", "37626.", ".5"])
def test_a_number_that_names_no_day_of_a_workbook(text: str) -> None:
    assert day(text, excel_serial=True) == (None, "impossible-date")


def test_a_column_of_a_workbook_may_hold_dates_too() -> None:
    assert day("2003-01-05", excel_serial=True) == ("2003-01-05", None)
    assert day("20030105", excel_serial=True) == ("2003-01-05", "date-normalised")


CHINESE_DIGITS = "〇一二三四五六七八九"


def in_chinese(number: int) -> str:
    """Write 1 to 99 in words, by the rule of the language and not by that of the reader."""
    tens, units = divmod(number, 10)
    return {0: "", 1: "十"}.get(tens, CHINESE_DIGITS[tens] + "十") + (CHINESE_DIGITS[units] if units else "")


@given(st.dates(min_value=date(1000, 1, 1)))
def test_every_day_is_read_from_every_way_of_writing_it(when: date) -> None:
    year, month, number = when.year, when.month, when.day
    words = "".join(CHINESE_DIGITS[int(digit)] for digit in str(year))
    for text in (
        f"{year}-{month}-{number}",
        f"{year}/{month:02}/{number}",
        f"{year}.{month}.{number:02}",
        f"{when:%Y%m%d}",
        f"{year}年{month}月{number}日",
        f"{words}年{in_chinese(month)}月{in_chinese(number)}日",
        f"{when.isoformat()} 00:00:00",
        wide(when.isoformat()),
    ):
        assert day(text)[0] == when.isoformat(), text
    assert day(when.isoformat()) == (when.isoformat(), None)


@given(st.integers(min_value=61, max_value=2_958_465))
def test_every_day_number_counts_from_the_first_of_march(number: int) -> None:
    assert day(str(number), excel_serial=True)[0] == str(date(1900, 3, 1) + timedelta(number - 61))


def wide(text: str) -> str:
    return "".join(
        chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text
    )


WIDE = wide(string.digits + string.ascii_letters + "-/.()")
HALF = string.digits + string.ascii_letters + "-/.()"
ALPHANUMERIC = string.digits + string.ascii_letters


@pytest.mark.parametrize(
    ("normalise", "half"),
    [
        (codes, HALF),
        (addresses, ALPHANUMERIC + "－／．（）"),
        (names, ALPHANUMERIC + "－／·（）"),
    ],
)
def test_wide_characters_become_half_by_the_kind_of_column(normalise: object, half: str) -> None:
    assert callable(normalise)
    notes = Notes()
    column = ["plain", None, WIDE, "（甲）"]
    cleaned = normalise(column, None, "f", notes)
    assert cleaned[:3] == ["plain", None, half]
    assert cleaned[3] == ("(甲)" if normalise is codes else "（甲）")
    places = {2, 3} if normalise is codes else {2}
    assert {place for place, field, code in notes.findings if code == "width-normalised"} == places


@pytest.mark.parametrize("dot", "•・‧．∙⋅･\u0387")
def test_the_dots_of_names_become_one(dot: str) -> None:
    notes = Notes()
    assert names(["阿里·买买提", None, f"阿里{dot}买买提"], None, "name", notes)[2] == "阿里·买买提"
    assert notes.findings == [(2, "name", "interpunct-normalised")]


def test_a_decimal_point_of_a_name_is_no_dot_between_its_parts() -> None:
    notes = Notes()
    assert names(["示范市２．０科技有限公司"], None, "name", notes) == ["示范市2.0科技有限公司"]
    assert notes.findings == [(0, "name", "width-normalised")]


@pytest.mark.parametrize("normalise", [codes, addresses, names])
def test_a_column_without_anything_unusual_is_the_same_column(normalise: object) -> None:
    assert callable(normalise)
    notes = Notes()
    column = ["张三·丰", None, "A-1 (2)", "东湖路1号"]
    for together in (None, "张三·丰A-1 (2)东湖路1号"):
        assert normalise(column, together, "f", notes) is column
    same = ["2003-01-05", None]
    assert dates(same, "f", notes) is same
    assert notes == Notes()


@given(st.lists(st.none() | st.text(alphabet="张a1·•．１Ａ（ -\u3000\u200b", max_size=6), max_size=6))
def test_what_one_look_saw_is_what_the_closer_look_sees(column: list[str | None]) -> None:
    """Columns judged together and each text judged alone come to the same, and normalising twice changes nothing."""
    for normalise in (codes, addresses, names):
        notes, alone = Notes(), Notes()
        texts, together = tidied(column, "f", {""}, notes)
        cleaned = normalise(texts, together, "f", notes)
        single = []
        for value in column:
            text, seen = tidied([value], "f", {""}, alone)
            single += normalise(text, seen, "f", alone)
        assert cleaned == single
        assert len(notes.findings) == len(alone.findings)
        again = Notes()
        assert normalise(cleaned, None, "f", again) is cleaned
        assert again == Notes()


AMOUNTS = {
    "2,000(万)": ("20000000", "CNY"),
    "50万人民币": ("500000", "CNY"),
    "100.5万元": ("1005000", "CNY"),
    "3000000": ("3000000", "CNY"),
    "1亿元": ("100000000", "CNY"),
    "5万美元": ("50000", "USD"),
    "5（万元）": ("50000", "CNY"),
    "1,080(万人民币元)": ("10800000", "CNY"),
    "10(万元人民币)": ("100000", "CNY"),
    "10(万元（人民币）)": ("100000", "CNY"),
    "1,234.56(万香港元)": ("12345600", "HKD"),
    "10(万元(港币))": ("100000", "HKD"),
    "20(万元(美元))": ("200000", "USD"),
    "3,000(万日元)": ("30000000", "JPY"),
    "6万澳大利亚元": ("60000", "AUD"),
    "人民币50万元整": ("500000", "CNY"),
    "USD 1,000.50": ("1000.5", "USD"),
    "５０万元": ("500000", "CNY"),
    "1.23456789万元": ("12345.6789", "CNY"),
    "0.05元": ("0.05", "CNY"),
    "0(万元)": ("0", "CNY"),
    "010万": ("100000", "CNY"),
    "1.50万亿元": ("1500000000000", "CNY"),
    "3千万元": ("30000000", "CNY"),
    "5百万": ("5000000", "CNY"),
}


@pytest.mark.parametrize("text", AMOUNTS)
def test_an_amount_is_read_with_its_currency(text: str) -> None:
    notes = Notes()
    (amount, none), (currency, nothing) = amounts([text, None], "capital", notes)
    assert (amount, currency) == AMOUNTS[text]
    assert (none, nothing, notes) == (None, None, Notes())


@pytest.mark.parametrize(
    "text",
    ["壹佰万元整", "约50万", "50-100万", "1,00万", "10,0000元", "1.2.3", "-5万", "万元", "50万贝壳", "5e3", "50万亿亿",
     "人民币50万美元", "50万元（其中货币30万）", "见章程", ".5万", "5.", "٣万", "1234567890123456"],
)  # fmt: skip
def test_an_amount_that_cannot_be_read_is_a_finding_and_no_guess(text: str) -> None:
    notes = Notes()
    assert amounts(["1万", text], "capital", notes) == (["10000", None], ["CNY", None])
    assert notes == Notes({}, [(1, "capital", "unreadable-amount")])


@given(st.decimals(min_value=0, max_value=10**9, places=4), st.sampled_from(["", "万", "亿"]), st.booleans())
def test_an_amount_is_exact_and_canonical(number: Decimal, unit: str, grouped: bool) -> None:
    text = f"{number:,}" if grouped else f"{number:f}"
    (amount,), (currency,) = amounts([f"{text}({unit}元)"], "capital", Notes())
    assert amount is not None
    assert Decimal(amount) == number * {"": 1, "万": 10**4, "亿": 10**8}[unit]
    assert amount == "0" or not amount.startswith("0") or amount.startswith("0.")
    assert "." not in amount or not amount.endswith("0")
    assert currency == "CNY"


def test_births_are_compared_with_the_day_itself() -> None:
    today = date(2025, 6, 30)
    days = [today + timedelta(ahead) for ahead in (-1, 0, 1, 365)]
    notes = Notes()
    ids_born_later(
        [None, *(CitizenId.compute("990101", each, 1).reveal() for each in days)], today, "id", notes
    )
    dates_later([None, *map(str, days)], today, "born", notes)
    assert notes.findings == [
        (place, field, "birth-in-the-future") for field in ("id", "born") for place in (3, 4)
    ]
    ids_born_later([None], today, "id", notes)
    dates_later([], today, "born", notes)
    assert len(notes.findings) == 4
