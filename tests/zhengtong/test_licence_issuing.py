"""Licences from credentials that a connector brought in, and checks of types, by command."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import psycopg
import pytest

from demonstration import city
from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings
from tests.conftest import put
from tests.zhengtong.conftest import Run, one_line

ENTITIES = 40
MARKET_OF_THE_CITY = "11990100MC00000121"
SHIPPED = Path(str(resources.files("schemas"))) / "licence_types"


@pytest.fixture
def authority(database_url: str) -> System:
    system = System("market", "market", MARKET_OF_THE_CITY, frozenset({Role.ISSUING_AUTHORITY}))
    put(database_url, system.registration())
    return system


@pytest.fixture
def brought_in(run: Run, tmp_path: Path) -> None:
    """A city's registers without mess, brought in as departments would."""
    plan = city.CityPlan(people=ENTITIES * 15, mess=city.Mess({}, {}, {}))
    for source, write in (
        ("population", city.write_population),
        ("legal-entities", city.write_legal_entities),
        ("credentials", city.write_credentials),
    ):
        path = tmp_path / source
        write(plan, path)
        done = run("ingest", source, "--file", str(path), "--json")
        assert done.exit_code == 0, done.output


def licences(address: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(address) as connection:
        return connection.execute(
            "SELECT number, issuer, origin FROM license_registry.licence ORDER BY number"
        ).fetchall()


def credentials(address: str) -> int:
    with psycopg.connect(address) as connection:
        found = connection.execute("SELECT count(*) FROM exchange.credential").fetchone()
    assert found is not None
    return int(found[0])


@pytest.mark.usefixtures("brought_in")
def test_credentials_of_a_source_become_licences_once(
    run: Run, settings: Settings, database_url: str, authority: System
) -> None:
    there = credentials(database_url)
    assert there >= ENTITIES - 1
    with psycopg.connect(database_url) as connection:
        (suspended, foreign, unknown) = (
            row[0]
            for row in connection.execute("SELECT subject FROM exchange.credential ORDER BY subject LIMIT 3")
        )
        change = "UPDATE exchange.credential SET content = content || %s::jsonb WHERE subject = %s"
        connection.execute(change, ['{"state": "02"}', suspended])
        connection.execute(change, ['{"issuer_code": "11990100MB2A00002U"}', foreign])
        connection.execute(change, ['{"holder_name": "别的公司"}', unknown])
    command = ("licence", "issue-from", "credentials", "--client", "market", "--json")
    told = json.loads(run(*command).stdout)
    assert (told["rows"], told["issued"], told["known"], told["refused"]) == (there - 2, there - 3, 0, 1)
    assert (told["not_in_force"], told["of_others"], told["reasons"]) == (1, 1, {"holder-differs": 1})
    made = licences(database_url)
    assert len(made) == there - 3
    assert {row[1:] for row in made} == {(MARKET_OF_THE_CITY, "credential")}

    again = json.loads(run(*command).stdout)
    (first,) = told["jobs"]
    assert (again["jobs"][0], again["issued"], again["reasons"]) == (first, told["issued"], told["reasons"])
    with psycopg.connect(database_url) as connection:
        connection.execute(change, ['{"state": "01"}', suspended])
    later = json.loads(run(*command).stdout)
    assert (later["issued"], later["known"], later["refused"]) == (1, there - 3, 1)
    assert len(licences(database_url)) == there - 2
    assert not list((settings.objects_folder / "issuing").glob("*"))


@pytest.mark.usefixtures("brought_in", "authority")
def test_what_was_refused_for_how_things_stood_is_asked_for_again(run: Run, database_url: str) -> None:
    there = credentials(database_url)
    command = ("licence", "issue-from", "credentials", "--client", "market", "--json")
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE aside AS SELECT * FROM exchange.legal_entity")
        connection.execute("TRUNCATE exchange.legal_entity")
    told = json.loads(run(*command).stdout)
    assert (told["issued"], told["reasons"]) == (0, {"holder-unknown": there})
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO exchange.legal_entity SELECT * FROM aside")
    for _time in range(2):
        told = json.loads(run(*command).stdout)
        assert (told["rows"], told["issued"], told["refused"], told["reasons"]) == (there, there, 0, {})
        assert len(licences(database_url)) == there


def test_only_a_system_of_an_issuing_authority_issues(run: Run, database_url: str) -> None:
    put(database_url, System("tax", "tax", MARKET_OF_THE_CITY, frozenset({Role.COUNTER})).registration())
    for client in ("tax", "nobody"):
        refused = one_line(run("licence", "issue-from", "credentials", "--client", client))
        assert f"{client} is no system of an issuing authority" in refused


def test_a_folder_of_a_type_is_checked_and_then_listed(run: Run, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "snack-permit" / "1"
    shutil.copytree(SHIPPED / "food-permit" / "1", folder)
    assert "food-permit" not in one_line(run("licence", "check-type", str(folder))).split(":")[0]
    told = json.loads((folder / "type.json").read_text(encoding="utf-8"))
    told |= {"id": "snack-permit", "vct": "urn:city:snack-permit:1"}
    told["type_code"]["value"] = "11990100MB2A00001X001"
    (folder / "type.json").write_text(json.dumps(told), encoding="utf-8")
    assert "snack-permit" in run("licence", "check-type", str(folder)).stdout
    shutil.copytree(folder.parent, settings.licence_types_folder / "snack-permit")
    listed = {each["id"]: each for each in json.loads(run("licence", "types", "--json").stdout)}
    assert len(listed) == 13
    assert listed["snack-permit"]["type_code"] == "11990100MB2A00001X001"
