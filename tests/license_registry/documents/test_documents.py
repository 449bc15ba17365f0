"""The document of a licence in a running house: who gets it, that it is one, and that nothing is half kept."""

from __future__ import annotations

import asyncio
import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import ofdkit
import orjson
import psycopg
import pypdf
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings
from license_registry.documents import keep as story
from license_registry.documents import tables
from license_registry.documents.drawing import Format
from license_registry.documents.errors import TemplateLacking
from license_registry.documents.keep import give
from license_registry.issuing.issue import issue as issue_inside
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import (
    AUTHORITY,
    NOW,
    PERSON,
    STRANGER,
    body,
    issued,
    problem,
    registry,
    request,
)
from tests.license_registry.disclosing.test_copies import fetch
from tests.license_registry.disclosing.test_disclosing import grant
from zhengtong.cli import main
from zhengtong.keeping import document_command, scrub_command
from zhengtong.verifying import verify

ROOT = "/registry/v1"
KEY = "SELECT object_key FROM license_registry.document WHERE identifier = %s"
ROWS = "SELECT format, encode(sha256, 'hex'), bytes FROM license_registry.document WHERE identifier = %s"


def ask(service: Service, system: System, identifier: str, form: str = "pdf") -> httpx.Response:
    return system.call(service.http, "GET", f"{ROOT}/licences/{identifier}/document?format={form}")


def texts(data: bytes) -> str:
    return "".join("".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages).split())


def events(service: Service, identifier: str, kind: str) -> list[dict[str, Any]]:
    rows = service.sql(
        "SELECT content FROM license_registry.event WHERE identifier = %s AND kind = %s ORDER BY recorded_at",
        identifier,
        kind,
    )
    return [orjson.loads(content) for (content,) in rows]


def test_issuer_and_holder_get_the_same_document(service: Service, authority: System) -> None:
    identifier = issued(service, authority, issuer_name="示范市市场监督管理局")["identifier"]
    first = ask(service, authority, identifier)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/pdf"), first.text
    text = texts(first.content)
    for told in (
        "营业执照",
        "示范市东湖茶业有限公司",
        "张三丰",
        "2099年12月31日",
        "示范市市场监督管理局",
        identifier,
    ):
        assert told in text
    path = f"{ROOT}/licences/{identifier}/document"
    again = service.http.get(path, headers=service.person(PERSON))
    assert again.content == first.content
    assert again.headers["cache-control"] == "no-store"
    digest = hashlib.sha256(first.content).hexdigest()
    assert service.sql(ROWS, identifier) == [("pdf", digest, len(first.content))]
    (made,) = events(service, identifier, "document-made")
    assert made["document_sha256"] == digest
    given = events(service, identifier, "document-given")
    assert [each["sha256"] for each in given] == [digest, digest]
    assert given[1]["subject"] is not None
    ((key,),) = service.sql(KEY, identifier)
    stored = service.settings.objects_folder / key
    assert b"%PDF" not in stored.read_bytes()


def test_an_ofd_has_the_metadata_of_the_licence_and_its_credential(
    service: Service, authority: System
) -> None:
    made = issued(service, authority)
    data = ask(service, authority, made["identifier"], "ofd").content
    with ofdkit.open(io.BytesIO(data)) as read:
        told = dict(read.info.custom_data)
    assert told["ZZBS"] == made["identifier"]
    assert (told["ZZBH"], told["ZZMC"], told["CZZT"]) == (
        made["number"],
        "营业执照",
        "示范市东湖茶业有限公司",
    )
    assert told["KZ_representative_name"] == "张三丰"
    attached = attached_to(data)
    (service.settings.home / "credential").write_bytes(attached)
    done = CliRunner().invoke(
        verify, [str(service.settings.home / "credential"), "--json"], obj=service.settings
    )
    assert orjson.loads(done.stdout)["fields"]["representative_name"] == "张三丰", done.output


def attached_to(data: bytes, name: str = "credential.sdjwt") -> bytes:
    return zipfile.ZipFile(io.BytesIO(data)).read(f"Doc_0/Attachs/{name}")


def test_nobody_else_learns_that_there_is_a_licence(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]
    other = service.system("other-authority", Role.ISSUING_AUTHORITY, department="11990100MB2A00002N")
    path = f"{ROOT}/licences/{identifier}/document"
    assert problem(ask(service, other, identifier)) == (404, "not-found")
    assert problem(service.http.get(path, headers=service.person(STRANGER))) == (404, "not-found")
    assert problem(ask(service, authority, identifier + "0")) == (404, "not-found")
    assert problem(ask(service, service.system("c", Role.COUNTER), identifier)) == (403, "role-missing")
    assert problem(ask(service, authority, identifier, "docx")) == (422, "invalid-request")
    assert service.sql(ROWS, identifier) == []


def test_many_at_once_get_one_document(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]
    folder = service.settings.objects_folder / "documents"
    before = set(folder.glob("*"))
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: ask(service, authority, identifier, "ofd"), range(6)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.content for reply in replies}) == 1
    assert len(service.sql(ROWS, identifier)) == len(events(service, identifier, "document-made")) == 1
    assert len(set(folder.glob("*")) - before) == 1


