"""The division an address text stands in, only where that is certain.

Certain is a chain of names from the front of the text, which leads to one division: province, city and county; of these
the province, or the city, may be missing. A county named alone is certain only within an area that was declared, if its
name stands there once. A name of earlier counts as well, for what its division has become, if that is one. Whatever is
left open is left open: 鼓楼区 is in four cities.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from foundation.identifiers.division import Division, every, find, standing_for


@dataclass(frozen=True, slots=True)
class Location:
    """Where an address stands.

    Args:
        code: of a county; of a city if it has no counties; None where it is not certain.
        remark: `ambiguous-division`, `unknown-division`; `abolished-division` where the address names one of earlier,
            whose successor `code` is; None if there is nothing to say.
    """

    code: str | None
    remark: str | None = None


UNKNOWN = Location(None, "unknown-division")
AMBIGUOUS = Location(None, "ambiguous-division")


def locate(address: str, area: str | None, year: int) -> Location:
    """Return the division that an address stands in.

    Args:
        area: code of the province or city within which a county may be named alone; None: nowhere.
        year: the code is one in force in this year.
    """
    text = _SPACE.sub("", address)
    gazetteer = _gazetteer()
    reached = list(_named(text, gazetteer))
    furthest = max((end for _, end in reached), default=0)
    named = [division for division, end in reached if end == furthest]
    if not reached and area is not None:
        named = [division for division, _ in _longest(text, 0, gazetteer.below.get(area, {}))]
    if None in named:
        return AMBIGUOUS if any(named) else UNKNOWN
    standing = {code for division in named if division for code in standing_for(division, year)}
    if len(standing) == 1:
        (code,) = standing
        today = any(division and division.code == code and _goes_on(division, year) for division in named)
        return Location(code, None if today else "abolished-division")
    return AMBIGUOUS if standing else UNKNOWN


@dataclass(frozen=True, slots=True)
class _Gazetteer:
    """Names of divisions by what they stand below.

    Args:
        provinces: name, in full or short, → provinces.
        cities: the same of cities, by their province, and of all of them under the empty code.
        below: code of a city or province → name → counties that stand in it.
    """

    provinces: Mapping[str, tuple[Division, ...]]
    cities: Mapping[str, Mapping[str, tuple[Division, ...]]]
    below: Mapping[str, Mapping[str, tuple[Division, ...]]]


def _named(text: str, gazetteer: _Gazetteer) -> Iterator[tuple[Division | None, int]]:
    """Yield what a text names from its front by a chain, at least by province or city, and where that ends.

    None is a city alone, whose counties are more than one.
    """
    start = _COUNTRY.match(text)
    begin = start.end() if start is not None else 0
    for province, end in [(None, begin), *_longest(text, begin, gazetteer.provinces)]:
        if province is not None:
            end = _filled(text, end, province.name)
            yield from _longest(text, end, gazetteer.below.get(province.code, {}))
        for city, after in _longest(text, end, gazetteer.cities.get(province.code if province else "", {})):
            counties = gazetteer.below.get(city.code, {})
            reached = [each for each in _longest(text, _filled(text, after), counties) if _met(each[0], city)]
            yield from reached
            if not reached and text[end:after] == city.name:
                # 东莞市 has no counties: its own code is all there is.
                yield None if _has_counties(city, counties) else city, after


def _longest(text: str, begin: int, names: Mapping[str, tuple[Division, ...]]) -> list[tuple[Division, int]]:
    """Return the divisions of the longest name, among these, that stands in a text at this place, and its end."""
    for length in range(min(_LONGEST_NAME, len(text) - begin), 1, -1):
        found = names.get(text[begin : begin + length])
        if found is not None:
            return [(division, begin + length) for division in found]
    return []


def _filled(text: str, begin: int, again: str = "") -> int:
    """Return where the text goes on behind words that name no division of their own, and a name said `again`."""
    if again and text.startswith(again, begin):
        begin += len(again)
    found = _FILLING.match(text, begin)
    return found.end() if found is not None else begin


def _met(county: Division, city: Division) -> bool:
    """True if both were in force at one time."""
    first, last = max(county.valid_from, city.valid_from), (county.valid_until, city.valid_until)
    return all(end is None or first <= end for end in last)


def _goes_on(division: Division, year: int) -> bool:
    return division.valid_until is None or year < division.valid_until


def _has_counties(city: Division, counties: Mapping[str, tuple[Division, ...]]) -> bool:
    return any(_met(county, city) for spans in counties.values() for county in spans)


def _above(county: Division) -> Iterator[str]:
    """Yield the codes of the city, if there is one, and of the province that a county stands in."""
    city = county.code[:4] + "00"
    if find(city) is not None:
        yield city
    yield county.code[:2] + "0000"


@cache
def _gazetteer() -> _Gazetteer:
    provinces: dict[str, list[Division]] = {}
    cities: dict[str, dict[str, list[Division]]] = {}
    below: dict[str, dict[str, list[Division]]] = {}
    for division in every():
        match division.level:
            case "province":
                for name in (division.name, _short_province(division.name)):
                    _put(provinces, name, division)
            case "city":
                for above in ("", division.code[:2] + "0000"):
                    for name in _written(division.name, city=True):
                        _put(cities.setdefault(above, {}), name, division)
            case "county":
                for above in _above(division):
                    for name in _written(division.name, city=False):
                        _put(below.setdefault(above, {}), name, division)
    return _Gazetteer(
        _settled(provinces),
        {code: _settled(names) for code, names in cities.items()},
        {code: _settled(names) for code, names in below.items()},
    )


def _put(names: dict[str, list[Division]], name: str, division: Division) -> None:
    if division not in (known := names.setdefault(name, [])):
        known.append(division)


def _settled(names: Mapping[str, Iterable[Division]]) -> dict[str, tuple[Division, ...]]:
    return {name: tuple(divisions) for name, divisions in names.items()}


def _short_province(name: str) -> str:
    return _PROVINCE_END.sub("", name)


def _written(name: str, *, city: bool) -> set[str]:
    """Return the ways to write a name: 恩施州 for 恩施土家族苗族自治州, and 广州 for a city before its county."""
    ways = {name}
    autonomous = _AUTONOMOUS.fullmatch(name)
    if autonomous is not None:
        ways.add(autonomous[1] + autonomous[2])
    if city and name.endswith("市") and len(name) > 2:
        ways.add(name.removesuffix("市"))
    return ways


_LONGEST_NAME = 20
_SPACE = re.compile(r"\s+")
_COUNTRY = re.compile("中华人民共和国|中国")
_FILLING = re.compile("市辖区|市辖县|(?:省|自治区)?直辖县级行政(?:区划|单位)")
_PEOPLES = (
    "蒙古族?|回族|藏族|维吾尔|苗族|彝族|壮族|布依族|朝鲜族|满族|侗族|瑶族|白族|土家族|哈尼族|哈萨克族?|傣族|黎族|傈僳族|佤族|"
    "畲族|拉祜族|水族|东乡族|纳西族|景颇族|柯尔克孜族?|土族|达斡尔族|仫佬族|羌族|布朗族|撒拉族|毛南族|仡佬族|锡伯族?|塔吉克|"
    "怒族|普米族|裕固族|保安族|独龙族|各族"
)
_AUTONOMOUS = re.compile(f"(.{{2,}}?)(?:{_PEOPLES})+自治([州县])")
_PROVINCE_END = re.compile("(?:省|市|特别行政区|(?:壮族|回族|维吾尔)?自治区)$")
