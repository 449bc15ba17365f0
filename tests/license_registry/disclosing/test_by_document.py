"""Documents verified over HTTP: a sealed OFD check by check, a PDF by its bytes, and what would cost too much refused."""

from __future__ import annotations

import io
import time
import zipfile
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from demonstration.parties import System
from foundation.settings import load_master_key
from foundation.signing import KeyStore
from license_registry.disclosing.by_document import LONGEST_UNPACKED
from license_registry.disclosing.by_file import LONGEST_UPLOAD
from license_registry.documents.ofd.package import packed, unpacked
from license_registry.seals.keys import purpose_of
from license_registry.seals.states import SealKind
from license_registry.verifying.ofd import MOST_SEALS
from tests.conftest import MARKET, Service
from tests.license_registry.conftest import issued, operate, problem
from tests.license_registry.documents.test_documents import ask
from tests.license_registry.documents.test_sealing import SIGNATURE
from tests.license_registry.seals.test_register import make
from tests.license_registry.seals.test_register import operate as operate_seal

ROOT = "/registry/v1"
PAGE = "Doc_0/Pages/Page_0/Content.xml"
INSIDE = "Doc_0/Attachs/credential.sdjwt"


@pytest.fixture(scope="module")
def seal(service: Service, authority: System) -> str:
    made: str = make(service, authority)["id"]
    assert operate_seal(service, authority, made, "use").status_code == 200
    return made


def upload(service: Service, system: System, data: bytes) -> httpx.Response:
    token = system.token(service.http, "urn:zhengtong:license-registry")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    return service.http.post(f"{ROOT}/file-verifications?case=2025-9", content=data, headers=headers)


def verified(service: Service, system: System, data: bytes) -> dict[str, Any]:
    reply = upload(service, system, data)
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def records(service: Service, identifier: str | None) -> list[dict[str, Any]]:
    rows = service.sql(
        "SELECT content FROM license_registry.event WHERE kind = 'file-verified'"
        " AND identifier IS NOT DISTINCT FROM %s ORDER BY recorded_at",
        identifier,
    )
    return [orjson.loads(content) for (content,) in rows]


def test_an_ofd_is_told_seal_by_seal_with_the_state_of_this_moment(
    service: Service, authority: System, counter: System, seal: str
) -> None:
    identifier = issued(service, authority)["identifier"]
    data = ask(service, authority, identifier, "ofd").content
    told = verified(service, counter, data)
    assert (told["kind"], told["result"], told["valid"], told["checks"]) == ("ofd", 0, True, {"seals": True})
    part = told["parts"][SIGNATURE.format(0)]
    assert set(part["checks"].values()) == {True}
    assert {"signer_not_revoked", "maker_not_revoked", "covered"} <= set(part["checks"])
    assert part["presented"]["seal"].replace("-", "") == seal.replace("-", "")
    assert told["parts"][INSIDE]["checks"]["status"] is True
    assert told["parts"][INSIDE]["fields"]["licence_identifier"] == identifier
    (record,) = records(service, identifier)
    assert (record["form"], record["result"], record["case"]) == ("ofd", 0, "2025-9")

    files = unpacked(data)
    files[PAGE] = files[PAGE].replace("张三丰".encode(), "李四光".encode())
    forged = verified(service, counter, packed(files))
    assert (forged["result"], forged["checks"]) == (3, {"seals": False})
    assert PAGE in forged["parts"][SIGNATURE.format(0)]["reasons"]["digests"]

    assert operate(service, authority, identifier, "05", "07").status_code == 200
    service.http.get(f"{ROOT}/status-lists/0")

    time.sleep(1.1)  # a list is kept for a second
    ended = verified(service, counter, data)
    assert (ended["result"], ended["checks"]) == (3, {"seals": True})
    assert ended["parts"][INSIDE]["checks"]["status"] is False