def test_an_altered_document_is_not_given_out_and_found(service: Service, authority: System) -> None:
    identifier = issued(service, authority)["identifier"]
    whole = ask(service, authority, identifier).content
    ((key,),) = service.sql(KEY, identifier)
    path = service.settings.objects_folder / key
    kept = path.read_bytes()
    path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    assert problem(ask(service, authority, identifier)) == (500, "object-altered")
    done = CliRunner().invoke(scrub_command, ["--json"], obj=service.settings)
    (finding,) = orjson.loads(done.stdout)["findings"]
    assert (finding["licence"], finding["object"]) == (identifier, key)
    path.write_bytes(kept)
    assert ask(service, authority, identifier).content == whole


def test_a_character_that_no_font_has_is_refused_without_telling_it(
    service: Service, authority: System
) -> None:
    fields = {**body()["fields"], "representative_name": "张\U0002a6a5"}
    identifier = issued(service, authority, fields=fields)["identifier"]
    reply = ask(service, authority, identifier)
    assert problem(reply) == (422, "document-character-lacking")
    assert "representative_name" in reply.text
    assert "\U0002a6a5" not in reply.text


@pytest.mark.parametrize("form", ["pdf", "ofd"])
def test_a_copy_for_a_department_is_marked_and_shows_what_was_granted(
    service: Service, authority: System, form: str, tmp_path: Path
) -> None:
    department = service.system("tax-office", Role.DEPARTMENT_SYSTEM)
    assert (
        grant(service, service.system("data-bureau", Role.SHARING_AUTHORITY), department).status_code == 201
    )
    identifier = issued(service, authority)["identifier"]
    wanted = {"identifier": identifier, "matter": "tax-registration", "case": "2025-77", "format": form}
    made = department.call(service.http, "POST", f"{ROOT}/department/copies", wanted)
    assert made.status_code == 201, made.text
    reply = fetch(service, department, made.json())
    assert reply.headers["content-type"] == f"application/{form}"
    assert hashlib.sha256(reply.content).hexdigest() == made.json()["sha256"]
    if form == "pdf":
        text = texts(reply.content)
        (signed,) = pypdf.PdfReader(io.BytesIO(reply.content)).attachments["marked-copy.jws"]
    else:
        with ofdkit.open(io.BytesIO(reply.content)) as read:
            text = "".join(read.text().split())
            told = dict(read.info.custom_data)
        assert (told["JZJZZZ"], told["JZJZZSY"], told["JZJYXQJZSJ"]) == (
            MARKET,
            "税务登记核验",
            made.json()["valid_until"],
        )
        assert "KZ_business_scope" not in told
        signed = attached_to(reply.content, "marked-copy.jws")
    assert f"加注件仅供{MARKET}使用，用于：税务登记核验" in text
    assert "办件：2025-77" in text
    assert "张三丰" in text
    assert "茶叶种植" not in text
    (tmp_path / "copy").write_bytes(bytes(signed))
    done = CliRunner().invoke(verify, [str(tmp_path / "copy"), "--json"], obj=service.settings)
    assert orjson.loads(done.stdout)["presented"]["case"] == "2025-77"
    # The department gets a copy, never the holder's own document.
    assert problem(ask(service, department, identifier)) == (403, "role-missing")


def test_the_command_writes_the_document_and_refuses_on_one_line(
    service: Service, authority: System, tmp_path: Path
) -> None:
    identifier = issued(service, authority)["identifier"]
    whole = ask(service, authority, identifier).content
    target = str(tmp_path / "out.pdf")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(document_command, [*arguments, "--to", target], obj=service.settings)

    done = run(identifier)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out.pdf").read_bytes() == whole
    for arguments, said in (
        ((identifier, "--format", "docx"), "pdf or ofd"),
        (("1.2.3",), "no such licence"),
    ):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert said in refused.output
        assert len(refused.output.strip().splitlines()) == 1
    assert "document" in CliRunner().invoke(main, ["licence", "--help"]).output


@pytest.mark.parametrize("persisted", [False, True])
def test_dying_between_store_and_row_leaves_nothing_half_kept(
    settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch, persisted: bool
) -> None:
    async def work() -> None:
        async with registry(settings, database_url) as ports:
            licence = (await issue_inside(ports, AUTHORITY, request(), NOW)).licence
            add = tables.add

            async def dies(*arguments: Any) -> bool:
                if persisted:
                    await add(*arguments)
                raise ConnectionResetError

            monkeypatch.setattr(story.tables, "add", dies)
            with pytest.raises(ConnectionResetError):
                await give(ports, AUTHORITY, licence, Format.PDF, NOW)
            monkeypatch.setattr(story.tables, "add", add)
            first = await give(ports, AUTHORITY, licence, Format.PDF, NOW)
            assert (await give(ports, AUTHORITY, licence, Format.PDF, NOW)).data == first.data
            lacking = {name: replace(each, layout=None) for name, each in ports.types.items()}
            with pytest.raises(TemplateLacking):
                await give(replace(ports, types=lacking), AUTHORITY, licence, Format.OFD, NOW)

    asyncio.run(work())
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM license_registry.document").fetchone() == (1,)
        made = "SELECT count(*) FROM license_registry.event WHERE kind = 'document-made'"
        assert connection.execute(made).fetchone() == (1,)
    # What was put before is named by nothing where its row was not written.
    assert len(list((settings.objects_folder / "documents").iterdir())) == (1 if persisted else 2)
