"""New versions over HTTP: change, renewal and transfer name the old one, which ends; the whole history is signed."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.errors import DomainError
from foundation.identifiers import ElicenceIdentifier, Uscc
from foundation.identity.principals import Role
from foundation.settings import Settings
from foundation.signing import Algorithm, encode_base64url, verify_compact
from license_registry.issuing.issue import issue
from license_registry.lifecycle import versions
from license_registry.lifecycle.change import LicenceReplaced
from license_registry.lifecycle.states import Operation, State
from license_registry.lifecycle.versions import VersionRequest, new_version
from tests.conftest import Service
from tests.license_registry.conftest import (
    AUTHORITY,
    HOLDER,
    NOW,
    PERSON,
    STRANGER,
    issued,
    operate,
    problem,
    published_keys,
    registry,
    request,
)

OTHER = str(Uscc.compute("11990100MB2A00002"))
ES256 = frozenset({Algorithm.ES256})


@pytest.fixture(scope="module")
def receiver(service: Service) -> System:
    return service.system("other-authority", Role.ISSUING_AUTHORITY, department=OTHER)


def version(
    service: Service, authority: System, identifier: str, operation: str, **changes: Any
) -> httpx.Response:
    wanted = {"operation": operation, "reason": "依申请办理", **changes}
    return authority.call(service.http, "POST", f"/registry/v1/licences/{identifier}/versions", wanted)


def history(service: Service, system: System, identifier: str) -> dict[str, Any]:
    reply = system.call(service.http, "GET", f"/registry/v1/licences/{identifier}/history")
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def test_a_change_raises_the_version_and_ends_the_old_one(service: Service, authority: System) -> None:
    old = issued(service, authority)
    reply = version(service, authority, old["identifier"], "09", fields={"holder_name": "示范市东湖茶业集团"})
    assert reply.status_code == 201, reply.text
    new = reply.json()
    before, after = (ElicenceIdentifier.parse(each["identifier"]) for each in (old, new))
    assert (after.serial, after.version) == (before.serial, before.version + 1)
    assert after == before.next_version()
    assert new["related_identifier"] == new["replaces"] == old["identifier"]
    assert (new["number"], new["valid_until"], new["state"]) == (old["number"], old["valid_until"], "01")
    path = f"/registry/v1/licences/{old['identifier']}"
    assert authority.call(service.http, "GET", path).json()["state"] == "05"
    told = authority.call(service.http, "GET", f"/registry/v1/licences/{new['identifier']}/metadata").json()
    assert told["CZZT"] == ["示范市东湖茶业集团"]
    # The person who could present the old one presents the new one, with the new name and the old rest.
    person = service.person(PERSON)
    path = f"/registry/v1/me/licences/{new['identifier']}/credential"
    credential = service.http.get(path, headers=person).text
    claims = orjson.loads(
        verify_compact(credential.split("~")[0], published_keys(service), None, ES256).payload
    )
    assert claims["licence_identifier"] == new["identifier"]
    assert claims["holder_name"] == "示范市东湖茶业集团"
    assert claims["status"] != {}


def test_sent_again_it_is_the_same_version_and_another_change_is_refused(
    service: Service, authority: System
) -> None:
    old = issued(service, authority)["identifier"]
    change = {"fields": {"address": "示范市新区一号"}}
    first = version(service, authority, old, "09", **change)
    again = version(service, authority, old, "09", **change)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = version(service, authority, old, "09", fields={"address": "示范市新区二号"})
    assert problem(other) == (409, "licence-replaced")
    assert first.json()["identifier"] in other.json()["detail"]
    assert problem(operate(service, authority, old, "05", "04")) == (409, "licence-replaced")


def test_of_many_changes_at_once_one_takes_place(service: Service, authority: System) -> None:
    old = issued(service, authority)["identifier"]

    def change(turn: int) -> httpx.Response:
        return version(service, authority, old, "09", fields={"address": f"示范市新区{turn}号"})

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(change, range(8)))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 7
    keys = [
        key
        for (key,) in service.sql(
            "SELECT object_key FROM license_registry.licence WHERE related_identifier = %s", old
        )
    ]
    assert len(keys) == 1
    stem = keys[0].rsplit("-", 1)[0].rsplit("/", 1)[1]
    # Who came too late took its object back.
    assert len(list(service.settings.objects_folder.rglob(f"*{stem}*"))) == 1


def test_a_renewal_goes_on_where_the_old_one_ends_and_revives_what_has_lapsed(
    service: Service, authority: System
) -> None:
    old = issued(service, authority, valid_until="2098-12-31")
    new = version(service, authority, old["identifier"], "02", valid_until="2103-12-31").json()
    assert (new["valid_until"], new["state"]) == ("2103-12-31", "01")
    assert new["valid_from"] == new["issued_on"]  # at once: one version is in force at a time
    assert new["first_issued_on"] == old["first_issued_on"]
    assert operate(service, authority, new["identifier"], "04").status_code == 200
    last = version(service, authority, new["identifier"], "02", valid_until="2110-12-31")
    assert last.status_code == 201, last.text
    assert ElicenceIdentifier.parse(last.json()["identifier"]).version == 3
    told = history(service, authority, old["identifier"])
    assert [each["identifier"] for each in told["versions"]] == [
        old["identifier"],
        new["identifier"],
        last.json()["identifier"],
    ]
    # What had lapsed by itself still tells when and why.
    assert told["versions"][1]["state_reason"] == "监督检查"


@pytest.mark.parametrize(("target", "operation"), [("04", "09"), ("07", "02"), ("06", "09")])
def test_what_has_ended_has_no_new_version(
    service: Service, authority: System, target: str, operation: str
) -> None:
    old = issued(service, authority)["identifier"]
    assert operate(service, authority, old, "05", target).status_code == 200
    assert problem(version(service, authority, old, operation)) == (409, "operation-not-allowed")


def test_a_new_version_is_checked_like_any_licence(service: Service, authority: System) -> None:
    old = issued(service, authority)["identifier"]
    refused = [
        ({"fields": {"nobody_knows_this": "x"}}, "licence-fields-invalid"),
        ({"fields": {"established_on": None}}, "licence-fields-invalid"),
        ({"fields": {"holder_code": str(Uscc.compute("91990101MA0000002"))}}, "holder-invalid"),
        ({"valid_until": "2001-01-01"}, "validity-invalid"),
    ]
    for changes, code in refused:
        assert problem(version(service, authority, old, "09", **changes)) == (422, code), changes
    assert problem(version(service, authority, old, "09", number="ANOTHER1")) == (
        409,
        "operation-not-allowed",
    )
    for operation in ("01", "03", "10", "x"):
        assert problem(version(service, authority, old, operation)) == (422, "invalid-request")
    assert operate(service, authority, old, "03").json()["state"] == "02"


def test_a_transfer_goes_from_one_authority_to_the_other_and_back(
    service: Service, authority: System, receiver: System
) -> None:
    old = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{old}/operations"
    assert problem(version(service, receiver, old, "08")) == (403, "issuer-mismatch")
    out = {"operation": "05", "target": "06", "transfer_to": OTHER, "reason": "迁址"}
    assert authority.call(service.http, "POST", path, out).json()["transferred_to"] == OTHER
    # The receiver may take it in and nothing else; the issuer may take it back and not take it in.
    assert problem(operate(service, receiver, old, "10")) == (403, "actor-not-entitled")
    assert problem(version(service, authority, old, "08")) == (403, "actor-not-entitled")
    assert operate(service, authority, old, "10").json()["transferred_to"] is None
    assert problem(version(service, receiver, old, "08")) == (403, "issuer-mismatch")
    assert authority.call(service.http, "POST", path, out).status_code == 200
    reply = version(service, receiver, old, "08", issuer_name="示范市东区市场监督管理局")
    assert reply.status_code == 201, reply.text
    new = reply.json()
    identifier = ElicenceIdentifier.parse(new["identifier"])
    assert (identifier.issuer, identifier.version, new["issuer_code"]) == (OTHER, 2, OTHER)
    assert identifier.serial == ElicenceIdentifier.parse(old).serial
    assert problem(operate(service, authority, old, "10")) == (409, "licence-replaced")
    assert problem(operate(service, authority, new["identifier"], "03")) == (403, "issuer-mismatch")
    # Both authorities, and nobody else, read the whole.
    assert history(service, authority, new["identifier"]) == history(service, receiver, old)
    stranger = service.system(
        "third", Role.ISSUING_AUTHORITY, department=str(Uscc.compute("11990100MB2A00003"))
    )
    reply = stranger.call(service.http, "GET", f"/registry/v1/licences/{old}/history")
    assert problem(reply) == (404, "not-found")


def test_every_change_is_signed_and_names_the_one_before(service: Service, authority: System) -> None:
    made = issued(service, authority)["identifier"]
    for operation, target in (("03", None), ("06", None), ("07", None), ("05", "07"), ("05", "04")):
        assert operate(service, authority, made, operation, target).status_code == 200
    changes = history(service, authority, made)["changes"]
    keys = published_keys(service)
    previous = None
    for turn, each in enumerate(changes, start=1):
        told = orjson.loads(verify_compact(each["statement"], keys, "licence-change+jwt", ES256).payload)
        assert (told["sequence"], told["previous"]) == (turn, previous)
        for name in ("operation", "actor", "state_before", "state_after", "reason", "department"):
            assert told[name] == each[name]
        assert told["licence_identifier"] == made
        assert told["client"] == authority.client_id
        assert told["iss"].endswith("/registry")
        mark = hashlib.sha256(each["statement"].encode()).digest()
        previous = encode_base64url(mark)
        # The ledger's record commits to the very statement.
        ((content,),) = service.sql(
            "SELECT content FROM license_registry.event WHERE identifier = %s AND convert_from(content, 'UTF8')::jsonb"
            " ->> 'change' = %s",
            made,
            each["id"],
        )
        assert orjson.loads(content)["change_sha256"] == mark.hex()
    assert [each["state_after"] for each in changes] == ["02", "01", "99", "07", "04"]


def test_the_history_is_read_by_holder_presenter_and_auditor_only(
    service: Service, authority: System
) -> None:
    made = issued(service, authority)["identifier"]
    path = f"/registry/v1/licences/{made}/history"
    assert service.http.get(path, headers=service.person(PERSON)).status_code == 200
    assert problem(service.http.get(path, headers=service.person(STRANGER))) == (404, "not-found")
    auditor = service.system("auditor", Role.AUDITOR)
    assert auditor.call(service.http, "GET", path).status_code == 200
    counter = service.system("counter", Role.COUNTER)
    assert problem(counter.call(service.http, "GET", path)) == (403, "role-missing")
    assert problem(auditor.call(service.http, "GET", path.replace(made, "none"))) == (404, "not-found")
    assert HOLDER not in auditor.call(service.http, "GET", path).text


@pytest.mark.parametrize("where", ["put", "set_state", "add", "put_life"])
def test_who_dies_on_the_way_has_changed_nothing_and_may_try_again(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class Died(BaseException):
        pass

    def die(*_arguments: object, **_named: object) -> None:
        raise Died

    async def story() -> None:
        async with registry(settings, database_url) as ports:
            old = (await issue(ports, AUTHORITY, request(), NOW)).licence
            wanted = VersionRequest(Operation.CHANGE, "依申请办理", {"address": "示范市新区一号"})
            with monkeypatch.context() as patched:
                place = {
                    "put": (type(ports.store), "put"),
                    "set_state": (versions.tables, "set_state"),
                    "add": (versions.tables, "add"),
                    "put_life": (versions.life_tables, "add_change"),
                }[where]
                patched.setattr(*place, die)
                with pytest.raises(Died):
                    await new_version(ports, AUTHORITY, old.identifier, wanted, NOW)
            found = await versions.tables.find(ports.pool, old.identifier)
            assert found == old
            count = "SELECT count(*) FROM license_registry.licence"
            assert await ports.pool.fetchval(count) == 1
            made = await new_version(ports, AUTHORITY, old.identifier, wanted, NOW)
            assert made.fresh
            again = await new_version(ports, AUTHORITY, old.identifier, wanted, NOW)
            assert (again.fresh, again.licence, again.life) == (False, made.licence, made.life)
            assert await ports.pool.fetchval(count) == 2
            ended = await versions.tables.find(ports.pool, old.identifier)
            assert ended is not None
            assert ended.state is State.EXPIRED
            with pytest.raises(LicenceReplaced):
                other = VersionRequest(Operation.CHANGE, "依申请办理", {"address": "示范市新区二号"})
                await new_version(ports, AUTHORITY, old.identifier, other, NOW)
            assert issubclass(LicenceReplaced, DomainError)

    asyncio.run(story())


def test_a_type_of_which_one_is_in_force_changes_with_all_its_holders(
    settings: Settings, database_url: str
) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as ports:
            fields = {
                "holder_name": "张三丰",
                "holder_code": PERSON,
                "co_holders": [{"holder_name": "李四光", "holder_code": STRANGER}],
                "registered_on": "2020-05-20",
            }
            married = request(
                licence_type="marriage-certificate",
                number="J990101-2020-000001",
                fields=fields,
                valid_until=None,
                presenter=None,
            )
            old = (await issue(ports, AUTHORITY, married, NOW)).licence
            renamed = {"co_holders": [{"holder_name": "李四", "holder_code": STRANGER}]}
            made = await new_version(
                ports, AUTHORITY, old.identifier, VersionRequest(Operation.CHANGE, "更名", renamed), NOW
            )
            # Its type knows no renewal, and neither state 06 nor operation 10.
            with pytest.raises(DomainError, match="does not know operation 02"):
                await new_version(
                    ports,
                    AUTHORITY,
                    made.licence.identifier,
                    VersionRequest(Operation.RENEW, "延续", {}),
                    NOW,
                )
            for holder in (PERSON, STRANGER):
                subject = ports.vault.blind_index("citizen-id", holder)
                held = await versions.tables.of_holders(ports.pool, [subject])
                assert {each.identifier for each in held} == {old.identifier, made.licence.identifier}
            assert made.licence.presenter == old.presenter == ports.vault.blind_index("citizen-id", PERSON)

    asyncio.run(story())
