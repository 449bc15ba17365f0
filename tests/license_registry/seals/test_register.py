"""Seals over HTTP: made once, put into use, put on data, stopped at once; and who may not."""

from __future__ import annotations

import uuid
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.identity.principals import Role
from foundation.settings import Settings, load_master_key
from foundation.signing import CertificateAuthority, KeyStore
from license_registry.seals.certificates import Certificate, read_certificate
from license_registry.seals.checks import check_seal, check_stamp, sm3
from license_registry.seals.keys import MAKER_PURPOSE, chain
from license_registry.seals.pictures import drawn
from license_registry.seals.structures import read_seal, read_stamp
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import PERSON, problem
from zhengtong.cli import main

SEALS = "/registry/v1/seals"
DATA = "证照文件".encode()
OTHER = "11990100MB0000002Y"


def wanted(**changes: Any) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "kind": "01", "name": "示范市市场监督管理局", **changes}


def make(service: Service, authority: System, **changes: Any) -> dict[str, Any]:
    reply = authority.call(service.http, "POST", SEALS, wanted(**changes))
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


def operate(service: Service, who: System, seal: str, operation: str) -> httpx.Response:
    return who.call(service.http, "POST", f"{SEALS}/{seal}/operations", {"operation": operation})


def stamp(service: Service, who: System, seal: str) -> httpx.Response:
    told = {"sm3": sm3(DATA).hex(), "place": "/Doc_0/Signs/Sign_0/Signature.xml"}
    return who.call(service.http, "POST", f"{SEALS}/{seal}/stamps", told)


def root_of(service: Service, authority: System) -> list[Certificate]:
    """The house's root, as anybody fetches it beside a certificate."""
    seal = read_seal(b64decode(make(service, authority)["seal"]))
    kid = read_certificate(seal.certificate).name.removeprefix("Common Name: ")
    reply = service.http.get(f"/certificates/{kid}.pem")
    assert reply.status_code == 200, reply.text
    leaf, root = chain(reply.content)
    assert leaf.der == seal.certificate
    return [root]


def test_a_seal_is_made_used_and_stopped(service: Service, authority: System) -> None:
    made = make(service, authority, picture=b64encode(drawn().data).decode(), width=42, height=30)
    assert (made["state"], made["authority"], made["kind"]) == ("made", MARKET, "01")
    seal = read_seal(b64decode(made["seal"]))
    picture = seal.content.picture
    assert (seal.content.kind, seal.content.name, picture.width, picture.height) == (1, made["name"], 42, 30)

    assert problem(stamp(service, authority, made["id"])) == (409, "seal-not-in-force")
    assert operate(service, authority, made["id"], "use").json()["state"] == "in-use"
    reply = stamp(service, authority, made["id"])
    assert reply.status_code == 200, reply.text
    put = read_stamp(b64decode(reply.json()["stamp"]))
    assert put.seal.der == seal.der
    roots = root_of(service, authority)
    assert check_stamp(put, roots, roots, datetime.now(UTC), sm3(DATA)).good
    assert check_seal(seal, roots, datetime.now(UTC)).good
    assert check_stamp(put, roots, roots, datetime.now(UTC), sm3(DATA + b".")).checks["data"] is False

    assert operate(service, authority, made["id"], "suspend").json()["state"] == "suspended"
    assert problem(stamp(service, authority, made["id"])) == (409, "seal-not-in-force")
    assert operate(service, authority, made["id"], "use").status_code == 200
    assert operate(service, authority, made["id"], "end").json()["state"] == "ended"
    assert problem(operate(service, authority, made["id"], "use")) == (409, "seal-change-not-allowed")
    shown = authority.call(service.http, "GET", f"{SEALS}/{made['id']}").json()
    assert (shown["state"], shown["seal"]) == ("ended", made["seal"])


