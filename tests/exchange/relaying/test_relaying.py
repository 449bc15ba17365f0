"""Resources that are asked live: at a department's own service in a process of its own, and at ones that misbehave."""

from __future__ import annotations

import base64
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from demonstration.parties import System
from exchange.relaying.breaker import FAILURES
from foundation.identifiers import CitizenId
from foundation.identity.principals import Role
from foundation.signing import Algorithm, Signer, canonical_json, new_signer, sign_compact
from tests.conftest import Service, free_port
from zhengtong.client import AnswerInvalid, load_private_key, read_keys, verify_answer
from zhengtong.client.live import ANSWER_TYPE, Question, Reply, open_question, sign_answer

PERSON = CitizenId.compute("990101", date(1980, 2, 29), 123).reveal()
STRANGER = CitizenId.compute("990102", date(1990, 1, 1), 7).reveal()
POLICE = "11990100MB2A00002U"
RESOURCE = "persons-basic"
LIVE = f"/exchange/v1/live-sources/{RESOURCE}"


@pytest.fixture(scope="module")
def bureau(service: Service) -> System:
    return service.system("data-bureau", Role.SHARING_AUTHORITY)


@pytest.fixture(scope="module")
def asking(service: Service, bureau: System) -> System:
    system = service.system("housing-fund", Role.DEPARTMENT_SYSTEM)
    now = datetime.now(UTC)
    given = {
        "client_id": system.client_id,
        "resource": RESOURCE,
        "fields": ["name", "marital_status"],
        "matters": ["withdrawal"],
        "modes": ["verify", "query"],
        "clear_fields": ["marital_status"],
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        "valid_from": (now - timedelta(hours=1)).isoformat(),
        "valid_until": (now + timedelta(hours=1)).isoformat(),
    }
    assert bureau.call(service.http, "POST", "/exchange/v1/grants", given).status_code == 201
    return system


@pytest.fixture(scope="module")
def question_keys(service: Service, bureau: System) -> dict[str, Any]:
    keys: dict[str, Any] = bureau.call(service.http, "GET", "/exchange/v1/live-sources").json()[
        "question_keys"
    ]
    assert len(keys["keys"]) == 1
    return keys


def described(address: str, signer: Signer, /, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "department",
        "department": POLICE,
        "address": address,
        "jwks": {"keys": [{**signer.public.to_jwk(), "kid": signer.kid}]},
        "timeout_ms": 800,
        **changes,
    }


def put(service: Service, bureau: System, body: dict[str, Any]) -> httpx.Response:
    return bureau.call(service.http, "PUT", LIVE, body)


def ask(service: Service, system: System, **changes: Any) -> httpx.Response:
    body = {
        "resource": RESOURCE,
        "subject": PERSON,
        "claims": {"name": "张三丰", "marital_status": "single"},
        "matter": "withdrawal",
        "case": "2025-1",
        **changes,
    }
    return system.call(service.http, "POST", "/exchange/v1/verifications", body)


def query(service: Service, system: System, **changes: Any) -> httpx.Response:
    body = {
        "resource": RESOURCE,
        "subject": PERSON,
        "fields": ["marital_status", "name"],
        "matter": "withdrawal",
        "case": "2025-1",
        **changes,
    }
    return system.call(service.http, "POST", "/exchange/v1/queries", body)


def last_record(service: Service) -> dict[str, Any]:
    ((content,),) = service.sql(
        "SELECT content FROM exchange.access_record ORDER BY recorded_at DESC LIMIT 1"
    )
    record: dict[str, Any] = orjson.loads(content)
    return record


