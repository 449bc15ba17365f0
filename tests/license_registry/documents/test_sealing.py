"""An OFD gets the seals that its authority has in force: put once, recorded, and verified by the commands."""

from __future__ import annotations

import asyncio
import io
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import ofdkit
import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.identity.principals import Principal, Role
from foundation.settings import Settings
from foundation.signing import Algorithm, CertificateAuthority
from foundation.signing.chain import load_roots
from license_registry.catalog.rules import Seal as Wanted
from license_registry.documents.drawing import Format
from license_registry.documents.keep import Given, give
from license_registry.documents.ofd.package import packed, unpacked
from license_registry.issuing.issue import issue as issue_inside
from license_registry.ports import Registry
from license_registry.presenting.own_trust import own_keys, root_pem
from license_registry.seals.checks import sm3
from license_registry.seals.errors import SealLacking
from license_registry.seals.keys import purpose_of
from license_registry.seals.register import SealWanted, change, register
from license_registry.seals.states import SealKind, SealOperation
from license_registry.seals.structures import ECDSA_WITH_SHA256, SM2_WITH_SM3, read_stamp
from license_registry.tables import Licence
from license_registry.verifying.command import main as verify_alone
from license_registry.verifying.file import Ways, verify_bytes
from license_registry.verifying.trust import Trust
from license_registry.verifying.verdict import Verdict
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import AUTHORITY, PERSON, issued, registry, request
from tests.license_registry.documents.test_documents import ask, events
from tests.license_registry.seals.test_register import make, operate
from zhengtong.verifying import trust_bundle, verify

OFD = "{http://www.ofdspec.org/2016}"
SIGNATURE = "Doc_0/Signs/Sign_{}/Signature.xml"


def told(service: Service, path: Path, code: int, *further: str) -> dict[str, Any]:
    done = CliRunner().invoke(verify, [str(path), "--json", *further], obj=service.settings)
    assert done.exit_code == code, done.output
    report: dict[str, Any] = orjson.loads(done.stdout)
    return report


def test_an_ofd_is_sealed_once_and_verified_by_both_commands(
    service: Service, authority: System, tmp_path: Path
) -> None:
    bare, identifier = (issued(service, authority)["identifier"] for _ in range(2))
    unsealed = ask(service, authority, bare, "ofd").content
    assert not any("Signs" in name for name in unpacked(unsealed))
    seal = make(service, authority)["id"]
    assert operate(service, authority, seal, "use").status_code == 200

    # Whoever asks first, here the holder: it is the authority's seal.
    path = f"/registry/v1/licences/{identifier}/document?format=ofd"
    data = service.http.get(path, headers=service.person(PERSON)).content
    assert ask(service, authority, identifier, "ofd").content == data
    assert ask(service, authority, bare, "ofd").content == unsealed
    (put,) = events(service, identifier, "seal-put")
    xml = zipfile.ZipFile(io.BytesIO(data)).read(SIGNATURE.format(0))
    assert (put["seal"], put["authority"], put["sm3"]) == (seal, MARKET, sm3(xml).hex())
    assert (put["place"], put["client"]) == ("/" + SIGNATURE.format(0), None)
    (made,) = events(service, identifier, "document-made")
    assert made["seals"] == [seal]
    assert events(service, bare, "document-made")[0]["seals"] == []
    with ofdkit.open(io.BytesIO(data)) as read:
        assert list(read.warnings) == []
        assert dict(read.info.custom_data)["ZZBS"] == identifier

    file = tmp_path / "licence.ofd"
    file.write_bytes(data)
    report = told(service, file, 0)
    assert report["checks"] == {"seals": True}
    part = report["parts"][SIGNATURE.format(0)]
    assert set(part["checks"].values()) == {True}
    assert part["presented"]["name"] == "示范市市场监督管理局"
    assert report["parts"]["Doc_0/Attachs/credential.sdjwt"]["fields"]["representative_name"] == "张三丰"
    root, bundle = tmp_path / "root.pem", tmp_path / "bundle"
    for command in (["root", str(root)], ["export", str(bundle)]):
        assert CliRunner().invoke(trust_bundle, command, obj=service.settings).exit_code == 0
    assert verify_alone([str(file), "--root", str(root), "--bundle", str(bundle)]) == 0
    # The root alone tells of the seal; what the licence is worth it does not.
    assert verify_alone([str(file), "--root", str(root)]) == 1
    # Nor whether a certificate was revoked, which the list tells that anybody fetches.
    assert told(service, file, 1, "--root", str(root))["checks"] == {"seals": None, "status": None}
    revoked = tmp_path / "root.crl"
    reply = service.http.get("/certificates/root.crl")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/pkix-crl")
    revoked.write_bytes(reply.content)
    assert service.http.get("/certificates/other.crl").status_code == 404
    further = ("--root", str(root), "--crl", str(revoked))
    assert told(service, file, 1, *further)["checks"] == {"seals": True, "status": None}
    assert verify_alone([str(file), "--root", str(root), "--bundle", str(bundle), "--crl", str(revoked)]) == 0

    files = unpacked(data)
    page = "Doc_0/Pages/Page_0/Content.xml"
    files[page] = files[page].replace("张三丰".encode(), "李四光".encode())
    file.write_bytes(packed(files))
    report = told(service, file, 1)
    assert page in report["parts"][SIGNATURE.format(0)]["reasons"]["digests"]
    file.write_bytes(unsealed)
    assert told(service, file, 1)["checks"] == {"seals": None}


