"""Normalising, column by column: the many ways in which one thing is written become one way.

Each function takes a column of texts (None where there is none) and gives the column back, the same length. A column
without anything unusual is seen as such by one look at all of it and given back as it is. A change of what stands in
a text is noted as a finding, what cannot be kept as a fault, both by the place of the row in the batch.

What happens to full-width (全角) characters, by kind of column:

- `text`: nothing. Business scopes and remarks are quoted as the department wrote them.
- `address`: letters and digits become half-width; Chinese punctuation stays.
- `name`: the same, and the dots between the parts of a name become `·`.
- all other kinds (codes, numbers, dates): letters, digits and punctuation become half-width. An `amount` is only read
  that way; its text stays as written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

from foundation.identifiers import CitizenId, locate
from foundation.identifiers.bulk import UsccVerdict, Verdict, check_citizen_ids, check_usccs

Texts = list[str | None]

TRANSFORMS = frozenset(
    {
        "converted-from-15-digits",
        "converted-from-excel-serial",
        "date-normalised",
        "derived-from-address",
        "interpunct-normalised",
        "time-dropped",
        "whitespace-normalised",
        "width-normalised",
    }
)
"""Findings that say what normalising changed: they go into the provenance of the field. All others are a steward's."""


@dataclass(slots=True)
class Notes:
    """What is noted about a batch: the first fault of a row by its place (field, reason), and findings.

    `faulty` has every field at fault, not only the first of its row.
    """

    faults: dict[int, tuple[str, str]] = field(default_factory=dict)
    findings: list[tuple[int, str, str]] = field(default_factory=list)
    faulty: set[tuple[int, str]] = field(default_factory=set, compare=False)

    def fault(self, place: int, field_name: str, reason: str) -> None:
        """Note why the row at this place stays behind, unless a reason is known already."""
        self.faults.setdefault(place, (field_name, reason))
        self.faulty.add((place, field_name))

    def finding(self, place: int, field_name: str, code: str) -> None:
        """Note something remarkable about the row at this place."""
        self.findings.append((place, field_name, code))


def tidied(
    values: Sequence[Any], field_name: str, empty: Collection[str], notes: Notes
) -> tuple[Texts, str | None]:
    """Return the texts without white space around them, and all of them together where one look was enough.

    Texts in `empty` mean no value. Space-like characters become spaces, marks that nobody sees go
    (`whitespace-normalised`). Faults: `not-text`, `garbled-text`, `control-character`, `unassigned-character`.
    """
    try:
        together: str | None = "".join(values)
    except TypeError:
        together = None
    if together is not None and " " not in together and together.isprintable() and _LOST not in together:
        return [None if value in empty else value for value in values], together
    cleaned: Texts = []
    append = cleaned.append
    for place, value in enumerate(values):
        if value is None:
            append(None)
        elif type(value) is not str:
            notes.fault(place, field_name, "not-text")
            append(None)
        elif (text := value.strip()) in empty:
            append(None)
        elif text.isprintable() and _LOST not in text:
            append(text)
        else:
            append(_closer(place, text, field_name, empty, notes))
    return cleaned, None


def _closer(place: int, text: str, field_name: str, empty: Collection[str], notes: Notes) -> str | None:
    tidy = _SPACE_LIKE.sub(" ", _INVISIBLE.sub("", text)).strip()
    if tidy != text:
        notes.finding(place, field_name, "whitespace-normalised")
    flaw = _flaw(tidy)
    if flaw is not None:
        notes.fault(place, field_name, flaw)
    return None if tidy in empty else tidy


_LOST = "\ufffd"
"""Stands where an earlier program could not decode the bytes: what was there is lost."""
# Tabs, line breaks and spaces other than the plain one; and marks that nobody sees.
_FOREIGN_SPACE = r"\t-\r\x85\xa0\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACE_LIKE = re.compile(rf" *[{_FOREIGN_SPACE}][{_FOREIGN_SPACE} ]*")
_INVISIBLE = re.compile(r"[\xad\u200b\u2060\ufeff]+")