@pytest.fixture(scope="module")
def police_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def police(
    question_keys: dict[str, Any],
    police_key: ed25519.Ed25519PrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Address of the reference service, which runs as a department would run it."""
    home: Path = tmp_path_factory.mktemp("police")
    (home / "key.pem").write_bytes(
        police_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (home / "exchange.json").write_bytes(orjson.dumps(question_keys))
    record = {
        "subject": PERSON,
        "as_of": "2024-05-01",
        "fields": {"name": "张三丰", "marital_status": "married"},
    }
    (home / "records.jsonl").write_bytes(orjson.dumps(record) + b"\n")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "zhengtong.client.live", "--department", POLICE, "--key", home / "key.pem",
         "--exchange-keys", home / "exchange.json", "--records", home / "records.jsonl", "--port", str(port)]
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/questions"
    finally:
        process.terminate()
        process.wait(10)


def test_a_department_answers_and_the_answer_says_so(
    service: Service, bureau: System, asking: System, police: str, police_key: ed25519.Ed25519PrivateKey
) -> None:
    signer = load_private_key(police_key)
    assert put(service, bureau, described(police, signer)).status_code == 200
    reply = ask(service, asking)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body["results"] == {"name": "match", "marital_status": "mismatch"}
    ours = verify_answer(body["answer"], read_keys(service.http.get("/jwks.json").json()))
    assert ours.claims["source"] == {"live": True, "kind": "department", "department": POLICE}
    assert ours.claims["as_of"] == "2024-05-01"
    assert ours.is_about(PERSON)
    # What the department signed stands inside, and holds by its own key.
    theirs = verify_answer(ours.source_answer, {signer.kid: signer.public}, kind=ANSWER_TYPE)
    assert theirs.claims["iss"] == POLICE
    assert theirs.results == ours.results
    record = last_record(service)
    assert (record["outcome"], record["live_department"]) == ("answered", POLICE)
    assert record["id"] == body["receipt"]["record"]
    for text in (str(ours.claims), str(theirs.claims), str(record)):
        assert PERSON not in text
        assert "married" not in text
    assert set(ask(service, asking, subject=STRANGER).json()["results"].values()) == {"unknown"}
    (shown,) = bureau.call(service.http, "GET", "/exchange/v1/live-sources").json()["sources"]
    assert (shown["resource"], shown["circuit"]) == (RESOURCE, "closed")


def test_nothing_is_passed_on_that_is_not_granted(service: Service, asking: System) -> None:
    reply = ask(service, asking, matter="something-else")
    assert reply.json()["type"] == "urn:zhengtong:problem:matter-not-granted"
    assert last_record(service)["reason"] == "matter-not-granted"


def test_a_department_discloses_fields_and_what_is_masked_stays_so(
    service: Service, bureau: System, asking: System, police: str, police_key: ed25519.Ed25519PrivateKey
) -> None:
    signer = load_private_key(police_key)
    assert put(service, bureau, described(police, signer)).status_code == 200
    keys = read_keys(service.http.get("/jwks.json").json())
    # Of this grant `name` is masked: then the department's answer, in clear, stays here.
    body = query(service, asking).json()
    assert (body["found"], body["masked"]) == (True, ["name"])
    assert body["values"] == {"marital_status": "married", "name": "张*"}
    ours = verify_answer(body["answer"], keys)
    assert ours.claims["source"] == {"live": True, "kind": "department", "department": POLICE}
    assert (ours.claims["mode"], ours.claims["as_of"]) == ("query", "2024-05-01")
    assert ours.claims["values"] == body["values"]
    record = last_record(service)
    assert (record["event"], record["live_department"]) == ("query", POLICE)
    assert record["source_answer_sha256"] == ours.claims["source_answer_sha256"]
    assert "张三丰" not in str(ours.claims) + str(record)
    with pytest.raises(AnswerInvalid):
        _ = ours.source_answer
    # Where nothing is masked it goes along.
    body = query(service, asking, fields=["marital_status"]).json()
    theirs = verify_answer(
        verify_answer(body["answer"], keys).source_answer, {signer.kid: signer.public}, kind=ANSWER_TYPE
    )
    assert theirs.claims["values"] == body["values"] == {"marital_status": "married"}
    nobody = query(service, asking, subject=STRANGER).json()
    assert (nobody["found"], nobody["values"], nobody["masked"]) == (False, {}, [])
    assert "source_answer" in verify_answer(nobody["answer"], keys).claims


@contextlib.contextmanager
def department(answering: Callable[[str], tuple[int, bytes]]) -> Iterator[tuple[str, list[str]]]:
    """Serve a department that answers as a test says; yield its address and the questions that came."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            question = self.rfile.read(int(self.headers["content-length"])).decode()
            asked.append(question)
            status, body = answering(question)
            self.send_response(status)
            if status == 307:
                self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/questions", asked
    finally:
        server.shutdown()
        server.server_close()


KEY, OTHER = new_signer(Algorithm.ES256), new_signer(Algorithm.ES256)
RESULTS = {"name": "match", "marital_status": "match"}


def opened(question: str) -> Question:
    # The exchange's signature is the reference service's matter; here only what it says.
    payload = orjson.loads(base64.urlsafe_b64decode(question.split(".")[1] + "=="))
    return Question(
        question, payload["iss"], payload["resource"], "", "", payload["claims"], "", "", "", "", ""
    )


def good(question: str, /, **changes: Any) -> bytes:
    signer = changes.pop("signer", KEY)
    now = changes.pop("now", time.time())
    answer = sign_answer(opened(question), Reply(RESULTS), POLICE, signer, now)
    if changes:
        payload = orjson.loads(base64.urlsafe_b64decode(answer.split(".")[1] + "=="))
        answer = sign_compact(signer, canonical_json({**payload, **changes}), ANSWER_TYPE)
    return answer.encode()


def slow(question: str) -> tuple[int, bytes]:
    time.sleep(1.5)
    return 200, good(question)


WRONG: dict[str, tuple[int, str, Callable[[str], tuple[int, bytes]]]] = {
    "late": (504, "source-late", slow),
    "another key": (502, "source-answer-invalid", lambda q: (200, good(q, signer=OTHER))),
    "another question": (502, "source-answer-invalid", lambda q: (200, good(q, question="x"))),
    "another department": (502, "source-answer-invalid", lambda q: (200, good(q, iss="11990100MB2A00003R"))),
    "for another exchange": (502, "source-answer-invalid", lambda q: (200, good(q, aud="https://x"))),
    "an old answer": (502, "source-answer-invalid", lambda q: (200, good(q, now=time.time() - 3600))),
    "other claims": (502, "source-answer-invalid", lambda q: (200, good(q, results={"name": "match"}))),
    "a value for a result": (
        502,
        "source-answer-invalid",
        lambda q: (200, good(q, results={**RESULTS, "name": "张三丰"})),
    ),
    "more than was asked": (502, "source-answer-invalid", lambda q: (200, good(q, address="东湖路1号"))),
    "no date": (502, "source-answer-invalid", lambda q: (200, good(q, as_of="yesterday"))),
    "no JWS": (502, "source-answer-invalid", lambda q: (200, b"yes")),
    "not ASCII": (502, "source-answer-invalid", lambda q: (200, "是".encode())),
    "without end": (502, "source-answer-invalid", lambda q: (200, b"x" * 200_000)),
    "a failure": (502, "source-unavailable", lambda q: (500, b"")),
    "a refusal": (502, "source-refused", lambda q: (403, b"")),
    "a redirect": (502, "source-refused", lambda q: (307, b"")),
}


@pytest.mark.parametrize("name", WRONG)
def test_whatever_a_department_does_wrong_is_told_and_recorded(
    service: Service, bureau: System, asking: System, name: str
) -> None:
    status, code, answering = WRONG[name]
    with department(answering) as (address, asked):
        assert put(service, bureau, described(address, KEY)).status_code == 200
        reply = ask(service, asking)
        assert (reply.status_code, reply.json()["type"]) == (status, f"urn:zhengtong:problem:{code}")
        assert PERSON not in reply.text
        record = last_record(service)
        assert (record["outcome"], record["reason"]) == ("refused", code)
        assert len(asked) == 1


VALUES = {"name": "张三丰", "marital_status": "married"}
WRONG_VALUES: dict[str, dict[str, Any]] = {
    "another field": {"values": {**VALUES, "address": "东湖路1号"}},
    "a field less": {"values": {"name": "张三丰"}},
    "no values": {"values": None},
    "a value that is none": {"values": {**VALUES, "name": {"first": "三丰"}}},
    "a value without end": {"values": {**VALUES, "name": "张" * 5000}},
    "values of nobody": {"found": False},
    "found perhaps": {"found": "yes"},
    "results too": {"results": {}},
}


def disclosing(question: str, /, **changes: Any) -> bytes:
    claims = orjson.loads(base64.urlsafe_b64decode(question.split(".")[1] + "=="))
    asked = Question(question, claims["iss"], claims["resource"], "", "", {}, "", "", "", "", "", ("name",))
    answer = sign_answer(asked, Reply({}, "2024-05-01", VALUES), POLICE, KEY, time.time())
    payload = orjson.loads(base64.urlsafe_b64decode(answer.split(".")[1] + "=="))
    return sign_compact(KEY, canonical_json({**payload, **changes}), ANSWER_TYPE).encode()


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_values_that_were_not_asked_for_are_not_disclosed(
    service: Service, bureau: System, asking: System, name: str
) -> None:
    with department(lambda q: (200, disclosing(q, **WRONG_VALUES[name]))) as (address, _asked):
        put(service, bureau, described(address, KEY))
        reply = query(service, asking)
        assert reply.json()["type"] == "urn:zhengtong:problem:source-answer-invalid"
        assert not any(text in reply.text for text in (PERSON, "张", "东湖路"))
        record = last_record(service)
        assert (record["event"], record["outcome"]) == ("query", "refused")


def test_a_query_is_passed_on_as_such_and_fails_as_claims_do(
    service: Service, bureau: System, asking: System
) -> None:
    with department(lambda q: (200, disclosing(q))) as (address, asked):
        put(service, bureau, described(address, KEY))
        assert query(service, asking).json()["found"] is True
        said = orjson.loads(base64.urlsafe_b64decode(asked[0].split(".")[1] + "=="))
        assert (said["mode"], said["fields"]) == ("query", ["marital_status", "name"])
        assert "claims" not in said
    put(service, bureau, described(address, KEY))
    assert query(service, asking).json()["type"] == "urn:zhengtong:problem:source-unavailable"
    with department(slow) as (address, _asked):
        put(service, bureau, described(address, KEY, timeout_ms=200))
        assert query(service, asking).json()["type"] == "urn:zhengtong:problem:source-late"


def test_a_good_answer_of_the_same_making_is_taken(service: Service, bureau: System, asking: System) -> None:
    with department(lambda q: (200, good(q))) as (address, asked):
        put(service, bureau, described(address, KEY))
        assert ask(service, asking).json()["results"] == RESULTS
        other = read_keys({"keys": [{**OTHER.public.to_jwk(), "kid": OTHER.kid}]})
        with pytest.raises(ValueError, match="not signed"):
            open_question(asked[0], other, POLICE, time.time())


def test_who_fails_again_and_again_is_left_alone_and_tried_anew(
    service: Service, bureau: System, asking: System
) -> None:
    gone = f"http://127.0.0.1:{free_port()}/questions"
    put(service, bureau, described(gone, KEY))
    for _ in range(FAILURES):
        assert ask(service, asking).json()["type"] == "urn:zhengtong:problem:source-unavailable"
    (shown,) = bureau.call(service.http, "GET", "/exchange/v1/live-sources").json()["sources"]
    assert shown["circuit"] == "open"
    refused = ask(service, asking)
    assert refused.status_code == 502
    assert "again and again" in refused.json()["detail"]
    with department(lambda q: (200, good(q))) as (address, _asked):
        put(service, bureau, described(address, KEY))
        assert ask(service, asking).status_code == 200


def test_the_end_of_a_live_source_is_the_register_again(
    service: Service, bureau: System, asking: System
) -> None:
    assert bureau.call(service.http, "DELETE", LIVE).status_code == 204
    assert bureau.call(service.http, "DELETE", LIVE).status_code == 404
    reply = ask(service, asking)
    assert reply.status_code == 200
    said = verify_answer(reply.json()["answer"], read_keys(service.http.get("/jwks.json").json()))
    with pytest.raises(AnswerInvalid):
        _ = said.source_answer


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "plain http": ({"address": "http://example.com/q"}, 422, "live-source-invalid"),
    "no address": ({"address": "ftp://example.com"}, 422, "live-source-invalid"),
    "with a user": ({"address": "https://a:b@example.com/"}, 422, "live-source-invalid"),
    "no keys": ({"jwks": {"keys": []}}, 422, "live-source-invalid"),
    "a private key": (
        {"jwks": {"keys": [{"kid": "1", "kty": "oct", "k": "AA"}]}},
        422,
        "live-source-invalid",
    ),
    "no client at a cascade": ({"kind": "cascade"}, 422, "invalid-request"),
    "a client at a department": ({"client_id": "x"}, 422, "invalid-request"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_source_is_refused(service: Service, bureau: System, name: str) -> None:
    changes, status, code = BAD[name]
    reply = put(service, bureau, described("https://example.com/q", KEY, **changes))
    assert (reply.status_code, reply.json()["type"]) == (status, f"urn:zhengtong:problem:{code}")


def test_only_the_sharing_authority_says_what_is_live(
    service: Service, asking: System, bureau: System
) -> None:
    assert put(service, asking, described("https://example.com/q", KEY)).status_code == 403
    unknown = bureau.call(
        service.http, "PUT", "/exchange/v1/live-sources/nothing", described("https://example.com/q", KEY)
    )
    assert unknown.json()["type"] == "urn:zhengtong:problem:resource-unknown"
