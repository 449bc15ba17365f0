"""The people and companies of the city, made block by block, each from the seed and its number alone.

So a city of any size streams in constant memory, and a bigger one begins with the whole blocks of a smaller one.

IDs are unique without a memory of all that were given: block k takes birth dates whose ordinal is k modulo 16 only,
and of each (division, date) one sequence number per sex, which depends on k. That holds for 500 blocks per residue:
16 million people.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from demonstration.city import names
from demonstration.city.codes import ABOLISHED, DISTRICTS, company_code
from demonstration.city.mess import QUARANTINED, Mess, draw
from foundation.identifiers.bulk import citizen_check_characters

BLOCK_PEOPLE = 2000
PEOPLE_PER_COMPANY = 15
RESIDUES = 16
MOST_PEOPLE = BLOCK_PEOPLE * RESIDUES * 500
_DISTRICTS = tuple(DISTRICTS)
_WEIGHTS = (30, 20, 18, 14, 10, 8)


@dataclass(frozen=True, slots=True)
class CityPlan:
    """What city to make.

    Raises:
        ValueError: more people than there are IDs for, or none.
    """

    people: int
    seed: int = 20250630
    mess: Mess = field(default_factory=Mess)
    reference_date: date = date(2025, 6, 30)

    def __post_init__(self) -> None:
        if not 1 <= self.people <= MOST_PEOPLE:
            raise ValueError(f"a city has 1 to {MOST_PEOPLE:,} people")

    @property
    def blocks(self) -> int:
        """How many blocks it has; the last may be smaller."""
        return -(-self.people // BLOCK_PEOPLE)


@dataclass(slots=True)
class Person:
    """A person of the city. Dates are ISO texts; `mess` is what is wrong with their row in the file, if anything."""

    citizen_id: str
    name: str
    sex: str
    birth_date: str
    ethnicity: str
    marital_status: str
    spouse_id: str
    household: str
    relation: str
    registration_division: str
    residence_division: str
    address: str
    moved_in_on: str
    status: str
    died_on: str
    mess: str | None = None

    @property
    def clean(self) -> bool:
        """Their row comes through an import as it is."""
        return self.mess not in QUARANTINED or self.mess == "conflict-within-source"


@dataclass(frozen=True, slots=True)
class Company:
    """A company, with its legal representative."""

    number: int
    code: str
    name: str
    division: str
    established_on: str
    entity_type: str
    capital: str
    scope: str
    address: str
    representative: Person


@dataclass(slots=True)
class _Draft:
    """A person before they have an ID."""

    male: bool
    birth: int
    name: str
    relation: str
    marital: str = "single"
    spouse: int | None = None
    died: int | None = None


def people(plan: CityPlan) -> Iterator[Person]:
    """Yield all people, in the order of the population file."""
    for number in range(plan.blocks):
        yield from block_people(plan, number)


def companies(plan: CityPlan) -> Iterator[Company]:
    """Yield all companies, in the order of their file."""
    for number in range(plan.blocks):
        yield from block_companies(plan, number)


def block_people(plan: CityPlan, number: int) -> list[Person]:
    """Make the people of one block."""
    rng = random.Random(f"{plan.seed}/people/{number}")
    size = min(BLOCK_PEOPLE, plan.people - number * BLOCK_PEOPLE)
    today = plan.reference_date.toordinal()
    made: list[Person] = []
    taken: set[tuple[str, int, bool]] = set()
    pending: list[tuple[Person, str, int | None]] = []
    while len(made) < size:
        household = _household(rng, today, size - len(made))
        district = rng.choices(_DISTRICTS, _WEIGHTS)[0]
        home = names.address(rng, DISTRICTS[district])
        register = f"{district}{number:05d}{len(made):04d}"
        first = len(made)
        for draft in household:
            division = district
            if draft.birth < 734869 and rng.random() < 0.35:  # born before 2013
                division = ABOLISHED
            birth = _free_date(taken, division, draft, number, today)
            sequence = number // RESIDUES * 2 + (1 if draft.male else 0)
            day = date.fromordinal(birth)
            person = Person(
                citizen_id="",
                name=draft.name,
                sex="男" if draft.male else "女",
                birth_date=day.isoformat(),
                ethnicity=rng.choice(names.ETHNIC),
                marital_status=_MARITAL[draft.marital],
                spouse_id="",
                household=register,
                relation=draft.relation,
                registration_division=district,
                residence_division=district,
                address=home,
                moved_in_on="",
                status="正常",
                died_on="",
            )
            if draft.died is not None:
                person.status, person.died_on = "死亡", date.fromordinal(draft.died).isoformat()
            elif rng.random() < 0.07:
                _move(rng, person, birth, today)
            spouse = None if draft.spouse is None else first + draft.spouse
            pending.append((person, f"{division}{day:%Y%m%d}{sequence:03d}", spouse))
            made.append(person)
    checks = citizen_check_characters([first17 for _, first17, _ in pending])
    for (person, first17, _), check in zip(pending, checks, strict=True):
        person.citizen_id = first17 + check
    for person, _, spouse in pending:
        if spouse is not None:
            person.spouse_id = made[spouse].citizen_id
    rates = plan.mess.population
    if rates:
        spoil = random.Random(f"{plan.seed}/mess/{number}")
        for person in made:
            person.mess = draw(spoil, rates)
            if person.mess in {"fifteen-digits", "twice-in-two-forms"} and person.birth_date >= "1985":
                person.mess = None
    return made


def block_companies(plan: CityPlan, number: int) -> list[Company]:
    """Make the companies of one block; their representatives are living adults of it whose row is clean."""
    rng = random.Random(f"{plan.seed}/companies/{number}")
    adult = f"{plan.reference_date.year - 20}"
    able = [
        person
        for person in block_people(plan, number)
        if person.status == "正常" and "1950" < person.birth_date < adult and person.clean
    ]
    size = min(BLOCK_PEOPLE, plan.people - number * BLOCK_PEOPLE)
    today = plan.reference_date.toordinal()
    made = []
    for place in range(size // PEOPLE_PER_COMPANY if able else 0):
        index = number * (BLOCK_PEOPLE // PEOPLE_PER_COMPANY) + place
        representative = able[rng.randrange(len(able))]
        division = representative.residence_division
        of_age = date.fromisoformat(representative.birth_date).toordinal() + 19 * 366
        made.append(
            Company(
                number=index,
                code=company_code(division, index),
                name=names.company_name(rng, index),
                division=division,
                established_on=date.fromordinal(rng.randrange(of_age, today)).isoformat(),
                entity_type=rng.choice(names.ENTITY_TYPES),
                capital=rng.choice(names.CAPITALS),
                scope=rng.choice(names.SCOPES) + rng.choice(("", "〓", "·")),
                address=names.address(rng, DISTRICTS[division]),
                representative=representative,
            )
        )
    return made


_MARITAL = {"single": "未婚", "married": "已婚", "widowed": "丧偶", "divorced": "离婚"}


def _household(rng: random.Random, today: int, room: int) -> list[_Draft]:
    """Return one household that fits into `room` places; spouses point at each other by place."""
    kind = rng.random()
    if room < 2 or kind < 0.15:
        return [_single(rng, today)]
    husband, wife = _couple(rng, today)
    household = [husband, wife]
    mother_age = (today - wife.birth) // 366
    if kind >= 0.4:
        surname = names.surname_of(husband.name)
        for _ in range(min(rng.choices((1, 2, 3), (55, 37, 8))[0], room - len(household))):
            oldest = mother_age - 20
            if oldest < 1:
                break
            age = (
                rng.randrange(max(0, mother_age - 42), min(oldest, 30))
                if mother_age - 42 < min(oldest, 30)
                else 0
            )
            male = rng.random() < 0.52
            birth = today - age * 365 - rng.randrange(1, 365)
            household.append(
                _Draft(male, birth, names.person_name(rng, male, surname), "子" if male else "女")
            )
    if kind >= 0.85 and room - len(household) >= 2 and mother_age < 60:
        father_birth = husband.birth - rng.randrange(24 * 366, 36 * 366)
        mother_birth = father_birth + rng.randrange(0, 5 * 365)
        place = len(household)
        died = rng.randrange(husband.birth + 20 * 366, today)
        grandfather = _Draft(
            True,
            father_birth,
            names.person_name(rng, True, names.surname_of(husband.name)),
            "父",
            "married",
            place + 1,
            died,
        )
        grandmother = _Draft(False, mother_birth, names.person_name(rng, False, None), "母", "widowed", place)
        household += [grandfather, grandmother]
    return household


def _single(rng: random.Random, today: int) -> _Draft:
    male = rng.random() < 0.5
    age = rng.randrange(18, 80)
    marital = rng.choices(("single", "divorced"), (75, 25) if age > 28 else (1, 0))[0]
    birth = today - age * 366 - rng.randrange(1, 365)
    return _Draft(male, birth, names.person_name(rng, male, None), "户主", marital)


def _couple(rng: random.Random, today: int) -> tuple[_Draft, _Draft]:
    age = min(rng.randrange(24, 60) + (rng.randrange(0, 32) if rng.random() < 0.3 else 0), 90)
    his = today - age * 366 - rng.randrange(1, 365)
    hers = min(his + rng.randrange(-2 * 365, 5 * 365), today - 22 * 366)
    husband = _Draft(True, his, names.person_name(rng, True, None), "户主", "married", 1)
    wife = _Draft(False, hers, names.person_name(rng, False, None), "妻", "married", 0)
    if age > 65 and rng.random() < 0.3:
        dead, left = (husband, wife) if rng.random() < 0.6 else (wife, husband)
        dead.died = rng.randrange(max(dead.birth, left.birth) + 40 * 366, today)
        left.marital = "widowed"
    return husband, wife


def _free_date(
    taken: set[tuple[str, int, bool]], division: str, draft: _Draft, block: int, today: int
) -> int:
    """Return the birth date nearest below the drafted one that this block may give, as an ordinal."""
    birth = draft.birth - (draft.birth - block) % RESIDUES
    while (division, birth, draft.male) in taken:
        birth -= RESIDUES
    taken.add((division, birth, draft.male))
    return birth


def _move(rng: random.Random, person: Person, birth: int, today: int) -> None:
    moved = date.fromordinal(rng.randrange(max(birth, today - 20 * 365), today))
    person.moved_in_on = moved.isoformat()
    if rng.random() < 0.15:
        person.status = "迁出"
        return
    person.residence_division = rng.choice(_DISTRICTS)
    person.address = names.address(rng, DISTRICTS[person.residence_division])


def day_after(text: str) -> str:
    """Return the day after an ISO date."""
    return (date.fromisoformat(text) + timedelta(days=1)).isoformat()
