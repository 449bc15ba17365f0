"""Answering a part: rows, and what the register says of their subjects, in; lines and access records out.

No database and no HTTP: it runs in a thread beside the service.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from exchange.audit.many import Identities, Spell, Written, draw, speller
from exchange.batches.batch import Batch, Counts
from exchange.batches.claims import Claims
from exchange.batches.rows import Row, Unreadable
from exchange.batches.subjects import blind_subjects
from exchange.catalog.resources import Resource
from exchange.grants.grant import (
    FieldNotGranted,
    Grant,
    GrantNotInForce,
    MatterNotGranted,
    ModeNotGranted,
    NotGranted,
    OutsideHours,
    SubjectNotCovered,
    covering_grants,
    for_subject,
)
from exchange.grants.grant import Mode as GrantMode
from exchange.grants.scope import division_of
from exchange.queries.answer import compare
from exchange.queries.authorise import SubjectMalformed
from exchange.registers.lookup import RegisterRow
from exchange.registers.schemas import opened
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.language import both
from foundation.sensitive import Vault
from foundation.signing import encode_base64url

EVENT = "batch-verify"
SALT_BYTES = 16
NOT_ALLOWED: tuple[type[DomainError], ...] = (
    FieldNotGranted,
    GrantNotInForce,
    MatterNotGranted,
    ModeNotGranted,
    NotGranted,
    OutsideHours,
    SubjectNotCovered,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A row that makes sense; `subject` is its blind index."""

    row: Row
    subject: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not answered, and why; `subject` where it could be blinded."""

    row: Row
    error: DomainError
    subject: bytes | None = None


Prepared = Asked | Refused | Unreadable


@dataclass(frozen=True, slots=True)
class AnsweredPart:
    """What came of a part.

    Args:
        lines: JSON lines, one for each row, in order.
        uses: how many subjects were asked for under each grant.
    """

    lines: bytes
    records: Sequence[Written]
    first_record: uuid.UUID | None
    last_record: uuid.UUID | None
    counts: Counts
    uses: Mapping[uuid.UUID, int]


def prepare(rows: Sequence[Row | Unreadable], resource: Resource, vault: Vault) -> list[Prepared]:
    """Check the claims of rows against the catalogue, and blind their subjects."""
    asked = [row for row in rows if isinstance(row, Row)]
    blinded = iter(blind_subjects(resource.subject_kind, [row.subject for row in asked], vault))
    claims = Claims(resource)
    found: list[Prepared] = []
    for row in rows:
        if isinstance(row, Unreadable):
            found.append(row)
            continue
        subject = next(blinded)
        try:
            claims.require_sense(row.claims)
        except DomainError as error:
            found.append(Refused(row, error, None if isinstance(subject, SubjectMalformed) else subject))
            continue
        if isinstance(subject, SubjectMalformed):
            found.append(Refused(row, subject))
        else:
            found.append(Asked(row, subject))
    return found


def subjects_of(prepared: Sequence[Prepared]) -> list[bytes]:
    """Return the blind indexes to look up."""
    return [each.subject for each in prepared if isinstance(each, Asked)]


@dataclass(slots=True)
class _Outcome:
    lines: list[bytes] = field(default_factory=list)
    records: list[Written] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    answered: int = 0
    unknown: int = 0
    malformed: int = 0
    refused: int = 0
    uses: Counter[uuid.UUID] = field(default_factory=Counter)


def answer(
    batch: Batch,
    caller: Principal,
    resource: Resource,
    vault: Vault,
    prepared: Sequence[Prepared],
    grants: Sequence[Grant],
    found: Mapping[bytes, RegisterRow],
    now: datetime,
) -> AnsweredPart:
    """Answer a part by the grants that stand.

    1. Decide for each row, by its fields and by the division of its subject. Only then open the subject's row.
    2. Spell the line of the result; its digest goes into the record, and the record's id and entry into the line.
    3. What is refused gets its record as a single refusal does; a line that is no row has none.
    """
    outcome = _Outcome()
    identities = draw(len(prepared), now)
    salts = secrets.token_bytes(SALT_BYTES * len(prepared))
    spelling = _Spelling(batch, caller, now)
    decide = _decisions(batch, grants, now)
    register = resource.register
    for turn, each in enumerate(prepared):
        if isinstance(each, Unreadable):
            outcome.malformed += 1
            outcome.lines.append(_error_line(each.number, each.error, None))
            continue
        if isinstance(each, Refused):
            _refuse(outcome, each, spelling, identities, turn)
            continue
        row, claims = each.row, each.row.claims
        held = found.get(each.subject)
        try:
            grant = decide(claims, None if held is None else division_of(register.name, held.content))
        except DomainError as error:
            _refuse(outcome, Refused(row, error, each.subject), spelling, identities, turn)
            continue
        outcome.uses[grant.id] += 1
        if held is None:
            outcome.unknown += 1
            values = None
        else:
            outcome.answered += 1
            values = opened(vault, register, each.subject, held.content, held.sealed)
        salt = salts[turn * SALT_BYTES : (turn + 1) * SALT_BYTES]
        bare = orjson.dumps(
            {
                "as_of": None if held is None else held.valid_from.isoformat(),
                "claims": claims,
                "grant": str(grant.id),
                "results": compare(claims, values),
                "row": row.number,
                "source": None if held is None else held.sources(claims),
                "subject": {
                    "digest": hashlib.sha256(salt + row.subject.encode()).hexdigest(),
                    "salt": salt.hex(),
                },
            },
            option=orjson.OPT_SORT_KEYS,
        )
        digest = b'"%b"' % hashlib.sha256(bare).hexdigest().encode()
        name = identities.texts[turn]
        record = spelling.answered(grant, claims)(
            identities.ids[turn],
            name,
            identities.salts[turn],
            each.subject,
            (digest, b"%d" % row.number),
        )
        outcome.records.append(record)
        outcome.names.append(name)
        outcome.lines.append(
            b'%b,"receipt":{"entry":"%b","record":"%b"}}'
            % (bare[:-1], encode_base64url(record.entry).encode(), name.encode())
        )
    names = outcome.names
    return AnsweredPart(
        b"".join([line + b"\n" for line in outcome.lines]),
        outcome.records,
        uuid.UUID(names[0]) if names else None,
        uuid.UUID(names[-1]) if names else None,
        Counts(outcome.answered, outcome.unknown, outcome.malformed, outcome.refused, len(names)),
        outcome.uses,
    )


def require_allowed(batch: Batch, grants: Sequence[Grant], now: datetime) -> None:
    """Refuse to go on with a batch that no grant allows any more, whatever its rows ask for.

    Raises:
        NotGranted, GrantNotInForce, ModeNotGranted, MatterNotGranted, FieldNotGranted, OutsideHours: as they say.
    """
    _covering(batch, grants, frozenset(batch.question.fields), now)


def _covering(
    batch: Batch, grants: Sequence[Grant], fields: frozenset[str], now: datetime
) -> tuple[Grant, ...]:
    """Return the grants that allow both: what is asked, and to ask it of many."""
    question = batch.question
    by_kind = covering_grants(grants, GrantMode(question.mode.value), fields, question.matter, now)
    return covering_grants(by_kind, GrantMode.BATCH, fields, question.matter, now)


def _decisions(
    batch: Batch, grants: Sequence[Grant], now: datetime
) -> Callable[[Mapping[str, Any], str | None], Grant]:
    # Rows ask the same again and again: the decision on fields is made once for each set of them.
    known: dict[tuple[str, ...], tuple[Grant, ...] | DomainError] = {}

    def decide(claims: Mapping[str, Any], division: str | None) -> Grant:
        names = tuple(claims)
        covering = known.get(names)
        if covering is None:
            try:
                covering = _covering(batch, grants, frozenset(claims), now)
            except DomainError as error:
                covering = error
            known[names] = covering
        if isinstance(covering, DomainError):
            raise covering
        if not covering[0].divisions:
            return covering[0]
        return for_subject(covering, division)[0]

    return decide


def _refuse(
    outcome: _Outcome, refused: Refused, spelling: _Spelling, identities: Identities, turn: int
) -> None:
    error, row = refused.error, refused.row
    if isinstance(error, NOT_ALLOWED):
        outcome.refused += 1
    else:
        outcome.malformed += 1
    name = identities.texts[turn]
    record = spelling.refused(error.code, row.claims)(
        identities.ids[turn], name, identities.salts[turn], refused.subject, (b"%d" % row.number,)
    )
    outcome.records.append(record)
    outcome.names.append(name)
    outcome.lines.append(_error_line(row.number, error, (record, name)))


def _error_line(number: int, error: DomainError, receipt: tuple[Written, str] | None) -> bytes:
    line: dict[str, Any] = {
        "row": number,
        "error": error.code,
        "pointer": error.pointer,
        "detail": both(error.message, **error.values),
    }
    if receipt is not None:
        record, name = receipt
        line["receipt"] = {"entry": encode_base64url(record.entry), "record": name}
    return orjson.dumps(line, option=orjson.OPT_SORT_KEYS)


class _Spelling:
    """Spells the records of a part, a template for each kind of them."""

    def __init__(self, batch: Batch, caller: Principal, now: datetime) -> None:
        question = batch.question
        self._caller = caller
        self._now = now
        self._facts = {
            "resource": question.resource,
            "matter": question.matter,
            "case": question.case,
            "batch": str(batch.id),
        }
        self._known: dict[tuple[str, ...], Spell] = {}

    def answered(self, grant: Grant, claims: Mapping[str, Any]) -> Spell:
        """Of rows answered by a grant; what varies is the digest of the answer and the number of the row."""
        key = (grant.id.hex, *claims)
        found = self._known.get(key)
        if found is None:
            found = speller(
                EVENT,
                "answered",
                self._caller,
                self._now,
                varying=("answer_sha256", "row"),
                grant=str(grant.id),
                purpose=grant.purpose,
                fields=sorted(claims),
                **self._facts,
            )
            self._known[key] = found
        return found

    def refused(self, code: str, claims: Mapping[str, Any]) -> Spell:
        """Of rows refused for a reason; what varies is the number of the row."""
        key = (code, *claims)
        found = self._known.get(key)
        if found is None:
            found = speller(
                EVENT,
                "refused",
                self._caller,
                self._now,
                varying=("row",),
                reason=code,
                fields=sorted(claims),
                **self._facts,
            )
            self._known[key] = found
        return found
