"""What a batch is: the question, its states, and how far it is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from foundation.errors import DomainError
from foundation.language import _

STATEMENT_TYPE: Final = "zhengtong-batch+jwt"
"""Of what is signed about a batch that is over, as its header names it."""


class Mode(StrEnum):
    """What is asked about each subject: whether claims hold, or what fields say."""

    VERIFY = "verify"
    QUERY = "query"


class Form(StrEnum):
    """How the subjects are written: an object of JSON a line, or CSV with a line of names."""

    LINES = "lines"
    CSV = "csv"


class State(StrEnum):
    """Where a batch is.

    `stopped`: what allowed it ended; the rows that were done keep their answers, the others were not asked.
    `failed`: it cannot go on, which `problem` says; the rows that were done keep their answers.
    """

    ACCEPTED = "accepted"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FAILED = "failed"
    EXPIRED = "expired"


OPEN = frozenset({State.ACCEPTED, State.RUNNING, State.PAUSED})
"""States from which a batch goes on."""


class BatchKeyInvalid(DomainError):
    code = "batch-key-invalid"


class BatchKeyReused(DomainError):
    code = "batch-key-reused"


class BatchEmpty(DomainError):
    code = "batch-empty"


class BatchTooManyRows(DomainError):
    code = "batch-too-many-rows"


class BatchEncodingWrong(DomainError):
    code = "batch-encoding-wrong"


class BatchFormUnknown(DomainError):
    code = "batch-form-unknown"


class BatchColumnsWrong(DomainError):
    code = "batch-columns-wrong"


class BatchResultKeyUnusable(DomainError):
    code = "batch-result-key-unusable"


class BatchesTooMany(DomainError):
    code = "batches-too-many"


class BatchCutShort(DomainError):
    code = "batch-cut-short"


class BatchNotFinished(DomainError):
    code = "batch-not-finished"


class BatchFinished(DomainError):
    code = "batch-finished"


class BatchResultExpired(DomainError):
    code = "batch-result-expired"


class NotOurs(Exception):
    """The part is not ours to do any more: paused, cancelled, taken over, or what allowed it has just ended."""


class BatchLinesLost(DomainError):
    """The sealed subjects of a batch are gone or were altered."""

    code = "batch-lines-lost"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about every subject of a batch.

    Args:
        fields: what a query wants to know; empty for a verification.
        claims: of a verification: name → field and comparison, for rows that give only the value; may be empty.
        recipient: public JWK that the result is sealed to.
    """

    mode: Mode
    resource: str
    fields: tuple[str, ...]
    claims: Mapping[str, Any]
    matter: str
    case: str
    recipient: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what became of them.

    Args:
        answered: the register knows the subject.
        unknown: answered, too, but the register does not know the subject.
        malformed: not asked, since the row cannot be read; one of them with an identifier has a record all the same.
        refused: asked for what is not granted.
        records: access records written.
        unanswered: to be answered by a live source, which gave no good answer.
        missed: of those that were answered, subjects that are not known or have another name than was claimed.
    """

    answered: int = 0
    unknown: int = 0
    malformed: int = 0
    refused: int = 0
    records: int = 0
    unanswered: int = 0
    missed: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.answered + self.unknown + self.malformed + self.refused + self.unanswered


@dataclass(frozen=True, slots=True)
class Batch:
    """A question about many subjects, worked on part by part.

    Args:
        key: the client's `Idempotency-Key`; `digest` is a keyed fingerprint of what came with it.
        columns: of a CSV, the names of its first line.
        part_rows: rows of each part, the last may have fewer; `next_part`, counted from 0, is not done yet.
        first_record: and `last_record`: ids of its access records, in the order of the rows.
        first_at: and `last_at`: when the first and the last part was answered.
        grants: that allowed what was answered; `sources`: that the answers rest on.
        worked_ms: milliseconds that parts took, pauses left out.
        resume_at: when a paused batch goes on by itself; None: when its client says so.
        statement: signed summary (compact JWS), once it is finished.
        expires_at: when its result is deleted.
        live: its resource was asked live when it was sent; such batches wait for others, and are worked on apart.
    """

    id: uuid.UUID
    client_id: str
    department: str
    key: str
    digest: bytes
    question: Question
    form: Form
    columns: tuple[str, ...]
    state: State
    problem: str | None
    rows: int
    parts: int
    part_rows: int
    next_part: int
    counts: Counts
    first_record: uuid.UUID | None
    last_record: uuid.UUID | None
    first_at: datetime | None
    last_at: datetime | None
    grants: tuple[uuid.UUID, ...]
    sources: tuple[str, ...]
    worked_ms: int
    resume_at: datetime | None
    statement: str | None
    created_at: datetime
    changed_at: datetime
    finished_at: datetime | None
    expires_at: datetime
    live: bool = False

    @property
    def rate(self) -> int | None:
        """Rows a second while it is worked on; None before the first part is done."""
        return self.counts.rows * 1000 // self.worked_ms if self.worked_ms else None

    @property
    def seconds_left(self) -> int | None:
        """Seconds that the remaining rows will take at this rate; None where it does not go on or nothing is known."""
        if self.state not in (State.ACCEPTED, State.RUNNING) or not self.rate:
            return None
        return -(-(self.rows - self.counts.rows) // self.rate)


def require_open(batch: Batch) -> None:
    """Refuse to pause, resume or cancel what is over.

    Raises:
        BatchFinished: it is.
    """
    if batch.state not in OPEN:
        raise BatchFinished(_("the batch is over: {state}"), state=batch.state.value)


def require_result(batch: Batch) -> None:
    """Refuse to hand out a result that is not there.

    Raises:
        BatchResultExpired: it was deleted.
        BatchNotFinished: it is not whole yet.
    """
    if batch.state is State.EXPIRED:
        raise BatchResultExpired(_("its results were deleted at the time that was set for it"))
    if batch.state in OPEN:
        raise BatchNotFinished(_("the batch is {state}; wait until it is over"), state=batch.state.value)


def progress(batch: Batch) -> dict[str, Any]:
    """Return a batch for a reply."""
    question, counts = batch.question, batch.counts
    return {
        "id": str(batch.id),
        "state": batch.state.value,
        "problem": batch.problem,
        "resume_at": _time(batch.resume_at),
        "mode": question.mode.value,
        "resource": question.resource,
        "matter": question.matter,
        "case": question.case,
        "rows": batch.rows,
        "done": counts.rows,
        "answered": counts.answered,
        "unknown": counts.unknown,
        "malformed": counts.malformed,
        "refused": counts.refused,
        "unanswered": counts.unanswered,
        "records": counts.records,
        "rate": batch.rate,
        "seconds_left": batch.seconds_left,
        "created_at": _time(batch.created_at),
        "changed_at": _time(batch.changed_at),
        "finished_at": _time(batch.finished_at),
        "expires_at": _time(batch.expires_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
