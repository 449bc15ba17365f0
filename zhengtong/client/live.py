"""A department's own service for questions that the exchange passes on, and the pieces to build another.

    python -m zhengtong.client.live --department <USCC> --key key.pem --exchange-keys keys.json --records records.jsonl

answers from a file of JSON lines, `{"subject": "<identifier>", "as_of": "YYYY-MM-DD", "fields": {...}}`: a reference to
read and to test with. A real one keeps `open_question` and `sign_answer` and looks into the department's system.
"""

from __future__ import annotations

import argparse
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import orjson

from foundation.signing import (
    Algorithm,
    BadJws,
    Signer,
    canonical_json,
    encode_base64url,
    sign_compact,
    verify_compact,
)
from zhengtong.client.keys import load_private_key
from zhengtong.client.offline import Keys, read_keys

QUESTION_TYPE: Final = "zhengtong-question+jwt"
ANSWER_TYPE: Final = "zhengtong-live-answer+jwt"
LONGEST_QUESTION: Final = 64 * 1024
CLOCK_SKEW_SECONDS: Final = 60


class QuestionRefused(ValueError):
    """A question that is not answered: not signed by the exchange, not for this department, or too old."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the exchange asks on behalf of another department; keep `jws` on file: it says who asked.

    Args:
        claims: name → value, or name → `{"field": …, "is": …, "value": …}`; none where fields are asked for.
        client, department: who asks.
    """

    jws: str
    issuer: str
    resource: str
    subject_kind: str
    subject: str
    claims: Mapping[str, Any]
    matter: str
    case: str
    purpose: str
    client: str
    department: str
    fields: tuple[str, ...] = ()
    """What is to be disclosed; none where claims are to be compared."""


@dataclass(frozen=True, slots=True)
class Reply:
    """For each claim `match`, `mismatch` or `unknown`; `as_of`: the day or moment since when it is so.

    Where fields are asked for, `values` has one for each, None where there is none, and is None itself where the
    subject is not known.
    """

    results: Mapping[str, str]
    as_of: str | None = None
    values: Mapping[str, Any] | None = None


Answering = Callable[[Question], Reply]


def open_question(jws: str, exchange_keys: Keys, department: str, now: float) -> Question:
    """Check a question and give what it asks.

    Args:
        exchange_keys: `question_keys` of the exchange's `/exchange/v1/live-sources`, pinned here.
        now: seconds since the epoch.

    Raises:
        QuestionRefused: it is not to be answered.
    """
    try:
        claims = orjson.loads(verify_compact(jws, exchange_keys, QUESTION_TYPE, frozenset(Algorithm)).payload)
        if claims["aud"] != department:
            raise QuestionRefused("the question is for another department")
        if not claims["iat"] - CLOCK_SKEW_SECONDS <= now <= claims["exp"] + CLOCK_SKEW_SECONDS:
            raise QuestionRefused("the question is too old, or of a time to come")
        asks_for_fields = claims["mode"] == "query"
        return Question(
            jws=jws,
            issuer=str(claims["iss"]),
            resource=str(claims["resource"]),
            subject_kind=str(claims["subject"]["kind"]),
            subject=str(claims["subject"]["identifier"]),
            claims={} if asks_for_fields else dict(claims["claims"]),
            matter=str(claims["matter"]),
            case=str(claims["case"]),
            purpose=str(claims["purpose"]),
            client=str(claims["client"]),
            department=str(claims["department"]),
            fields=tuple(map(str, claims["fields"])) if asks_for_fields else (),
        )
    except BadJws as error:
        raise QuestionRefused(f"the question is not signed by the exchange: {error.code}") from error
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise QuestionRefused("the question is not of the agreed form") from error


def sign_answer(question: Question, reply: Reply, department: str, signer: Signer, now: float) -> str:
    """Return the signed answer to a question; it is good for that question alone."""
    digest = hashlib.sha256(question.jws.encode("ascii")).digest()
    answered: dict[str, Any] = {"results": dict(reply.results)}
    if question.fields:
        answered = {"found": reply.values is not None, "values": dict(reply.values or {})}
    payload = {
        "iss": department,
        "aud": question.issuer,
        "iat": int(now),
        "question": encode_base64url(digest),
        "resource": question.resource,
        **answered,
        "as_of": reply.as_of,
    }
    return sign_compact(signer, canonical_json(payload), ANSWER_TYPE)


def from_records(records: Mapping[str, Mapping[str, Any]]) -> Answering:
    """Return what answers from records by identifier: fields, or claims as equal or not, else unknown."""

    def answer(question: Question) -> Reply:
        found = records.get(question.subject)
        fields: Mapping[str, Any] = {} if found is None else found["fields"]
        as_of = None if found is None else found.get("as_of")
        if question.fields:
            return Reply(
                {}, as_of, None if found is None else {name: fields.get(name) for name in question.fields}
            )
        results = {}
        for name, claim in question.claims.items():
            field, value = name, claim
            if isinstance(claim, dict):
                field = claim.get("field", name)
                value = claim.get("value") if claim.get("is", "equal") == "equal" else None
            if value is None or fields.get(field) is None:
                results[name] = "unknown"
            else:
                results[name] = "match" if fields[field] == value else "mismatch"
        return Reply(results, as_of)

    return answer


def make_server(
    host: str, port: int, department: str, signer: Signer, exchange_keys: Keys, answering: Answering
) -> ThreadingHTTPServer:
    """Return a server that answers questions at any path; `serve_forever` runs it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            """Keep quiet: a line of this log could only tell who was asked about."""

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdigit() or int(length) > LONGEST_QUESTION:
                self._send(413, b"")
                self.close_connection = True
                return
            body = self.rfile.read(int(length))
            try:
                question = open_question(
                    body.decode("ascii", "replace"), exchange_keys, department, time.time()
                )
            except QuestionRefused as refusal:
                self._send(403, str(refusal).encode())
                return
            answer = sign_answer(question, answering(question), department, signer, time.time())
            self._send(200, answer.encode("ascii"))

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/jose" if status == 200 else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return ThreadingHTTPServer((host, port), Handler)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve from a file of records until stopped."""
    parser = argparse.ArgumentParser(prog="python -m zhengtong.client.live", description=__doc__)
    parser.add_argument("--department", required=True, help="USCC of the department")
    parser.add_argument("--key", required=True, type=Path, help="private key in PEM")
    parser.add_argument("--key-id", help="kid of the key; its JWK thumbprint unless given")
    parser.add_argument(
        "--exchange-keys", required=True, type=Path, help="JWK Set of the exchange's questions"
    )
    parser.add_argument("--records", required=True, type=Path, help="JSON lines")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8900)
    given = parser.parse_args(arguments)
    lines = [orjson.loads(line) for line in given.records.read_bytes().splitlines() if line.strip()]
    server = make_server(
        given.host,
        given.port,
        given.department,
        load_private_key(given.key, given.key_id),
        read_keys(orjson.loads(given.exchange_keys.read_bytes())),
        from_records({str(each["subject"]): each for each in lines}),
    )
    # In a thread of its own, so that an interrupt ends it at once.
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        server.shutdown()


if __name__ == "__main__":
    main()
