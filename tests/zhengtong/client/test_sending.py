"""What the client sends, and sends again, against a server that misbehaves on purpose."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from email.parser import BytesParser as Parser

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.conftest import free_port
from tests.zhengtong.client.scripted import Asked, Reply, scripted
from zhengtong.client import (
    AsyncClient,
    Client,
    KeyUnusable,
    Patience,
    ProblemError,
    ReplyUnreadable,
    Unreachable,
    load_private_key,
)

KEY = ec.generate_private_key(ec.SECP256R1())
HASTY = Patience(attempts=4, first_wait=0.01, longest_wait=1.5)
GRANTS = "/exchange/v1/grants"


def token(lives: int = 600, text: str = "t") -> Reply:
    return Reply(body={"access_token": text, "token_type": "Bearer", "expires_in": lives})


def problem(code: str, status: int, **members: object) -> Reply:
    body = {"type": f"urn:zhengtong:problem:{code}", "title": "标题 · Title", "status": status, **members}
    return Reply(status, body, {"Content-Type": "application/problem+json"})


def client(address: str, patience: Patience = HASTY) -> Client:
    return Client(address, "fund", KEY, patience=patience, timeout=5)


@pytest.mark.parametrize("failure", [Reply(503, {}), Reply(429, {}), Reply(hang_up=True), Reply(502, {})])
def test_a_get_is_sent_again_until_it_is_answered(failure: Reply) -> None:
    def script(asked: Asked, turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        return failure if turn < 3 else Reply(body={"grants": []})

    with scripted(script) as server, client(server.address) as calling:
        assert calling.grants() == ()
        assert len(server.of(GRANTS)) == 3


def test_what_must_not_be_done_twice_is_sent_once() -> None:
    def script(asked: Asked, _turn: int) -> Reply:
        return token() if asked.path == "/oauth2/token" else Reply(hang_up=True)

    with scripted(script) as server, client(server.address) as calling:
        with pytest.raises(Unreachable) as raised:
            calling.verify_code("ABCDEFGH", case="1")
        assert raised.value.sent
        assert len(server.of("/registry/v1/presentations/verify")) == 1
        with pytest.raises(Unreachable):
            calling.request("POST", "/exchange/v1/things", {})
        assert len(server.of("/exchange/v1/things")) == 1


def test_a_post_with_a_key_is_sent_again_with_the_same_key() -> None:
    def script(asked: Asked, turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        return Reply(hang_up=True) if turn == 1 else Reply(201, {"identifier": "1"})

    with scripted(script) as server, client(server.address) as calling:
        assert calling.issue({"licence_type": "x"}) == {"identifier": "1"}
        first, second = server.of("/registry/v1/licences")
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        assert first.body == second.body
        calling.issue({"licence_type": "x"})
        assert (
            server.of("/registry/v1/licences")[2].headers["idempotency-key"]
            != first.headers["idempotency-key"]
        )


def test_where_nobody_listens_even_a_careful_call_is_tried_again_and_says_it_was_not_sent() -> None:
    with (
        Client(f"http://127.0.0.1:{free_port()}", "fund", KEY, patience=HASTY) as calling,
        pytest.raises(Unreachable) as raised,
    ):
        calling.verify_code("ABCDEFGH", case="1")
    assert not raised.value.sent


def test_retry_after_is_honoured_and_one_that_is_too_long_is_told() -> None:
    waits = {"1": "1", "2": "3600"}

    def script(asked: Asked, turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        if asked.path.endswith("client_id=2"):
            return Reply(503, {}, {"Retry-After": waits["2"]})
        return Reply(503, {}, {"Retry-After": waits["1"]}) if turn == 1 else Reply(body={"grants": []})

    with scripted(script) as server, client(server.address) as calling:
        before = time.monotonic()
        calling.grants("1")
        assert time.monotonic() - before >= 1.0
        with pytest.raises(ProblemError) as raised:
            calling.grants("2")
        assert raised.value.problem.retry_after == 3600
        assert len(server.of(GRANTS + "?client_id=2")) == 1


def test_a_problem_is_raised_with_all_that_it_says() -> None:
    def script(asked: Asked, _turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        return problem(
            "field-not-granted",
            403,
            detail="d",
            pointer="/claims/name",
            errors=[{"pointer": "/a", "reason": "r"}],
            more="1",
        )

    with scripted(script) as server, client(server.address) as calling:
        with pytest.raises(ProblemError) as raised:
            calling.grants()
        error = raised.value
        assert (error.code, error.status, error.pointer) == ("field-not-granted", 403, "/claims/name")
        assert error.values == {"more": "1"}
        assert error.problem.errors[0].reason == "r"
        assert len(server.of(GRANTS)) == 1


def test_a_refusal_that_is_no_problem_document_is_one_all_the_same() -> None:
    def script(asked: Asked, _turn: int) -> Reply:
        return token() if asked.path == "/oauth2/token" else Reply(404, ["not", "ours"])

    with scripted(script) as server, client(server.address) as calling, pytest.raises(ProblemError) as raised:
        calling.grants()
    assert raised.value.code == "http-404"


@pytest.mark.parametrize("body", [{"grants": [{}]}, {"grants": 1}, [], None])
def test_a_reply_of_another_form_is_refused(body: object) -> None:
    def script(asked: Asked, _turn: int) -> Reply:
        return token() if asked.path == "/oauth2/token" else Reply(body=body)

    with scripted(script) as server, client(server.address) as calling, pytest.raises(ReplyUnreadable):
        calling.grants()


def test_nothing_is_sent_to_where_a_redirect_points() -> None:
    def script(asked: Asked, _turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        return Reply(307, {}, {"Location": "/elsewhere"})

    with scripted(script) as server, client(server.address) as calling:
        with pytest.raises(ReplyUnreadable):
            calling.grants()
        assert server.of("/elsewhere") == []


def test_a_token_is_fetched_once_by_many_threads_and_renewed_before_it_expires() -> None:
    def script(asked: Asked, _turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            time.sleep(0.2)
            return token(lives=2)
        return Reply(body={"grants": []})

    with scripted(script) as server, client(server.address) as calling:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: calling.grants(), range(16)))
        assert len(server.of("/oauth2/token")) == 1
        time.sleep(2.0 - 0.4)
        calling.grants()
        assert len(server.of("/oauth2/token")) == 2


def test_one_renewal_at_a_time_holds_for_asyncio_too() -> None:
    def script(asked: Asked, _turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            time.sleep(0.1)
            return token()
        return Reply(body={"grants": []})

    async def work(address: str) -> None:
        async with AsyncClient(address, "fund", KEY, patience=HASTY) as calling:
            await asyncio.gather(*(calling.grants() for _ in range(12)))

    with scripted(script) as server:
        asyncio.run(work(server.address))
        assert len(server.of("/oauth2/token")) == 1
        assert len(server.of(GRANTS)) == 12


def test_a_token_that_the_service_forgot_is_renewed_once() -> None:
    def script(asked: Asked, turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token(text=f"t{turn}")
        if asked.headers["authorization"] == "Bearer t1" or asked.path.endswith("never"):
            return problem("token-unknown", 401)
        return Reply(body={"grants": []})

    with scripted(script) as server, client(server.address) as calling:
        calling.grants()
        assert len(server.of("/oauth2/token")) == 2
        with pytest.raises(ProblemError, match="token-unknown"):
            calling.grants("never")
        assert len(server.of("/oauth2/token")) == 3


def test_each_token_request_carries_an_assertion_of_its_own_that_the_key_holds() -> None:
    def script(asked: Asked, turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return Reply(503, {}) if turn < 3 else token()
        return Reply(body={"grants": []})

    with scripted(script) as server, client(server.address) as calling:
        calling.grants()
        forms = [each.body.decode() for each in server.of("/oauth2/token")]
    assertions = [form.split("client_assertion=")[1].split("&")[0] for form in forms]
    claims = [
        jwt.decode(each, KEY.public_key(), algorithms=["ES256"], audience=server.address)
        for each in assertions
    ]
    assert len({each["jti"] for each in claims}) == 3
    assert {each["iss"] for each in claims} == {each["sub"] for each in claims} == {"fund"}


RECEIPT = {
    "log": "l",
    "record": "6f1f7a38-6d6b-4d52-8d46-8d8a4f0f6a10",
    "entry": "AA",
    "recorded_at": "2025-01-01T00:00:00+00:00",
    "included_by": "2025-01-01T00:01:00+00:00",
}


def test_a_plan_tells_what_must_still_be_brought() -> None:
    def script(asked: Asked, turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        if turn == 1:
            return Reply(hang_up=True)
        materials = [
            {
                "id": "a",
                "name": "身份证",
                "required": True,
                "state": "settled",
                "reasons": [],
                "answers": [0],
            },
            {
                "id": "b",
                "name": "申请表",
                "required": True,
                "state": "to-bring",
                "reasons": ["x"],
                "answers": [],
            },
        ]
        answers = [{"answer": "a.b.c"}]
        return Reply(
            body={
                "plan": "p",
                "materials": materials,
                "answers": answers,
                "statement": "s",
                "receipt": RECEIPT,
            }
        )

    with scripted(script) as server, client(server.address) as calling:
        made = calling.plan("办/理", case="1", subjects={"applicant": "x"}, inputs={"age": 3}, brought=["c"])
        assert [each.id for each in made.to_bring] == ["b"]
        first, second = server.of("/exchange/v1/matters/%E5%8A%9E%2F%E7%90%86/plan")
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        assert b'"brought":["c"]' in second.body


def test_a_batch_is_sent_as_a_form_and_waited_for() -> None:
    states = ["accepted", "running", "done"]

    def script(asked: Asked, turn: int) -> Reply:
        if asked.path == "/oauth2/token":
            return token()
        if asked.path.endswith("/result"):
            return Reply(body=["sealed"])
        state = "accepted" if asked.method == "POST" else states[min(turn, 3) - 1]
        times = {"expires_at": "2025-01-08T00:00:00+00:00"}
        return Reply(202, {"id": RECEIPT["record"], "state": state, "rows": 1, "done": 0, **times})

    with scripted(script) as server, client(server.address) as calling:
        sent = calling.submit_batch({"resource": "persons-basic"}, b'{"subject":"x"}\n', idempotency_key="k")
        assert calling.wait_for_batch(sent.id, seconds=5, every=0.01).state == "done"
        assert calling.batch_result(sent.id) == b'["sealed"]'
        (posted,) = server.of("/exchange/v1/batches")
        parts = (
            Parser()
            .parsebytes(f"Content-Type: {posted.headers['content-type']}\n\n".encode() + posted.body)
            .get_payload()
        )
        question, subjects = parts
        assert question.get_payload(decode=True) == b'{"resource":"persons-basic"}'
        assert subjects.get_payload(decode=True).strip() == b'{"subject":"x"}'
        assert subjects.get_filename() == "subjects"


def test_a_key_is_read_in_every_form_in_which_people_keep_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "key.pem"
    path.write_bytes(pem)
    kids = {load_private_key(each).kid for each in (KEY, pem, pem.decode(), path, str(path))}
    assert len(kids) == 1
    assert load_private_key(ed25519.Ed25519PrivateKey.generate(), "k").kid == "k"
    for bad in (b"-----BEGIN nothing", ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(KeyUnusable):
            load_private_key(bad)
    with pytest.raises(ValueError, match="client_id"):
        Client("http://127.0.0.1", "fund")


def test_importing_the_client_loads_neither_web_framework_nor_database() -> None:
    heavy = (
        "fastapi",
        "starlette",
        "sqlalchemy",
        "asyncpg",
        "psycopg",
        "uvicorn",
        "pydantic",
        "numpy",
        "jsonschema",
    )
    code = f"import sys, zhengtong.client; print([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
