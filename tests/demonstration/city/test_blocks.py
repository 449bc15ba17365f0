"""The city's people and companies fit together, and nobody is anybody twice."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import pytest
from stdnum.cn import uscc
from stdnum.iso7064 import mod_11_2

from demonstration.city import BLOCK_PEOPLE, CityPlan, Company, Mess, Person, companies, people
from demonstration.city.blocks import MOST_PEOPLE, block_people
from demonstration.city.codes import ISSUER_CODE, office_code, organisation_code

PLAN = CityPlan(people=50_000)
TODAY = PLAN.reference_date


@pytest.fixture(scope="module")
def inhabitants() -> list[Person]:
    return list(people(PLAN))


@pytest.fixture(scope="module")
def firms() -> list[Company]:
    return list(companies(CityPlan(people=20_000)))


def born(person: Person) -> date:
    return date.fromisoformat(person.birth_date)


def test_all_ids_are_different_valid_and_of_no_real_division(inhabitants: list[Person]) -> None:
    assert len({person.citizen_id for person in inhabitants}) == len(inhabitants) == PLAN.people
    for person in inhabitants:
        citizen_id = person.citizen_id
        assert mod_11_2.is_valid(citizen_id), citizen_id
        assert citizen_id[:4] == "9901"
        assert citizen_id[6:14] == person.birth_date.replace("-", "")
        assert "女男"[int(citizen_id[16]) % 2] == person.sex
    assert {person.citizen_id[:6] for person in inhabitants} == {
        "990101", "990102", "990103", "990104", "990105", "990111", "990121",
    }  # fmt: skip


def test_blocks_far_apart_share_no_id() -> None:
    """Blocks 16 apart use the same birth dates; the last block has the greatest sequence numbers."""
    plan = CityPlan(people=MOST_PEOPLE)
    blocks = [block_people(plan, number) for number in (0, 16, 32, plan.blocks - 16, plan.blocks - 1)]
    ids = [person.citizen_id for block in blocks for person in block]
    assert len(set(ids)) == len(ids) == 5 * BLOCK_PEOPLE
    assert all(len(citizen_id) == 18 and mod_11_2.is_valid(citizen_id) for citizen_id in ids)


def test_spouses_point_at_each_other_and_are_married(inhabitants: list[Person]) -> None:
    by_id = {person.citizen_id: person for person in inhabitants}
    couples = widows = 0
    for person in inhabitants:
        if not person.spouse_id:
            assert person.marital_status in {"未婚", "离婚"}
            continue
        spouse = by_id[person.spouse_id]
        assert spouse.spouse_id == person.citizen_id != spouse.citizen_id
        assert spouse.household == person.household
        assert spouse.sex != person.sex
        widowed = spouse.status == "死亡"
        assert person.marital_status == ("丧偶" if widowed else "已婚")
        assert born(person).year <= TODAY.year - 20
        couples += not widowed
        widows += widowed
    assert couples > 20_000
    assert widows > 500


def test_parents_are_older_than_their_children(inhabitants: list[Person]) -> None:
    households: dict[str, list[Person]] = defaultdict(list)
    for person in inhabitants:
        households[person.household].append(person)
    children = grandparents = 0
    for members in households.values():
        assert [person.relation for person in members].count("户主") == 1
        heads = [person for person in members if person.relation in {"户主", "妻"}]
        for child in (person for person in members if person.relation in {"子", "女"}):
            children += 1
            for parent in heads:
                assert (born(child) - born(parent)).days >= 15 * 365.25
        for elder in (person for person in members if person.relation in {"父", "母"}):
            grandparents += 1
            head = next(person for person in heads if person.relation == "户主")
            assert (born(head) - born(elder)).days >= 15 * 365.25
    assert children > 10_000
    assert grandparents > 1000


def test_nobody_dies_or_moves_before_birth_or_after_today(inhabitants: list[Person]) -> None:
    states = set()
    for person in inhabitants:
        assert date(1900, 1, 1) < born(person) <= TODAY
        assert (person.status == "死亡") == bool(person.died_on)
        for day in filter(None, (person.died_on, person.moved_in_on)):
            assert born(person) <= date.fromisoformat(day) <= TODAY
        states.add(person.status)
    assert states == {"正常", "迁出", "死亡"}


def test_representatives_are_living_adults_of_the_city_whose_row_is_clean(
    inhabitants: list[Person], firms: list[Company]
) -> None:
    by_id = {person.citizen_id: person for person in inhabitants}
    assert len(firms) > 1000
    for company in firms:
        representative = by_id[company.representative.citizen_id]
        assert representative == company.representative
        assert (representative.status, representative.died_on, representative.clean) == ("正常", "", True)
        founded = date.fromisoformat(company.established_on)
        assert (founded - born(representative)).days >= 18 * 365.25
        assert founded <= TODAY


def test_companies_have_different_valid_codes(firms: list[Company]) -> None:
    assert len({company.code for company in firms}) == len({company.name for company in firms}) == len(firms)
    for company in firms:
        check_of_organisation_code(company.code[8:17])
        assert uscc.calc_check_digit(company.code[:17]) == company.code[17]
        assert company.code[:8] == "91" + company.division
    assert uscc.calc_check_digit(ISSUER_CODE[:17]) == ISSUER_CODE[17]
    assert len({office_code(number) for number in range(100)}) == 100


def check_of_organisation_code(code: str) -> None:
    """GB 11714, worked out by its text: weights 3 7 9 10 5 8 4 2, 11 minus the rest, 10 as X and 11 as 0."""
    values = [int(character, 36) for character in code[:8]]
    rest = sum(v * w for v, w in zip(values, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)) % 11
    assert code[8] == {10: "X", 11: "0"}.get(11 - rest, str(11 - rest))


def test_organisation_codes_are_told_apart() -> None:
    codes = {organisation_code(number) for number in range(5000)}
    assert len(codes) == 5000
    for code in codes:
        check_of_organisation_code(code)


def test_the_same_plan_makes_the_same_city_and_another_seed_another() -> None:
    plan = CityPlan(people=500)
    assert list(people(plan)) == list(people(CityPlan(people=500)))
    assert list(companies(plan)) == list(companies(CityPlan(people=500)))
    other = list(people(CityPlan(people=500, seed=1)))
    assert sum(a.name == b.name for a, b in zip(people(plan), other, strict=True)) < 100


def test_mess_changes_no_person() -> None:
    clean = list(people(CityPlan(people=3000, mess=Mess.none())))
    assert all(person.mess is None and person.clean for person in clean)
    messy = list(people(CityPlan(people=3000)))
    assert any(person.mess for person in messy)
    for person in messy:
        person.mess = None
    assert messy == clean


@pytest.mark.parametrize("number", [0, -1, MOST_PEOPLE + 1])
def test_a_city_without_people_or_with_more_than_there_are_ids_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="1 to 16,000,000 people"):
        CityPlan(people=number)


@pytest.mark.parametrize("number", [1, 2, 3, BLOCK_PEOPLE - 1, BLOCK_PEOPLE, BLOCK_PEOPLE + 1])
def test_a_city_has_exactly_as_many_people_as_planned(number: int) -> None:
    assert sum(1 for _ in people(CityPlan(people=number))) == number
