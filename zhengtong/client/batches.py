"""Opening the result of a batch: with the client's own key, checked against what the exchange signed of it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from exchange.batches.batch import STATEMENT_TYPE, BatchResultKeyUnusable
from exchange.batches.reading import read_result
from exchange.batches.sealing import BatchResultBroken
from foundation.signing import BadJws
from zhengtong.client.keys import KeyUnusable
from zhengtong.client.offline import AnswerInvalid, Keys, Statement, verify_answer


@dataclass(frozen=True, slots=True)
class BatchAnswers:
    """The answers of a batch, all of them compared with its statement.

    Args:
        statement: what the exchange signed: question, counts, digest of the lines.
        jws: the same as it was signed; file it with the lines.
        lines: a line of JSON for each subject, in the order in which they were sent.
    """

    statement: Statement
    jws: str
    lines: bytes

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the answers one by one."""
        for line in io.BytesIO(self.lines):
            row: dict[str, Any] = orjson.loads(line)
            yield row


def read_batch_result(
    result: bytes,
    key: Mapping[str, Any],
    keys: Keys,
    *,
    issuer: str | None = None,
    batch: uuid.UUID | str | None = None,
) -> BatchAnswers:
    """Open the result of a batch and check all of it.

    Args:
        result: as it was fetched.
        key: private JWK of the key that it was sealed to.
        keys: that are trusted, obtained otherwise than with the result.
        issuer: who must have made it; None: whoever the keys are of.
        batch: which it must be of; None: any.

    Raises:
        AnswerInvalid: it must not be relied on; `code` is one of BadJws, `issuer-differs`, `question-differs` (of
            another batch), or `batch-result-broken`: altered, incomplete, or sealed to another key.
        KeyUnusable: the key is none that opens results.
    """
    try:
        answers = read_result(io.BytesIO(result), key, keys)
        statement = verify_answer(answers.jws, keys, issuer=issuer, kind=STATEMENT_TYPE)
        if batch is not None and statement.claims.get("batch") != str(uuid.UUID(str(batch))):
            raise AnswerInvalid("question-differs", "it is the result of another batch")
        return BatchAnswers(statement, answers.jws, b"".join(answers.parts))
    except BatchResultKeyUnusable as error:
        raise KeyUnusable(str(error)) from error
    except BatchResultBroken as error:
        cause = error.__cause__
        code = cause.code if isinstance(cause, BadJws) else error.code
        raise AnswerInvalid(code, str(error)) from error
