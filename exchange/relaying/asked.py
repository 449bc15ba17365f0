"""The question as it is passed on to a department, and the check of what comes back.

Both are compact JWS. The department can file the question: it says who asked for what, signed by the exchange. The
answer names the question by its digest, so that it is good for no other, and says no more than was asked.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import orjson

from exchange.relaying.errors import SourceAnswerInvalid
from exchange.relaying.source import LiveSource
from foundation.language import _
from foundation.signing import (
    Algorithm,
    BadJws,
    Signer,
    canonical_json,
    encode_base64url,
    sign_compact,
    verify_compact,
)

QUESTION_TYPE: Final = "zhengtong-question+jwt"
ANSWER_TYPE: Final = "zhengtong-live-answer+jwt"
QUESTION_SECONDS: Final = 60
CLOCK_SKEW_SECONDS: Final = 60
VERDICTS: Final = frozenset({"match", "mismatch", "unknown"})
LONGEST_VALUE: Final = 4000
"""Characters of a text that a source discloses."""
MOST_VALUES: Final = 100
"""Values of a field that has several."""

_MEMBERS: Final = frozenset({"iss", "aud", "iat", "question", "resource", "as_of"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that may be asked, as far as the other end has to know it.

    Args:
        subject: identifier in clear: the other end knows the subject by nothing else.
        claims: as the client wrote them; none where fields are to be disclosed.
        fields: that are to be disclosed; none where claims are to be compared.
        client, client_department: on whose behalf it is asked.
    """

    resource: str
    subject_kind: str
    subject: str
    claims: Mapping[str, Any]
    matter: str
    case: str
    purpose: str
    client: str
    client_department: str
    fields: tuple[str, ...] = ()

    @property
    def what(self) -> dict[str, Any]:
        """What is asked, as it stands in questions and answers: fields or claims."""
        return {"fields": sorted(self.fields)} if self.fields else {"claims": dict(self.claims)}


@dataclass(frozen=True, slots=True)
class Relayed:
    """A good answer.

    Args:
        results: claim → `match`, `mismatch` or `unknown`; empty where fields were asked for.
        as_of: since when what it says is so, by its own word.
        jws: the answer as it came, to be kept inside ours.
        values: field → value, None where it has none; None where it does not know the subject, or claims were compared.
        masked: fields whose values it masked itself.
    """

    results: Mapping[str, str]
    as_of: str | None
    jws: str
    values: Mapping[str, Any] | None = None
    masked: frozenset[str] = frozenset()

    @property
    def knows(self) -> bool:
        """Whether it seems to know the subject: it tells values, or has anything else than `unknown` to say."""
        return self.values is not None or any(result != "unknown" for result in self.results.values())

    @property
    def digest(self) -> str:
        """SHA-256 of the answer as it came, in hexadecimal: what the access record commits to."""
        return hashlib.sha256(self.jws.encode("ascii")).hexdigest()


def said_of_source(source: LiveSource, relayed: Relayed, hidden: Collection[str] = ()) -> dict[str, Any]:
    """Return what our own answer says of where it comes from, the source's answer inside.

    Where that shows values which ours masks, ours has its digest instead: it cannot be read back from that, being of a
    signature and of a question that nobody else has.

    Args:
        hidden: fields whose values ours masks.
    """
    values = relayed.values or {}
    whole = all(values.get(name) is None or name in relayed.masked for name in hidden)
    return {
        "source": {"live": True, "kind": source.kind.value, "department": source.department},
        **({"source_answer": relayed.jws} if whole else {"source_answer_sha256": relayed.digest}),
        "as_of": relayed.as_of,
    }


def question_jws(asked: Asked, source: LiveSource, issuer: str, signer: Signer, now: datetime) -> str:
    """Return the signed question for a department."""
    issued = int(now.timestamp())
    payload = {
        "iss": issuer,
        "aud": source.department,
        "iat": issued,
        "exp": issued + QUESTION_SECONDS,
        "jti": uuid.uuid4().hex,
        "mode": "query" if asked.fields else "verify",
        "resource": source.remote_resource or asked.resource,
        "subject": {"kind": asked.subject_kind, "identifier": asked.subject},
        **asked.what,
        "matter": asked.matter,
        "case": asked.case,
        "purpose": asked.purpose,
        "client": asked.client,
        "department": asked.client_department,
    }
    return sign_compact(signer, canonical_json(payload), QUESTION_TYPE)