def test_a_pdf_is_told_by_its_bytes(service: Service, authority: System, counter: System) -> None:
    identifier = issued(service, authority)["identifier"]
    data = ask(service, authority, identifier).content
    told = verified(service, counter, data)
    assert (told["kind"], told["result"], told["checks"]) == ("document", 0, {"digests": True})
    assert told["parts"]["credential.sdjwt"]["fields"]["licence_identifier"] == identifier
    assert records(service, identifier)[0]["form"] == "document"
    other = verified(service, counter, data + b"\n")
    assert (other["result"], other["valid"], other["checks"]) == (5, False, {"digests": False})
    assert other["reasons"]["digests"]
    assert other["fields"] == {}
    assert "parts" not in other
    assert records(service, None)[-1]["result"] == 5
    # So does whoever asks by the interfaces of other platforms.
    token = counter.token(service.http, "urn:zhengtong:license-registry")
    use = "matter=m-1&case=2025-9&use_cause=x"
    reply = service.http.post(
        f"{ROOT}/sharing/file-verifications?{use}",
        content=data,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"},
    )
    assert (reply.status_code, reply.json()["result"]) == (200, 0), reply.text


def test_what_would_cost_too_much_is_refused(service: Service, counter: System, seal: str) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("OFD.xml", "<OFD/>")
        package.writestr("bomb", bytes(LONGEST_UNPACKED))
    assert len(held.getvalue()) < 200_000
    assert problem(upload(service, counter, held.getvalue())) == (422, "file-unreadable")
    entries = "".join(f'<Signature BaseLoc="/s{turn}.xml"/>' for turn in range(MOST_SEALS + 1))
    listed = {
        "OFD.xml": b"<OFD><Signatures>/list.xml</Signatures></OFD>",
        "list.xml": f"<Signatures>{entries}</Signatures>".encode(),
    }
    assert problem(upload(service, counter, packed(listed))) == (422, "file-unreadable")
    entity = b'<!DOCTYPE x [<!ENTITY a "aa">]><OFD><Signatures>&a;</Signatures></OFD>'
    assert problem(upload(service, counter, packed({"OFD.xml": entity}))) == (422, "file-unreadable")
    # Larger than other bodies, and no larger than a document.
    large = packed({"OFD.xml": b"<OFD/>"}) + bytes(2 << 20)
    assert upload(service, counter, large).status_code in {200, 422}
    assert problem(upload(service, counter, bytes(LONGEST_UPLOAD + 1))) == (413, "body-too-large")


def test_seals_by_a_key_that_others_may_have_hold_no_more_and_are_put_on_nothing(
    service: Service, authority: System, counter: System, seal: str
) -> None:

    identifier = issued(service, authority)["identifier"]
    data = ask(service, authority, identifier, "ofd").content
    assert verified(service, counter, data)["valid"]
    keys = KeyStore(service.settings.keys_folder / "signing", load_master_key(service.settings))
    purpose = purpose_of(MARKET, SealKind.LEGAL_NAME)
    kid = keys.signer(purpose).kid
    keys.rotate(purpose, datetime.now(UTC))
    keys.revoke(kid, datetime.now(UTC))
    told = verified(service, counter, data)
    part = told["parts"][SIGNATURE.format(0)]
    assert (told["valid"], part["checks"]["signer_not_revoked"]) == (False, False)
    assert part["reasons"]["signer_not_revoked"]
    # The maker's key revoked, its seals are put on nothing, though their own keys are good.
    newer = make(service, authority)["id"]
    assert operate_seal(service, authority, newer, "use").status_code == 200
    wanted = {"sm3": "00" * 32, "place": "/x"}
    path = f"{ROOT}/seals/{newer}/stamps"
    assert authority.call(service.http, "POST", path, wanted).status_code == 200
    maker = keys.signer("seal-maker").kid
    keys.rotate("seal-maker", datetime.now(UTC))
    keys.revoke(maker, datetime.now(UTC))
    assert problem(authority.call(service.http, "POST", path, wanted)) == (409, "seal-not-in-force")
