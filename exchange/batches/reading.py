"""Reading the result of a batch where it was asked from: opened with the client's key, checked against its statement.

A result is lines of JSON: `{"statement": <compact JWS>}` first, then `{"part": n, "rows": [first, last], "jwe": …}` for
each part. Needs no database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from exchange.batches.batch import STATEMENT_TYPE
from exchange.batches.sealing import BatchResultBroken, private_key, unseal
from foundation.language import _
from foundation.signing import Algorithm, BadJws, PublicKey, verify_compact


@dataclass(frozen=True, slots=True)
class Answers:
    """A result that is being read.

    Args:
        statement: what the exchange signed, signature checked.
        jws: the same as it was signed, to be filed with the lines.
        parts: the lines of one part after the other, each ended by a line break.
    """

    statement: Mapping[str, Any]
    jws: str
    parts: Iterator[bytes]


def read_result(lines: Iterable[bytes], key: Mapping[str, Any], trusted: Mapping[str, PublicKey]) -> Answers:
    """Open a result.

    The lines are to be used only when `parts` has ended without an error: the digest over all of them is compared last.

    Args:
        lines: of the result as it came.
        key: private JWK of the key that it was sealed to.
        trusted: keys of the exchange by `kid`.

    Raises:
        BatchResultBroken: no signed statement, or (while reading) parts that are altered, missing, too many or not
            those of the statement.
        BatchResultKeyUnusable: the key is none that opens results.
    """
    opening = private_key(key)
    rest = iter(lines)
    try:
        jws = orjson.loads(next(rest, b""))["statement"]
        signed = verify_compact(jws, trusted, STATEMENT_TYPE, frozenset({Algorithm.ES256})).payload
        statement: dict[str, Any] = orjson.loads(signed)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, BadJws) as error:
        raise BatchResultBroken(_("the statement of the result does not hold")) from error

    def parts() -> Iterator[bytes]:
        whole = hashlib.sha256()
        count = rows = 0
        for line in rest:
            if not line.strip():
                continue
            try:
                sealed = orjson.loads(line)["jwe"]
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise BatchResultBroken(_("part {part} cannot be opened"), part=count) from error
            plain = unseal(opening, statement["batch"], count, sealed)
            whole.update(hashlib.sha256(plain).digest())
            rows += plain.count(b"\n")
            count += 1
            yield plain
        _require_equal(statement["results"], rows, count, whole.hexdigest())

    return Answers(statement, jws, parts())


def verify_lines(lines: Iterable[bytes], jws: str, trusted: Mapping[str, PublicKey]) -> dict[str, Any]:
    """Check lines that were opened and filed against their statement, years later; return the statement.

    Raises:
        BatchResultBroken: they are not what was signed.
    """
    try:
        signed = verify_compact(jws, trusted, STATEMENT_TYPE, frozenset({Algorithm.ES256})).payload
    except BadJws as error:
        raise BatchResultBroken(_("the statement of the result does not hold")) from error
    statement: dict[str, Any] = orjson.loads(signed)
    size: int = statement["results"]["part_rows"]
    whole, part = hashlib.sha256(), hashlib.sha256()
    rows = 0
    for line in lines:
        part.update(line)
        rows += 1
        if rows % size == 0:
            whole.update(part.digest())
            part = hashlib.sha256()
    if rows % size:
        whole.update(part.digest())
    _require_equal(statement["results"], rows, -(-rows // size), whole.hexdigest())
    return statement


def _require_equal(results: Mapping[str, Any], rows: int, parts: int, digest: str) -> None:
    if (results["rows"], results["parts"], results["sha256"]) != (rows, parts, digest):
        raise BatchResultBroken(_("the lines are not those that the statement is about"))
