"""Closed cases over HTTP: packed by themselves, given to who decided, verified alone by the root certificate."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.identity.principals import Role
from license_registry.store.objects import FileStore, StoreFull, StoreUnavailable
from license_registry.verifying.command import main as verify_alone
from tests.conftest import Service
from tests.exchange.archives.closing import (
    CODE,
    carried_through,
    close,
    fetched,
    licence_shown,
    prepare,
    retried,
    state,
    wait,
)
from tests.exchange.plans.conftest import PERSON
from tests.exchange.plans.conftest import fund as fund
from tests.exchange.plans.conftest import register as register
from zhengtong.keeping import scrub_command
from zhengtong.verifying import trust_bundle, verify

CASE = "2025/a-1"


def problem(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json()["type"].removeprefix("urn:zhengtong:problem:")


@pytest.fixture(scope="module")
def closed(service: Service, fund: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package of a closed case, its plan, the root certificate and a trust bundle."""
    folder = tmp_path_factory.mktemp("closed")
    prepare(service, fund)
    plan = carried_through(service, fund, CASE)
    (folder / "plan.json").write_bytes(orjson.dumps(plan))
    (folder / "licence").write_text(licence_shown(service, fund, CASE))
    close(service, fund, CASE)
    wait(service, fund, CASE)
    (folder / "package.zip").write_bytes(fetched(service, fund, CASE).content)
    for arguments in (["root", str(folder / "root")], ["export", str(folder / "bundle")]):
        assert CliRunner().invoke(trust_bundle, arguments, obj=service.settings).exit_code == 0
    return folder