def _flaw(text: str) -> str | None:
    """Return why a text cannot be kept as it is, None if it can.

    Unassigned code points of the ideographic planes pass: they are rare characters of names, newer than our tables.
    """
    if _LOST in text:
        return "garbled-text"
    for character in text:
        match unicodedata.category(character):
            case "Cc" | "Cs":
                return "control-character"
            case "Cn" if not "\U00020000" <= character <= "\U0003fffd":
                return "unassigned-character"
    return None


_WIDE = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
_WIDE_ALPHANUMERIC = {wide: half for wide, half in _WIDE.items() if chr(half).isalnum()}
_ANY_WIDE = re.compile("[\uff01-\uff5e]")
_ANY_WIDE_ALPHANUMERIC = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_DOTS = "\u0387\u2022\u2027\u2219\u22c5\u30fb\uff0e\uff65"
_ANY_IN_NAME = re.compile(f"[{_DOTS}\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_ANY_DOT = re.compile(f"[{_DOTS}]")
_DECIMAL_POINT = re.compile("(?<=[0-9])\uff0e(?=[0-9])")


def codes(texts: Texts, together: str | None, field_name: str, notes: Notes) -> Texts:
    """Return codes and numbers in half-width characters (`width-normalised`)."""
    together = _together(texts, together)
    if together.isascii() or not _ANY_WIDE.search(together):
        return texts
    return _replaced(texts, [_half(text) for text in texts], field_name, "width-normalised", notes)


def addresses(texts: Texts, together: str | None, field_name: str, notes: Notes) -> Texts:
    """Return addresses with half-width letters and digits (`width-normalised`), their punctuation as it is."""
    if not _ANY_WIDE_ALPHANUMERIC.search(_together(texts, together)):
        return texts
    half = [text and text.translate(_WIDE_ALPHANUMERIC) for text in texts]
    return _replaced(texts, half, field_name, "width-normalised", notes)


def divisions_of(texts: Texts, area: str | None, today: date, field_name: str, notes: Notes) -> Texts:
    """Return the codes of the divisions that addresses stand in (`derived-from-address`), where these are certain.

    Else there is none: `ambiguous-division`, `unknown-division`. `abolished-division`: the address names one of
    earlier, and the code is that of its successor.

    Args:
        area: code of the province or city within which an address may begin with its county.
    """
    found: Texts = []
    for place, text in enumerate(texts):
        location = None if text is None else locate(text, area, today.year)
        found.append(None if location is None else location.code)
        if location is not None and location.code is not None:
            notes.finding(place, field_name, "derived-from-address")
        if location is not None and location.remark is not None:
            notes.finding(place, field_name, location.remark)
    return found


def names(texts: Texts, together: str | None, field_name: str, notes: Notes) -> Texts:
    """Return names with half-width letters and digits (`width-normalised`) and `·` as the dot between their parts.

    Of the dots there are many (`interpunct-normalised`): • ・ ‧ ．, but not the one between two digits, which is a
    decimal point.
    """
    if not _ANY_IN_NAME.search(_together(texts, together)):
        return texts
    half = [text and text.translate(_WIDE_ALPHANUMERIC) for text in texts]
    half = [text and _DECIMAL_POINT.sub(".", text) for text in half]
    half = _replaced(texts, half, field_name, "width-normalised", notes)
    dotted = [text and _ANY_DOT.sub("·", text) for text in half]
    return _replaced(half, dotted, field_name, "interpunct-normalised", notes)


def _together(texts: Texts, together: str | None) -> str:
    return "".join(filter(None, texts)) if together is None else together


def _half(text: str | None) -> str | None:
    return text and text.translate(_WIDE)


def _replaced(before: Texts, after: Texts, field_name: str, code: str, notes: Notes) -> Texts:
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            notes.finding(place, field_name, code)
    return after


def note_formulas(texts: Texts, together: str | None, field_name: str, notes: Notes) -> None:
    """Note texts that a spreadsheet would run (`formula-like`). They stay as written: nothing here runs them."""
    if _ANY_FORMULA.search(_together(texts, together)) is not None:
        for place, text in enumerate(texts):
            if text is not None and _ANY_FORMULA.match(text) is not None:
                notes.finding(place, field_name, "formula-like")


_ANY_FORMULA = re.compile("[=+@][A-Za-z]")


def dates(texts: Texts, field_name: str, notes: Notes, *, excel_serial: bool = False) -> Texts:
    """Return dates as YYYY-MM-DD.

    Read are, in full or half width: `2003-1-5`, `2003/01/05`, `2003.1.5`, `20030105`, `2003年1月5日`,
    `二〇〇三年一月五日`; behind them a time without a zone or with that of China; with `excel_serial` the day numbers
    of a workbook.
    Findings: `date-normalised`, `time-dropped` where the time was not midnight, `converted-from-excel-serial`.
    Faults: `two-digit-year`, `impossible-date` for what is no day and what is no such way to write one.
    """
    read = _serial_or_day if excel_serial else _day
    found = [text and read(text) for text in texts]
    # A day that was written as it should be is its own reading, so this one comparison sees the usual column.
    if found == texts:
        return texts
    cleaned: Texts = []
    for place, (text, reading) in enumerate(zip(texts, found, strict=True)):
        if reading is None or isinstance(reading, str):
            cleaned.append(reading)
        elif reading.day is None:
            notes.fault(place, field_name, reading.code)
            cleaned.append(None)
        else:
            assert text is not None
            notes.finding(place, field_name, reading.code)
            cleaned.append(reading.day)
    return cleaned


@dataclass(frozen=True, slots=True)
class _Reading:
    """A date that was not written as YYYY-MM-DD: the day and what was done, or None and what is wrong."""

    day: str | None
    code: str


_IMPOSSIBLE = _Reading(None, "impossible-date")
_DIGITS = "〇一二三四五六七八九"
_CHINESE = str.maketrans(_DIGITS + "○零", "0123456789" + "00")
_CLOCK = r"(?P<time>(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?)(?:\+08:?00)?"
_TIME = rf"(?:[ T]{_CLOCK})?"
_YEAR_FIRST = re.compile(rf"(\d{{4}}|\d\d)([-/.])(\d\d?)\2(\d\d?){_TIME}", re.ASCII)
_TOGETHER = re.compile(rf"(\d{{4}})()(\d\d)(\d\d){_TIME}", re.ASCII)
_UP_TO_31 = "[一二三四五六七八九十]{1,3}"
_IN_WORDS = re.compile(
    rf"(\d{{4}}|\d\d)(年) ?(\d\d?|{_UP_TO_31})月 ?(\d\d?|{_UP_TO_31})[日号](?: ?{_CLOCK})?", re.ASCII
)
_CHINESE_YEAR = re.compile(rf"(?:[{_DIGITS}○零]{{4}}|[{_DIGITS}○零]{{2}})(?=年)")
_MIDNIGHT = re.compile(r"[0:.]+")


@lru_cache(maxsize=200_000)
def _day(text: str) -> str | _Reading:
    """Read a date; the text itself if it is one as YYYY-MM-DD. Dates of a city are few: remembered."""
    if len(text) == 10 and text[4] == "-" == text[7] and text.isascii() and _exists(text):
        return text
    half = _CHINESE_YEAR.sub(lambda year: year[0].translate(_CHINESE), text.translate(_WIDE), count=1)
    match = _YEAR_FIRST.fullmatch(half) or _TOGETHER.fullmatch(half) or _IN_WORDS.fullmatch(half)
    if match is None:
        return _IMPOSSIBLE
    if len(match[1]) == 2:
        return _Reading(None, "two-digit-year")
    month, day = _number(match[3]), _number(match[4])
    if month is None or day is None or not _exists(iso := f"{match[1]}-{month:02}-{day:02}"):
        return _IMPOSSIBLE
    time = match["time"]
    if time is not None and not _MIDNIGHT.fullmatch(time):
        return _Reading(iso, "time-dropped")
    return _Reading(iso, "date-normalised")


_SERIAL = re.compile(r"(\d{1,7})(?:\.(\d+))?", re.ASCII)
_LAST_SERIAL = 2_958_465
"""9999-12-31."""


@lru_cache(maxsize=200_000)
def _serial_or_day(text: str) -> str | _Reading:
    """Read a day number of a workbook (1 is 1900-01-01, and 60 a leap day that never was), or else a date."""
    match = _SERIAL.fullmatch(text)
    if match is None:
        return _day(text)
    number = int(match[1])
    if not 1 <= number <= _LAST_SERIAL or number == 60:
        return _IMPOSSIBLE
    day = date(1899, 12, 30 if number > 60 else 31) + timedelta(number)
    return _Reading(day.isoformat(), "converted-from-excel-serial")


def _exists(iso: str) -> bool:
    try:
        date.fromisoformat(iso)
    except ValueError:
        return False
    return True


_IN_CHINESE = re.compile("(?:([一二三四五六七八九]?)(十))?([一二三四五六七八九]?)")


def _number(text: str) -> int | None:
    """Return the number of a day or month, in digits or as 一 to 九十九; None for what is none."""
    if text.isdigit():
        return int(text)
    match = _IN_CHINESE.fullmatch(text)
    if match is None:
        return None
    tens = _DIGITS.index(match[1] or "一") if match[2] else 0
    return tens * 10 + _DIGITS.index(match[3] or "〇")


def amounts(texts: Texts, field_name: str, notes: Notes) -> tuple[Texts, Texts]:
    """Read sums of money: the amounts in whole units of their currency (元), and the currencies.

    An amount is canonical decimal text, exact and without exponent: `20000000`, `1005000.5`. A currency is its code
    of ISO 4217; where none is named it is CNY. What cannot be read has neither (`unreadable-amount`).
    """
    read = [(None, None) if text is None else _amount(text) for text in texts]
    for place, (text, (amount, _currency)) in enumerate(zip(texts, read, strict=True)):
        if amount is None and text is not None:
            notes.finding(place, field_name, "unreadable-amount")
    return [amount for amount, _ in read], [currency for _, currency in read]


# What stands behind the number, without brackets; the words for currencies that registers are found to use.
_CURRENCIES = {
    "CNY": ("", "元", "圆", "人民币", "元人民币", "圆人民币", "人民币元", "人民币圆", "CNY", "RMB"),
    "USD": ("美元", "元美元", "美金", "USD"),
    "HKD": ("港元", "港币", "元港币", "元港元", "香港元", "元香港元", "HKD"),
    "EUR": ("欧元", "元欧元", "EUR"),
    "JPY": ("日元", "元日元", "日圆", "JPY"),
    "GBP": ("英镑", "元英镑", "GBP"),
    "AUD": ("澳元", "元澳元", "澳大利亚元", "元澳大利亚元", "AUD"),
    "CAD": ("加元", "元加元", "加拿大元", "元加拿大元", "CAD"),
    "SGD": ("新加坡元", "元新加坡元", "SGD"),
    "MOP": ("澳门元", "元澳门元", "澳门币", "MOP"),
    "TWD": ("新台币", "元新台币", "新台币元", "TWD"),
    "KRW": ("韩元", "元韩元", "韩国元", "KRW"),
    "CHF": ("瑞士法郎", "元瑞士法郎", "CHF"),
    "DEM": ("德国马克", "元德国马克", "DEM"),
}
_CURRENCY_OF = {word: code for code, words in _CURRENCIES.items() for word in words}
_UNITS = {"": 0, "十": 1, "百": 2, "千": 3, "万": 4, "十万": 5, "百万": 6, "千万": 7, "亿": 8, "十亿": 9, "百亿": 10,
          "千亿": 11, "万亿": 12}  # fmt: skip
_AMOUNT = re.compile(
    r"(?P<before>[^\d.,]*)(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,15})(?:\.(?P<part>\d{1,8}))?"
    r"(?P<unit>万亿|[十百千]?[万亿]?)(?P<behind>[^\d.,]*)",
    re.ASCII,
)
_FRAME = re.compile(r"[()\[\] ]")


@lru_cache(maxsize=200_000)
def _amount(text: str) -> tuple[str | None, str | None]:
    plain = _FRAME.sub("", text.translate(_WIDE)).removesuffix("整")
    match = _AMOUNT.fullmatch(plain)
    if match is None or (match["before"] and match["behind"] not in ("", "元", "圆")):
        return None, None
    currency = _CURRENCY_OF.get((match["before"] or match["behind"]).upper())
    if currency is None:
        return None, None
    number = Decimal(f"{match['whole'].replace(',', '')}.{match['part'] or '0'}").scaleb(
        _UNITS[match["unit"]]
    )
    written = f"{number:f}"
    return (written.rstrip("0").rstrip(".") if "." in written else written), currency


_CITIZEN_ID_REASONS = {
    Verdict.WRONG_LENGTH: "wrong-length",
    Verdict.ILL_FORMED: "ill-formed",
    Verdict.IMPOSSIBLE_BIRTH_DATE: "impossible-birth-date",
    Verdict.WRONG_CHECK_CHARACTER: "wrong-check-character",
}


def citizen_ids(texts: Texts, field_name: str, notes: Notes) -> Texts:
    """Return citizen IDs of 18 characters (`converted-from-15-digits`); a faulty one says why."""
    cleaned = [text and text.upper() for text in texts]
    given = [place for place, text in enumerate(cleaned) if text is not None]
    verdicts = check_citizen_ids([cleaned[place] or "" for place in given]).tolist()
    for place, verdict in zip(given, verdicts, strict=True):
        if verdict == Verdict.OK:
            continue
        if verdict == Verdict.OK_FIFTEEN:
            text = cleaned[place]
            assert text is not None
            cleaned[place] = CitizenId.from_fifteen(text).reveal()
            notes.finding(place, field_name, "converted-from-15-digits")
        else:
            notes.fault(place, field_name, _CITIZEN_ID_REASONS[Verdict(verdict)])
    return cleaned


_USCC_REASONS = {
    UsccVerdict.WRONG_LENGTH: "wrong-length",
    UsccVerdict.ILL_FORMED: "ill-formed",
    UsccVerdict.WRONG_CHECK_CHARACTER: "wrong-check-character",
}


def usccs(texts: Texts, field_name: str, notes: Notes, *, keep_old: bool) -> tuple[Texts, Texts]:
    """Return unified social credit codes, and the old registration numbers that stood in their place.

    With `keep_old` an old number of 13 to 15 digits is a finding (`old-registration-number`), else a wrong code.
    """
    cleaned = [text and text.upper() for text in texts]
    old: Texts = [None] * len(cleaned)
    given = [place for place, text in enumerate(cleaned) if text is not None]
    verdicts = check_usccs([cleaned[place] or "" for place in given]).tolist()
    for place, verdict in zip(given, verdicts, strict=True):
        if verdict == UsccVerdict.OK:
            continue
        if verdict == UsccVerdict.OLD_REGISTRATION_NUMBER and keep_old:
            old[place], cleaned[place] = cleaned[place], None
            notes.finding(place, field_name, "old-registration-number")
        else:
            notes.fault(place, field_name, _USCC_REASONS.get(UsccVerdict(verdict), "wrong-length"))
    return cleaned, old


_BIRTH = itemgetter(slice(6, 14))


def ids_born_later(texts: Texts, today: date, field_name: str, notes: Notes) -> None:
    """Note citizen IDs of 18 characters whose birth date is later than today (`birth-in-the-future`)."""
    last = f"{today:%Y%m%d}"
    if max(map(_BIRTH, filter(None, texts)), default="") <= last:
        return
    for place, text in enumerate(texts):
        if text is not None and _BIRTH(text) > last:
            notes.finding(place, field_name, "birth-in-the-future")


def dates_later(texts: Texts, today: date, field_name: str, notes: Notes) -> None:
    """Note dates of birth as YYYY-MM-DD that are later than today (`birth-in-the-future`)."""
    last = today.isoformat()
    if max(filter(None, texts), default="") <= last:
        return
    for place, text in enumerate(texts):
        if text is not None and text > last:
            notes.finding(place, field_name, "birth-in-the-future")
