"""Where an address stands: a code only where it is certain, and never another's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.identifiers import Division, find, locate
from foundation.identifiers.division import every

YEAR = 2025
COUNTIES = [d for d in every() if d.level == "county" and d.valid_until is None]


def chain(county: Division) -> tuple[str, str, str]:
    """Return the names of province, city (empty if none) and county."""
    province, city = find(county.code[:2] + "0000"), find(county.code[:4] + "00")
    assert province is not None
    return province.name, "" if city is None else city.name, county.name


@pytest.mark.parametrize(
    ("address", "area", "code"),
    [
        ("广东省广州市天河区体育西路1号", None, "440106"),
        ("广州市天河区体育西路1号", None, "440106"),
        ("广东广州天河区", None, "440106"),
        ("中国 广东省 广州市 天河区", None, "440106"),
        ("天河区体育西路1号", "440100", "440106"),
        ("天河区体育西路1号", "440000", "440106"),
        # An area is where counties may be named alone, not where all addresses are.
        ("南京市鼓楼区", "440100", "320106"),
        ("江苏省徐州市鼓楼区", None, "320302"),
        # Counties below the province itself.
        ("湖北省仙桃市沔阳大道", None, "429004"),
        ("湖北省省直辖县级行政区划仙桃市", None, "429004"),
        ("新疆石河子市", None, "659001"),
        ("仙桃市", "420000", "429004"),
        # Municipalities.
        ("北京市朝阳区", None, "110105"),
        ("北京市市辖区朝阳区", None, "110105"),
        ("北京市北京市朝阳区", None, "110105"),
        ("北京朝阳区", None, "110105"),
        ("朝阳区建国路", "110000", "110105"),
        ("重庆市城口县", None, "500229"),
        # A city of its own, without counties.
        ("广东省东莞市长安镇", None, "441900"),
        ("恩施州恩施市", None, "422801"),
        ("吉林省吉林市船营区", None, "220204"),
        ("示范省示范市东湖区", None, "990101"),
    ],
)
def test_a_chain_of_names_leads_to_its_division(address: str, area: str | None, code: str) -> None:
    assert code in {county.code for county in COUNTIES} | {"441900"}
    found = locate(address, area, YEAR)
    assert (found.code, found.remark) == (code, None)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("广州市东山区", "440104"),  # became part of 越秀区
        ("湖北省襄樊市襄阳区", "420607"),  # city and county were renamed
        ("山东省莱芜市莱城区", "370116"),  # the city became part of another
        ("广州市番禺市大石镇", "440113"),
    ],
)
def test_a_name_of_earlier_leads_to_the_one_successor_and_is_told(address: str, code: str) -> None:
    found = locate(address, None, YEAR)
    assert (found.code, found.remark) == (code, "abolished-division")


@pytest.mark.parametrize(
    ("address", "area", "remark"),
    [
        ("鼓楼区中山路1号", None, "unknown-division"),
        ("鼓楼区中山路1号", "320000", "ambiguous-division"),
        ("天河区体育西路1号", None, "unknown-division"),
        ("天河区体育西路1号", "320100", "unknown-division"),
        ("广州市郊区", None, "ambiguous-division"),  # was divided among three
        ("安徽省巢湖市", None, "ambiguous-division"),  # a county, and a city of earlier
        ("广州市体育西路天河区", None, "unknown-division"),
        ("广州市", None, "unknown-division"),
        ("广东省", "440100", "unknown-division"),
        ("湖南省广州市天河区", None, "unknown-division"),
        ("东湖路1号", None, "unknown-division"),
        ("", "440100", "unknown-division"),
    ],
)
def test_what_is_not_certain_is_left_open(address: str, area: str | None, remark: str) -> None:
    found = locate(address, area, YEAR)
    assert (found.code, found.remark) == (None, remark)


def test_every_county_is_found_by_its_full_chain_or_left_open() -> None:
    found = {county.code: locate("".join(chain(county)) + "某路1号", None, YEAR) for county in COUNTIES}
    assert {at.code for at in found.values()} - {None} <= set(found)
    assert [code for code, at in found.items() if at.code not in (code, None)] == []
    # Their names stood for others as well, in the same city.
    assert sorted(code for code, at in found.items() if at.code is None) == [
        "130107", "420606", "421303", "510106",
    ]  # fmt: skip


@given(st.sampled_from(COUNTIES), st.sampled_from(["", "中国"]), st.booleans(), st.text(max_size=12))
def test_no_way_of_writing_leads_to_another_division(
    county: Division, country: str, with_province: bool, behind: str
) -> None:
    province, city, name = chain(county)
    text = country + (province if with_province or not city else "") + city + name + "·" + behind
    assert locate(text, None, YEAR).code in (county.code, None)


@given(
    st.text(alphabet="北京广东省州市天河区朝阳鼓楼县仙桃", max_size=14),
    st.sampled_from([None, "440100", "110000"]),
)
def test_any_text_leads_to_a_division_in_force_or_to_none(text: str, area: str | None) -> None:
    found = locate(text, area, YEAR)
    if found.code is None:
        assert found.remark in {"ambiguous-division", "unknown-division"}
    else:
        division = find(found.code, YEAR)
        assert division is not None
        assert division.valid_until is None