def question_digest(question: str) -> str:
    """Return by what an answer names its question: SHA-256 of the compact JWS, in base64url."""
    return encode_base64url(hashlib.sha256(question.encode("ascii")).digest())


def check_answer(
    answer: str, question: str, asked: Asked, source: LiveSource, issuer: str, now: datetime
) -> Relayed:
    """Check a department's answer: right key, right question, fresh, and nothing said that was not asked.

    Raises:
        SourceAnswerInvalid: one of these fails; says which.
    """
    claims = signed_claims(answer, source, ANSWER_TYPE)
    if claims.keys() - _MEMBERS - ({"found", "values"} if asked.fields else {"results"}):
        raise SourceAnswerInvalid(_("the answer says more than was asked"))
    expected = {
        "iss": source.department,
        "aud": issuer,
        "question": question_digest(question),
        "resource": source.remote_resource or asked.resource,
    }
    if any(claims.get(name) != value for name, value in expected.items()):
        raise SourceAnswerInvalid(_("it answers another question"))
    require_fresh(claims, now)
    if asked.fields:
        return Relayed({}, _as_of(claims), answer, require_values(claims, asked))
    return Relayed(require_results(claims, asked), _as_of(claims), answer)


def signed_claims(answer: str, source: LiveSource, kind: str) -> dict[str, Any]:
    """Return what a source signed, by one of its registered keys.

    Raises:
        SourceAnswerInvalid: the signature does not hold.
    """
    try:
        claims = orjson.loads(verify_compact(answer, source.keys, kind, frozenset(Algorithm)).payload)
    except BadJws as error:
        raise SourceAnswerInvalid(
            _("the signature of the answer does not hold: {reason}"), reason=error.code
        ) from error
    except orjson.JSONDecodeError as error:
        raise SourceAnswerInvalid(_("the answer is not of the agreed form")) from error
    if not isinstance(claims, dict):
        raise SourceAnswerInvalid(_("the answer is not of the agreed form"))
    return claims


def require_fresh(claims: Mapping[str, Any], now: datetime) -> None:
    """Raise SourceAnswerInvalid unless an answer was signed just now."""
    signed = claims.get("iat")
    if type(signed) is not int or abs(signed - now.timestamp()) > CLOCK_SKEW_SECONDS:
        raise SourceAnswerInvalid(_("the answer is not of now; look at the clocks"))


def require_results(claims: Mapping[str, Any], asked: Asked) -> dict[str, str]:
    """Return the results, or raise SourceAnswerInvalid unless there is one for each claim and for nothing else."""
    results = claims.get("results")
    if not isinstance(results, dict) or results.keys() != asked.claims.keys():
        raise SourceAnswerInvalid(_("it answers another question"))
    if not all(isinstance(each, str) and each in VERDICTS for each in results.values()):
        raise SourceAnswerInvalid(_("the answer is not of the agreed form"))
    return results


def require_values(claims: Mapping[str, Any], asked: Asked) -> dict[str, Any] | None:
    """Return the values, None for a subject that is not known; exactly of the fields that were asked for.

    Raises:
        SourceAnswerInvalid: they are others, or no plain values.
    """
    found, values = claims.get("found"), claims.get("values")
    if type(found) is not bool or not isinstance(values, dict):
        raise SourceAnswerInvalid(_("the answer is not of the agreed form"))
    if values.keys() != (frozenset(asked.fields) if found else frozenset()):
        raise SourceAnswerInvalid(_("it answers another question"))
    if not all(_is_plain(value) for value in values.values()):
        raise SourceAnswerInvalid(_("the answer is not of the agreed form"))
    return values if found else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return (
            len(value) <= MOST_VALUES
            and not any(isinstance(each, list) for each in value)
            and all(map(_is_plain, value))
        )
    if isinstance(value, str):
        return len(value) <= LONGEST_VALUE
    # Whole numbers that every reader of JSON has room for, since what is signed is canonical (RFC 8785).
    return value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**53)


def _as_of(claims: Mapping[str, Any]) -> str | None:
    said = claims.get("as_of")
    if said is None:
        return None
    try:
        if not isinstance(said, str):
            raise ValueError
        if len(said) == 10:
            date.fromisoformat(said)
        else:
            datetime.fromisoformat(said)
    except ValueError as error:
        raise SourceAnswerInvalid(_("the answer is not of the agreed form")) from error
    return said