async def in_use(ports: Registry, kind: SealKind) -> uuid.UUID:
    wanted = SealWanted(uuid.uuid4(), MARKET, kind, "示范章", None, None)
    made, _ = await register(ports, AUTHORITY, wanted, datetime.now(UTC))
    await change(ports, AUTHORITY, made.id, SealOperation.USE, None, datetime.now(UTC))
    return made.id


def verdict(ports: Registry, data: bytes) -> Verdict:
    now = datetime.now(UTC)
    root = root_pem(ports.keys, CertificateAuthority(ports.keys), now).encode()
    trust = Trust(own_keys(ports.keys), roots=load_roots(root))
    return verify_bytes(data, "file", trust, now, Ways(require_status=False))


def boxes(files: Mapping[str, bytes], number: int) -> tuple[str, list[float]]:
    (seen,) = ElementTree.fromstring(files[SIGNATURE.format(number)]).iter(f"{OFD}StampAnnot")
    return seen.attrib["PageRef"], [float(each) for each in seen.attrib["Boundary"].split()]


def test_each_seal_that_the_type_names_is_put_beside_the_other(settings: Settings, database_url: str) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as plain:
            ports = replace(plain, types={name: signed_too(type_) for name, type_ in plain.types.items()})
            seals = [await in_use(ports, kind) for kind in (SealKind.LEGAL_NAME, SealKind.PERSONAL)]
            await in_use(ports, SealKind.CONTRACT)

            async def made() -> bytes:
                licence = (await issue_inside(ports, AUTHORITY, request(), datetime.now(UTC))).licence
                return (await give(ports, AUTHORITY, licence, Format.OFD, datetime.now(UTC))).data

            data = await made()
            found = verdict(ports, data)
            assert found.valid, found.as_json()
            assert [part.told.get("seal") for part in list(found.parts.values())[:2]] == [
                s.hex for s in seals
            ]
            files = unpacked(data)
            (page, first), (other, second) = (boxes(files, number) for number in range(2))
            assert page == other
            assert second[0] + second[2] <= first[0]
            assert min(*first, *second) >= 0
            # Only the last seal covers the list of seals; nobody takes one away, or adds one, unnoticed.
            assert b"Signatures.xml" not in files[SIGNATURE.format(0)]
            assert b"Signatures.xml" in files[SIGNATURE.format(1)]

            await change(ports, AUTHORITY, seals[1], SealOperation.SUSPEND, None, datetime.now(UTC))
            assert [part.kind for part in verdict(ports, await made()).parts.values()] == [
                "seal",
                "credential",
            ]
            # A key that was replaced puts its seal on nothing more, and nothing fails.
            ports.keys.rotate(purpose_of(MARKET, SealKind.LEGAL_NAME), datetime.now(UTC))
            assert [part.kind for part in verdict(ports, await made()).parts.values()] == ["credential"]
            assert verdict(ports, data).valid
            newer = await in_use(ports, SealKind.LEGAL_NAME)
            assert next(iter(verdict(ports, await made()).parts.values())).told["seal"] == newer.hex

    asyncio.run(story())


def signed_too(type_: Any) -> Any:
    signatory = Wanted(by="signatory", name="签发人", name_en="Signatory", required=False)
    house = Wanted(by="registry", name="证照库", name_en="Registry", required=False)
    return replace(type_, seals=(*type_.seals, house, signatory))


HOUSE = "11990100MB0000002Y"