def members(folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(folder / "package.zip") as package:
        return {name: package.read(name) for name in package.namelist()}


def repacked(path: Path, files: dict[str, bytes]) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as package:
        for name, data in files.items():
            package.writestr(name, data)
    path.write_bytes(held.getvalue())


def alone(
    folder: Path, package: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, dict[str, Any]]:
    code = verify_alone([str(package), "--root", str(folder / "root"), "--json", *more])
    return code, orjson.loads(capsys.readouterr().out)


def last_record(service: Service, event: str) -> dict[str, Any]:
    rows = service.sql("SELECT content FROM exchange.access_record ORDER BY recorded_at")
    found = [orjson.loads(content) for (content,) in rows]
    return dict([each for each in found if each["event"] == event][-1])


def test_the_package_holds_all_that_the_case_rests_on(service: Service, fund: System, closed: Path) -> None:
    files, plan = members(closed), orjson.loads((closed / "plan.json").read_bytes())
    identifier = (closed / "licence").read_text()
    assert files[f"plans/{plan['plan']}.jws"].decode() == plan["statement"]
    for each in plan["answers"]:
        assert files[f"answers/{each['record']}.jws"].decode() == each["answer"]
    (consent,) = orjson.loads(files["case/consents.json"])
    assert consent["material"] == "age"
    assert f"answers/{consent['answers'][0]}.jws" in files
    (promise,) = orjson.loads(files["case/commitments.json"])
    assert f"commitments/{promise['commitment']}.jws" in files
    said = orjson.loads(_payload(files[f"commitments/{promise['commitment']}.jws"]))
    text = promise["text"]
    spelled = "".join(f"{text[name]}\0" for name in ("text", "text_en", "consequences", "consequences_en"))
    assert hashlib.sha256(spelled.encode()).hexdigest() == said["text_sha256"]
    seen = orjson.loads(files["case/licences.json"])
    assert {each["event"] for each in seen} == {"presentation-verified", "seen-by-grant", "copy-made"}
    assert {each["licence"] for each in seen} == {identifier}
    (copy,) = [each["copy"] for each in seen if each["copy"]]
    assert orjson.loads(_payload(files[copy]))["marked"]["case"] == CASE
    outcome = orjson.loads(files["case/outcome.json"])
    assert (outcome["matter"], outcome["case"], outcome["result"]) == (CODE, CASE, "granted")
    states = {
        each["id"]: each["state"] for each in orjson.loads(files["case/materials.json"])[0]["materials"]
    }
    assert states == {"identity": "settled", "age": "settled", "site": "settled", "form": "to-bring"}
    # Who it is about stands in it as in the answers: as a salted digest.
    for name, data in files.items():
        assert PERSON.encode() not in data, name
    # Every record is proved: plan, two answers, release, signature, outcome; and three events of the licence.
    proofs = orjson.loads(files["receipts/proofs.json"])["proofs"]
    assert len(proofs) == 9
    assert outcome["outcome"] == state(service, fund, CASE)["outcome"]
    manifest = orjson.loads(files["manifest.json"])
    assert manifest["metadata"]["title"] == "住房公积金提取"
    assert {each["path"] for each in manifest["files"]} == set(files) - {"manifest.json", "manifest.jws"}


def _payload(token: bytes) -> bytes:
    part = token.decode().split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_it_is_verified_alone_by_the_root_certificate(
    service: Service, closed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--bundle", str(closed / "bundle")]):
        code, found = alone(closed, closed / "package.zip", capsys, *more)
        assert (code, found["kind"], found["result"]) == (0, "archive", 0), found
        assert found["checks"] == dict.fromkeys(
            ("signature", "certificate", "issuer", "digests", "log"), True
        )
        kinds = sorted(part["kind"] for part in found["parts"].values())
        assert kinds == ["answer", "answer", "commitment", "marked-copy", "plan", "receipts"]
        assert all(part["valid"] for part in found["parts"].values())
        assert found["presented"]["metadata"]["case"] == CASE
    root = ["--root", str(closed / "root")]
    for arguments in ([], root):
        done = CliRunner().invoke(verify, [str(closed / "package.zip"), *arguments], obj=service.settings)
        assert done.exit_code == 0, done.output


def test_another_root_does_not_do(closed: Path, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from foundation.settings import Settings

    other = Settings(home=tmp_path)
    done = CliRunner().invoke(trust_bundle, ["root", str(tmp_path / "root")], obj=other)
    assert done.exit_code == 0, datetime.now(UTC)
    assert verify_alone([str(closed / "package.zip"), "--root", str(tmp_path / "root")]) == 2


@pytest.mark.parametrize("folder", ["plans/", "answers/", "commitments/", "copies/", "receipts/", "case/"])
def test_what_is_altered_or_lost_is_found(
    closed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    files = members(closed)
    name = next(each for each in files if each.startswith(folder))
    for change in (files[name] + b"A", None):
        spoilt = {path: data for path, data in files.items() if path != name or change is not None}
        if change is not None:
            spoilt[name] = change
        repacked(tmp_path / "spoilt.zip", spoilt)
        code, found = alone(closed, tmp_path / "spoilt.zip", capsys)
        assert (code, found["checks"]["digests"]) == (1, False)
        assert name in found["problem"]
    files["manifest.json"] = files["manifest.json"].replace(b"granted", b"refused")
    repacked(tmp_path / "spoilt.zip", files)
    assert alone(closed, tmp_path / "spoilt.zip", capsys)[0] == 1


def test_only_who_decided_gets_it_and_that_is_recorded(service: Service, fund: System, closed: Path) -> None:
    reply = fetched(service, fund, CASE)
    digest = hashlib.sha256(reply.content).digest()
    assert reply.headers["content-type"] == "application/zip"
    assert reply.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    shown = state(service, fund, CASE)
    assert (shown["state"], shown["sha256"], shown["bytes"]) == ("packed", digest.hex(), len(reply.content))
    record = last_record(service, "case-archive-fetched")
    assert (record["outcome"], record["case"], record["sha256"]) == ("handed-out", CASE, digest.hex())
    assert record["subject"] is not None
    assert last_record(service, "case-archived")["sha256"] == digest.hex()
    tax = service.system("tax", Role.DEPARTMENT_SYSTEM, department="11990100MB2A00009X")
    for path in ("archive", f"archive/package?matter={CODE}"):
        assert problem(tax.call(service.http, "GET", f"/exchange/v1/cases/{CASE}/{path}")) == (
            404,
            "not-found",
        )
    assert problem(retried(service, tax, CASE)) == (404, "not-found")
    other = fund.call(service.http, "GET", f"/exchange/v1/cases/{CASE}/archive/package?matter=other")
    assert problem(other) == (404, "not-found")


def stored(service: Service, outcome: str) -> list[Path]:
    return sorted((service.settings.objects_folder / "archives" / "cases").glob(f"{outcome}*"))


def test_it_lies_sealed_in_the_store(service: Service, fund: System, closed: Path) -> None:
    (path,) = stored(service, state(service, fund, CASE)["outcome"])
    assert not path.read_bytes().startswith(b"PK")
    assert CASE.encode() not in path.read_bytes()


def test_it_waits_until_its_records_are_in_the_log(service: Service, fund: System, closed: Path) -> None:
    # Nothing is folded into the log while somebody holds the sequencer's lock.
    import psycopg

    from foundation.ledger.tables import _SEQUENCER_LOCK

    with psycopg.connect(service.address) as holding:
        holding.execute("SELECT pg_advisory_xact_lock(%s)", (_SEQUENCER_LOCK,))
        close(service, fund, "waits", "refused")
        import time

        time.sleep(2.5)
        shown = state(service, fund, "waits")
        assert (shown["state"], shown["problem"], shown["sha256"]) == ("waiting-for-log", None, None)
        assert problem(fetched(service, fund, "waits")) == (409, "archive-not-packed")
        assert last_record(service, "case-archive-fetched")["reason"] == "archive-not-packed"
        assert retried(service, fund, "waits").json()["state"] == "waiting-for-log"
        holding.rollback()
    wait(service, fund, "waits")
    # A case without a plan has its outcome.
    with zipfile.ZipFile(io.BytesIO(fetched(service, fund, "waits").content)) as package:
        assert "case/outcome.json" in package.namelist()


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_what_was_done_to_it_in_the_store_is_named_and_it_can_be_made_anew(
    service: Service, fund: System, closed: Path, damage: str
) -> None:
    case = f"damaged-{damage}"
    outcome = close(service, fund, case)
    first = wait(service, fund, case)
    assert retried(service, fund, case).json() == first
    (path,) = stored(service, outcome)
    whole = path.read_bytes()
    if damage == "flip":
        path.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    else:
        path.unlink()
    done = CliRunner().invoke(scrub_command, ["--json"], obj=service.settings)
    kind = "object-missing" if damage == "remove" else "object-altered"
    assert done.exit_code == 1, done.output
    named = {"licence": None, "object": f"archives/cases/{outcome}.zip", "kind": kind}
    assert named in orjson.loads(done.stdout)["findings"]
    rows = service.sql("SELECT content FROM license_registry.event WHERE kind = %s", kind)
    assert any(orjson.loads(content)["object_key"] == named["object"] for (content,) in rows)

    assert problem(fetched(service, fund, case)) == (500, "archive-damaged")
    assert retried(service, fund, case).json()["state"] == "waiting-for-log"
    anew = wait(service, fund, case)
    assert last_record(service, "case-archive-retried")["case"] == case
    assert hashlib.sha256(fetched(service, fund, case).content).hexdigest() == anew["sha256"]
    assert {each.name for each in stored(service, outcome)} >= {f"{outcome}-2.zip"}
    path.write_bytes(whole)  # for the next one


def test_a_case_that_cannot_be_packed_says_why_and_can_be_tried_again(
    service: Service, fund: System, closed: Path
) -> None:
    carried_through(service, fund, "broken")
    ((plan, sealed),) = service.sql("SELECT id, sealed FROM exchange.plan WHERE case_ref = 'broken'")
    service.sql("UPDATE exchange.plan SET sealed = %s WHERE id = %s", bytes(len(sealed)), plan)
    close(service, fund, "broken")
    assert wait(service, fund, "broken", "failed")["problem"] == "seal-broken"
    # Others are not held up by it.
    close(service, fund, "beside")
    wait(service, fund, "beside")
    service.sql("UPDATE exchange.plan SET sealed = %s WHERE id = %s", sealed, plan)
    assert retried(service, fund, "broken").json()["state"] == "waiting-for-log"
    assert wait(service, fund, "broken")["problem"] is None


def test_a_store_that_is_away_for_a_while_is_waited_for(
    service: Service, fund: System, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, away = FileStore.put, [StoreUnavailable("later"), StoreFull("later")]

    def put_or_not(store: FileStore, key: str, data: bytes) -> None:
        if away and key.startswith("archives/"):
            raise away.pop()
        put(store, key, data)

    monkeypatch.setattr(FileStore, "put", put_or_not)
    close(service, fund, "away")
    wait(service, fund, "away")
    assert not away
    ((attempts,),) = service.sql(
        "SELECT attempts FROM exchange.case_archive a JOIN exchange.case_outcome o ON o.id = a.outcome"
        " WHERE o.case_ref = 'away'"
    )
    assert attempts == 2