def test_asking_again_makes_no_second_seal(service: Service, authority: System) -> None:
    asked = wanted(valid_from="2025-01-01")
    first, again = (authority.call(service.http, "POST", SEALS, asked) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = authority.call(service.http, "POST", SEALS, {**asked, "name": "另一枚"})
    assert problem(other) == (409, "seal-id-taken")
    events = "SELECT count(*) FROM license_registry.event WHERE kind = 'seal-made' AND convert_from(content, 'UTF8')"
    assert service.sql(f"{events} LIKE %s", f"%{asked['id']}%") == [(1,)]


def test_another_authority_has_no_hand_in_it(service: Service, authority: System) -> None:
    made = make(service, authority)["id"]
    operate(service, authority, made, "use")
    other = service.system("other-authority", Role.ISSUING_AUTHORITY, department=OTHER)
    assert problem(other.call(service.http, "GET", f"{SEALS}/{made}")) == (404, "not-found")
    assert other.call(service.http, "GET", SEALS).json() == {"seals": []}
    assert problem(operate(service, other, made, "end")) == (403, "seal-not-yours")
    assert problem(stamp(service, other, made)) == (403, "seal-not-yours")
    assert problem(other.call(service.http, "POST", SEALS, wanted(authority=MARKET))) == (
        403,
        "seal-not-yours",
    )
    operator = service.system("seal-operator", Role.OPERATOR)
    assert operator.call(service.http, "POST", SEALS, wanted(authority=OTHER)).status_code == 201
    assert operate(service, operator, made, "suspend").status_code == 200
    assert [each["authority"] for each in other.call(service.http, "GET", SEALS).json()["seals"]] == [OTHER]
    assert problem(operate(service, authority, str(uuid.uuid4()), "use")) == (404, "not-found")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"picture": b64encode(b"GIF89a").decode()}, (422, "seal-picture-unreadable")),
        ({"valid_from": "2025-02-01", "valid_until": "2025-01-01"}, (422, "seal-validity-invalid")),
        ({"valid_until": "2999-01-01"}, (422, "seal-validity-invalid")),
        ({"kind": "77"}, (422, "invalid-request")),
        ({"name": PERSON}, (422, "invalid-request")),
    ],
)
def test_what_makes_no_seal(
    service: Service, authority: System, changes: dict[str, Any], code: tuple[int, str]
) -> None:
    assert problem(authority.call(service.http, "POST", SEALS, wanted(**changes))) == code


def test_the_operators_commands(settings: Settings, database_url: str, tmp_path: Path) -> None:
    def run(*words: str, code: int = 0) -> str:
        options = {"ZHENGTONG_HOME": str(settings.home), "ZHENGTONG_DATABASE_URL": database_url}
        result = CliRunner(env=options).invoke(main, ["seal", *words], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    made = orjson.loads(run("make", "--authority", MARKET, "--name", "示范章", "--use", "--json"))
    assert made["state"] == "in-use"
    file, root = tmp_path / "seal.esl", tmp_path / "root.pem"
    run("show", made["id"], "--file", str(file))
    keys = KeyStore(settings.keys_folder / "signing", load_master_key(settings))
    text = CertificateAuthority(keys).chain_pem(keys.signer(MAKER_PURPOSE).kid)
    root.write_text("-----BEGIN" + text.split("-----BEGIN")[2], encoding="ascii")
    # Whether the maker's certificate was revoked is not known without the list of its authority.
    assert "? 制章者证书未被吊销" in run("verify", str(file), "--root", str(root), code=1)
    options = {"ZHENGTONG_HOME": str(settings.home), "ZHENGTONG_DATABASE_URL": database_url}
    revoked = str(tmp_path / "revoked.pem")
    assert CliRunner(env=options).invoke(main, ["trust-bundle", "revocations", revoked]).exit_code == 0
    report = orjson.loads(run("verify", str(file), "--root", str(root), "--crl", revoked, "--json"))
    assert report["good"]
    assert set(report["checks"].values()) == {True}
    assert "maker_not_revoked" in report["checks"]
    spoiled = bytearray(file.read_bytes())
    spoiled[40] ^= 1  # within its number
    file.write_bytes(spoiled)
    assert "✗ 制章者签名" in run("verify", str(file), "--root", str(root), code=1)
    file.write_bytes(b"nothing")
    assert "不是电子印章" in run("verify", str(file), "--root", str(root), code=1)
    root.write_bytes(b"nothing")
    run("verify", str(file), "--root", str(root), code=1)
    run("make", "--authority", "nobody", "--name", "x", code=2)
    assert "suspended" in run("suspend", made["id"], "--reason", "查处")
    assert "ended" in run("end", made["id"])
    assert "ended" in run("list", "--authority", MARKET)
    assert "ended" in run("use", made["id"], code=1)