async def of_house(ports: Registry) -> uuid.UUID:
    operator = Principal("operator", "", frozenset({Role.OPERATOR}))
    wanted = SealWanted(uuid.uuid4(), HOUSE, SealKind.LEGAL_NAME, "示范市电子证照专用章", None, None)
    made, _ = await register(ports, operator, wanted, datetime.now(UTC))
    await change(ports, operator, made.id, SealOperation.USE, None, datetime.now(UTC))
    return made.id


def test_the_registry_puts_its_own_seal_where_a_type_asks_for_it(
    settings: Settings, database_url: str
) -> None:
    required = settings.model_copy(update={"required_seals": "required", "registry_authority": HOUSE})

    async def story() -> None:
        async with registry(required, database_url) as plain:
            own = Wanted(by="registry", name="证照库", name_en="Registry", required=True)
            types = {name: replace(each, seals=(*each.seals, own)) for name, each in plain.types.items()}
            ports = replace(plain, types=types)
            first = await in_use(ports, SealKind.LEGAL_NAME)
            now = datetime.now(UTC)
            with pytest.raises(SealLacking, match="registry 01") as refused:
                await issue_inside(ports, AUTHORITY, request(), now)
            assert refused.value.values["kinds"] == "registry 01"
            second = await of_house(ports)
            licence = (await issue_inside(ports, AUTHORITY, request(), now)).licence
            data = (await keep_and_read(ports, licence)).data
            found = verdict(ports, data)
            assert found.valid, found.as_json()
            told = [part.told.get("seal") for part in list(found.parts.values())[:2]]
            assert told == [first.hex, second.hex]
            # A house that does not say who runs it has no seal of its own.
            nameless = replace(ports, settings=required.model_copy(update={"registry_authority": None}))
            with pytest.raises(SealLacking, match="registry 01"):
                await issue_inside(nameless, AUTHORITY, request(), now)

    asyncio.run(story())


async def keep_and_read(ports: Registry, licence: Licence) -> Given:
    return await give(ports, AUTHORITY, licence, Format.OFD, datetime.now(UTC))


def test_a_house_goes_over_to_sm2_and_its_seals_of_before_are_still_put(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with registry(settings, database_url) as before:
            types = {name: signed_too(type_) for name, type_ in before.types.items()}
            before = replace(before, types=types)
            await in_use(before, SealKind.LEGAL_NAME)
            now = datetime.now(UTC)
            sm2 = replace(before, settings=settings.model_copy(update={"seal_algorithm": "SM2SM3"}))
            await in_use(sm2, SealKind.PERSONAL)
            licence = (await issue_inside(sm2, AUTHORITY, request(), now)).licence
            data = (await keep_and_read(sm2, licence)).data
            files = unpacked(data)
            methods = [method(files, number) for number in range(2)]
            assert methods == [ECDSA_WITH_SHA256, SM2_WITH_SM3]
            stamp = read_stamp(files["Doc_0/Signs/Sign_1/SignedValue.dat"])
            assert (stamp.algorithm, stamp.seal.algorithm) == (SM2_WITH_SM3, SM2_WITH_SM3)
            found = verdict(sm2, data)
            assert found.valid, found.as_json()
            # Who trusts the root of P-256 alone does not trust what that of SM2 certifies.
            keys = sm2.keys
            kid = CertificateAuthority(keys).chain_pem(keys.signer("credential").kid)
            root = load_roots(("-----BEGIN" + kid.split("-----BEGIN")[2]).encode())
            half = verify_bytes(
                data, "file", Trust(own_keys(keys), roots=root), datetime.now(UTC), Ways(require_status=False)
            )
            assert [part.valid for part in list(half.parts.values())[:2]] == [True, False]
            # Rotated away, the key of SM2 puts its seal on nothing more; that of P-256 does.
            keys.rotate(purpose_of(MARKET, SealKind.PERSONAL, Algorithm.SM2), datetime.now(UTC))
            licence = (await issue_inside(sm2, AUTHORITY, request(), now)).licence
            files = unpacked((await keep_and_read(sm2, licence)).data)
            assert method(files, 0) == ECDSA_WITH_SHA256
            assert SIGNATURE.format(1) not in files

    asyncio.run(story())


def method(files: Mapping[str, bytes], number: int) -> str:
    found = ElementTree.fromstring(files[SIGNATURE.format(number)]).findtext(f".//{OFD}SignatureMethod")
    assert found is not None
    return found
