"""The three files of the city, spoilt as real ones are, with an exact count of what was done to them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from demonstration.city.blocks import (
    CityPlan,
    Company,
    Person,
    block_companies,
    block_people,
    companies,
    day_after,
)
from demonstration.city.codes import CITY, ISSUER_CODE, ISSUER_NAME, company_code
from demonstration.city.mess import DUPLICATES, QUARANTINED, draw
from foundation.identifiers import IdentifierError, Uscc

POPULATION_HEADER = (
    "公民身份号码,姓名,性别,出生日期,民族,婚姻状况,配偶身份号码,户号,与户主关系,"
    "户籍区划,居住区划,住址,迁入日期,人口状态,死亡日期"
)
ENTITIES_HEADER = (
    "企业名称,统一社会信用代码,注册日期,企业类型,法人代表,注册资金,经营范围,所在省份,地区,注册地址"
)
LONG_GONE = 900_000_000 // 2
"""Numbers from here on are those of companies that are in no file."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What was written.

    Args:
        rows: data rows, the header not counted.
        mess: kind → how often it was done.
        expected: reason → rows that a correct importer puts into quarantine; `duplicate` → rows that change nothing.
    """

    rows: int
    mess: Mapping[str, int]
    expected: Mapping[str, int]

    @classmethod
    def of(cls, rows: int, mess: Counter[str]) -> Made:
        """Derive what to expect from what was done."""
        expected = {kind: count for kind, count in mess.items() if kind in QUARANTINED}
        duplicates = sum(count for kind, count in mess.items() if kind in DUPLICATES)
        return cls(rows, dict(mess), expected | ({"duplicate": duplicates} if duplicates else {}))


@dataclass(frozen=True, slots=True)
class EntityRef:
    """A legal entity of some real register, to make a licence for."""

    code: str
    name: str
    capital: str
    scope: str
    address: str
    established_on: str | None
    entity_type: str


def write_population(plan: CityPlan, path: Path, progress: Progress | None = None) -> Made:
    """Write the population as CSV in GB18030 with CRLF, as it comes out of old systems."""
    mess: Counter[str] = Counter()
    rows = 0
    with path.open("wb") as file:
        file.write(f"{POPULATION_HEADER}\r\n".encode("gb18030"))
        for number in range(plan.blocks):
            lines = list(_population_lines(block_people(plan, number), mess))
            file.write(b"".join(lines))
            rows += len(lines)
            if progress is not None:
                progress(len(lines))
    return Made.of(rows, mess)


def _population_lines(block: list[Person], mess: Counter[str]) -> Iterator[bytes]:
    later: list[bytes] = []
    for person in block:
        cells = [
            person.citizen_id, person.name, person.sex, person.birth_date, person.ethnicity, person.marital_status,
            person.spouse_id, person.household, person.relation, person.registration_division,
            person.residence_division, person.address, person.moved_in_on, person.status, person.died_on,
        ]  # fmt: skip
        kind = person.mess
        if kind is None:
            yield _line(cells)
            continue
        mess[kind] += 1
        match kind:
            case "wrong-check-character":
                cells[0] = cells[0][:17] + ("1" if cells[0][17] != "1" else "2")
            case "fifteen-digits":
                cells[0] = _fifteen(cells[0])
            case "twice-in-two-forms":
                later.append(_line([_fifteen(cells[0]), *cells[1:]]))
            case "duplicate":
                later.append(_line(cells))
            case "conflict-within-source":
                later.append(_line([*cells[:11], cells[11] + "（旧）", *cells[12:]]))
            case "not-available":
                cells[4] = "N/A"
            case "impossible-date":
                cells[12] = "1998-02-30"
            case "wrong-column-count":
                cells = cells[:-1] if person.sex == "男" else [*cells, ""]
            case "birth-date-contradicts-id":
                cells[3] = day_after(cells[3])
            case "undecodable-bytes":
                yield _line(cells).replace(b",", b"\xff\xff,", 2)
                continue
            case "control-character":
                cells[1] = cells[1][:1] + "\0" + cells[1][1:]
        yield _line(cells)
    yield from later


def _line(cells: list[str]) -> bytes:
    return (",".join(cells) + "\r\n").encode("gb18030")


def _fifteen(citizen_id: str) -> str:
    return citizen_id[:6] + citizen_id[8:17]


def write_legal_entities(plan: CityPlan, path: Path, progress: Progress | None = None) -> Made:
    """Write the companies as CSV in UTF-8, with the columns and quirks of public registers."""
    mess: Counter[str] = Counter()
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(ENTITIES_HEADER + "\n")
        for number in range(plan.blocks):
            rng = random.Random(f"{plan.seed}/mess/entities/{number}")
            later: list[str] = []
            lines = [
                _entity_line(rng, plan, company, mess, later) for company in block_companies(plan, number)
            ]
            file.writelines(lines + later)
            rows += len(lines) + len(later)
            if progress is not None:
                progress(len(lines) + len(later))
    return Made.of(rows, mess)


def _entity_line(
    rng: random.Random, plan: CityPlan, company: Company, mess: Counter[str], later: list[str]
) -> str:
    code = company.code

    def line(code: str, address: str, tail: str = "") -> str:
        return (
            f"{company.name},{code},{company.established_on},{company.entity_type},{company.representative.name},"
            f'"{company.capital}","{company.scope}",示范,示范市,"{address}"{tail}\n'
        )

    kind = draw(rng, plan.mess.legal_entities)
    if kind is not None:
        mess[kind] += 1
    match kind:
        case "old-registration-number":
            return line(f"{CITY}{company.number:07d}", company.address)
        case "wrong-check-character":
            return line(code[:17] + ("1" if code[17] != "1" else "2"), company.address)
        case "duplicate":
            later.append(line(code, company.address))
        case "conflict-within-source":
            later.append(line(code, company.address + "（旧址）"))
        case "wrong-column-count":
            return line(code, company.address, ",多余")
    return line(code, company.address)


def write_credentials(
    plan: CityPlan,
    path: Path,
    entities: Iterable[EntityRef] | None = None,
    progress: Progress | None = None,
) -> Made:
    """Write business licences as a JSON array, one object per line.

    Args:
        entities: make them for these, with representatives taken from the city's people, instead of for its own
            companies. Entities without a valid code or date of registration get none.
    """
    mess: Counter[str] = Counter()
    rng = random.Random(f"{plan.seed}/mess/credentials")
    rows = 0
    credentials = _of_companies(plan) if entities is None else _of_entities(plan, entities)
    with path.open("wb") as file:
        file.write(b"[")
        for credential in credentials:
            file.write((b",\n" if rows else b"\n") + orjson.dumps(_spoilt(rng, plan, credential, mess)))
            rows += 1
            if progress is not None:
                progress(1)
        file.write(b"\n]\n")
    return Made.of(rows, mess)


def _of_companies(plan: CityPlan) -> Iterator[dict[str, Any]]:
    for company in companies(plan):
        reference = EntityRef(
            company.code,
            company.name,
            company.capital,
            company.scope,
            company.address,
            company.established_on,
            company.entity_type,
        )
        yield _credential(
            company.number, reference, company.established_on, company.division, company.representative
        )


def _of_entities(plan: CityPlan, entities: Iterable[EntityRef]) -> Iterator[dict[str, Any]]:
    representatives = [company.representative for company in block_companies(plan, 0)]
    number = 0
    for entity in entities:
        try:
            Uscc.parse(entity.code)
            established = date.fromisoformat(entity.established_on or "").isoformat()
        except (IdentifierError, ValueError):
            continue
        representative = representatives[number % len(representatives)]
        yield _credential(number, entity, established, CITY, representative)
        number += 1


def _credential(
    number: int, entity: EntityRef, established_on: str, division: str, representative: Person
) -> dict[str, Any]:
    return {
        "licence_type": "business-licence",
        "licence_number": f"{division}{established_on[:4]}{number:08d}",
        "holder_code": entity.code,
        "holder_name": entity.name,
        "entity_type": entity.entity_type,
        "representative_name": representative.name,
        "representative_id": representative.citizen_id,
        "registered_capital": entity.capital,
        "established_on": established_on,
        "valid_from": established_on,
        "valid_to": None,
        "business_scope": entity.scope,
        "address": entity.address,
        "division": division,
        "issuer_code": ISSUER_CODE,
        "issuer_name": ISSUER_NAME,
        "issued_on": established_on,
        "state": "01",
    }


def _spoilt(rng: random.Random, plan: CityPlan, credential: dict[str, Any], mess: Counter[str]) -> Any:
    kind = draw(rng, plan.mess.credentials)
    if kind is not None:
        mess[kind] += 1
    match kind:
        case "other-name":
            credential["representative_name"] += "明"
        case "unknown-holder":
            credential["holder_code"] = company_code(CITY, LONG_GONE + rng.randrange(1000))
        case "missing-field":
            del credential["issued_on"]
        case "impossible-date":
            credential["established_on"] = "2019-02-29"
        case "not-an-object":
            return "见附件"
    return credential
