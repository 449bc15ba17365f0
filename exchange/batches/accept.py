"""Taking a batch in: its subjects are cut into parts and sealed; nothing is asked yet."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, BinaryIO

from exchange.audit.record import prepare
from exchange.batches import tables
from exchange.batches.answering import require_allowed
from exchange.batches.batch import (
    Batch,
    BatchEmpty,
    BatchEncodingWrong,
    BatchesTooMany,
    BatchKeyReused,
    BatchResultKeyUnusable,
    BatchTooManyRows,
    Counts,
    Form,
    Question,
    State,
)
from exchange.batches.rows import LONGEST_LINE, read_columns
from exchange.batches.sealing import public_key
from exchange.catalog.resources import require_resource
from exchange.grants.grant import Grant
from exchange.ports import Exchange
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.identity.tables import find_client
from foundation.language import _
from foundation.signing import canonical_json

PART_ROWS = 2000
"""Rows of one transaction: what is done again after a crash, and how soon the end of a grant tells."""
LIVE_PART_ROWS = 100
"""The same, of rows that a live source is asked about: they take as long as it does."""
MOST_ROWS = 1_000_000
MOST_OPEN = 20
"""Batches of one client that are not over."""
CHARSETS = {"utf-8": "utf-8", "gb18030": "gb18030", "gbk": "gb18030", "gb2312": "gb18030"}


@dataclass(frozen=True, slots=True)
class Sent:
    """The subjects as they came.

    Args:
        charset: one of `CHARSETS`.
    """

    file: BinaryIO
    form: Form
    charset: str


async def accept(
    exchange: Exchange, caller: Principal, key: str, question: Question, sent: Sent, now: datetime
) -> Batch:
    """Take a batch in.

    1. Check the question as one about one subject would be: resource, fields, grant; and the key of the result.
    2. Known by its key: the same again → the batch that there is; another → refuse.
    3. Cut the subjects into parts and store them sealed, record the act, store the batch: one transaction. Dying in
       it leaves a record and no batch, which discloses nothing.

    What is refused is recorded, too.

    Raises:
        ResourceUnknown, FieldUnknown, NotGranted and others of its kind, BatchResultKeyUnusable, BatchKeyReused,
        BatchesTooMany, BatchEmpty, BatchTooManyRows, BatchEncodingWrong, BatchColumnsWrong, SourceUnavailable,
        TooManyUnknown: nothing was taken in.
    """
    try:
        return await _accept(exchange, caller, key, question, sent, now)
    except DomainError as refusal:
        await exchange.recorder.record(
            prepare("batch-sent", "refused", caller, now, reason=refusal.code, **_asked(question))
        )
        raise


async def _accept(
    exchange: Exchange, caller: Principal, key: str, question: Question, sent: Sent, now: datetime
) -> Batch:
    resource = require_resource(exchange.catalogue, question.resource)
    resource.require_fields(frozenset(question.fields), "/fields")
    live = exchange.relays.source_of(resource) is not None
    question = replace(question, recipient=await _recipient(exchange, caller, question))
    digest = exchange.vault.fingerprint(await asyncio.to_thread(_fingerprinted, question, sent))
    known = await tables.find_by_key(exchange.pool, caller.id, key)
    if known is not None:
        return _same(known, digest)
    grants = await exchange.grants.of(caller.id, question.resource)
    new = Batch(
        id=uuid.uuid4(),
        client_id=caller.id,
        department=caller.department,
        key=key,
        digest=digest,
        question=question,
        form=sent.form,
        columns=(),
        state=State.ACCEPTED,
        problem=None,
        rows=0,
        parts=0,
        part_rows=_part_rows(grants, LIVE_PART_ROWS if live else PART_ROWS),
        next_part=0,
        counts=Counts(),
        first_record=None,
        last_record=None,
        first_at=None,
        last_at=None,
        grants=(),
        sources=(),
        worked_ms=0,
        resume_at=None,
        statement=None,
        created_at=now,
        changed_at=now,
        finished_at=None,
        expires_at=now + timedelta(days=exchange.settings.batch_result_days),
        live=live,
    )
    require_allowed(new, grants, now)
    exchange.misses.require_few(caller.id, now)
    if await tables.count_open(exchange.pool, caller.id) >= MOST_OPEN:
        raise BatchesTooMany(_("at most {most} at a time; wait until one is over"), most=MOST_OPEN)
    stored = await _store(exchange, caller, new, sent, now)
    if stored is None:
        # An equal request was first while this one was read.
        known = await tables.find_by_key(exchange.pool, caller.id, key)
        assert known is not None
        return _same(known, digest)
    return stored


async def _store(
    exchange: Exchange, caller: Principal, new: Batch, sent: Sent, now: datetime
) -> Batch | None:
    async with exchange.pool.acquire() as connection, connection.transaction():
        if not await tables.add(connection, new):
            return None
        cutting = _Cutting(sent, new.part_rows)
        parts = cutting.parts()
        count = 0
        while (part := await asyncio.to_thread(next, parts, None)) is not None:
            sealed = exchange.vault.seal(part, lines_place(new.id, count))
            await tables.add_lines(connection, new.id, count, sealed)
            count += 1
        if count == 0:
            raise BatchEmpty(_("send at least one subject"))
        columns = cutting.columns
        await tables.set_size(connection, new.id, cutting.rows, count, columns)
        await exchange.recorder.record(
            prepare(
                "batch-sent",
                "accepted",
                caller,
                now,
                batch=str(new.id),
                rows=cutting.rows,
                **_asked(new.question),
            )
        )
    return replace(new, rows=cutting.rows, parts=count, columns=columns)


def lines_place(batch_id: uuid.UUID, part: int) -> bytes:
    """Return where the sealed subjects of a part stand (see `Vault.seal`)."""
    return b"batch_lines\0" + batch_id.bytes + part.to_bytes(4, "big")


def _same(known: Batch, digest: bytes) -> Batch:
    if known.digest != digest:
        raise BatchKeyReused(_("take a new Idempotency-Key for each batch"))
    return known


async def _recipient(exchange: Exchange, caller: Principal, question: Question) -> dict[str, object]:
    given = dict(question.recipient)
    if not given:
        client = await find_client(exchange.engine, caller.id)
        keys = [] if client is None else client.jwks.get("keys", [])
        given = next((dict(key) for key in keys if key.get("use") == "enc"), {})
        if not given:
            raise BatchResultKeyUnusable(
                _("send a public key for the result, or register one with use enc"), pointer="/result_key"
            )
    public_key(given)
    return {name: given[name] for name in ("kty", "crv", "x", "y", "kid") if name in given}


def quotas(grants: Sequence[Grant]) -> list[int]:
    """Return how many subjects grants allow at once, as far as they limit it."""
    return [
        quota
        for grant in grants
        for quota in (grant.quota_per_minute, grant.quota_per_day)
        if quota is not None
    ]


def _part_rows(grants: Sequence[Grant], most: int) -> int:
    # A part is asked for whole: one that is larger than what a grant allows at once could never be.
    return max(1, min(most, *quotas(grants), most))


def _fingerprinted(question: Question, sent: Sent) -> bytes:
    sent.file.seek(0)
    body = hashlib.sha256()
    while piece := sent.file.read(1 << 20):
        body.update(piece)
    return canonical_json(
        {
            "mode": question.mode.value,
            "resource": question.resource,
            "fields": sorted(question.fields),
            "claims": dict(question.claims),
            "matter": question.matter,
            "case": question.case,
            "recipient": dict(question.recipient),
            "form": sent.form.value,
            "charset": sent.charset,
            "body": body.hexdigest(),
        }
    )


def _asked(question: Question) -> dict[str, Any]:
    return {
        "mode": question.mode.value,
        "resource": question.resource,
        "fields": sorted(question.fields),
        "matter": question.matter,
        "case": question.case,
    }


class _Cutting:
    """Cuts what was sent into parts, in memory of one part.

    Attributes:
        rows: how many lines were cut so far, empty ones at the end not counted.
        columns: of a CSV.
    """

    def __init__(self, sent: Sent, part_rows: int) -> None:
        self._sent = sent
        self._part_rows = part_rows
        self.rows = 0
        self.columns: tuple[str, ...] = ()

    def parts(self) -> Iterator[bytes]:
        """Yield parts: lines in UTF-8, each ended by a line break.

        Raises:
            BatchEncodingWrong, BatchColumnsWrong, BatchTooManyRows: as they say.
        """
        lines = self._lines()
        if self._sent.form is Form.CSV:
            first = next(lines, None)
            if first is None:
                return
            self.columns = read_columns(self._decoded([first], 0))
        part: list[bytes] = []
        for line in lines:
            part.append(line)
            if len(part) == self._part_rows:
                yield self._part(part)
                part = []
        if part:
            yield self._part(part)

    def _part(self, lines: list[bytes]) -> bytes:
        text = self._decoded(lines, self.rows + 1)
        self.rows += len(lines)
        if self.rows > MOST_ROWS:
            raise BatchTooManyRows(_("at most {most} subjects"), most=MOST_ROWS)
        return text.encode() + b"\n"

    def _decoded(self, lines: list[bytes], first: int) -> str:
        charset = CHARSETS[self._sent.charset]
        try:
            # No character of these encodings has a line break among its further bytes.
            return b"\n".join(lines).decode(charset)
        except UnicodeDecodeError:
            for number, line in enumerate(lines, first):
                try:
                    line.decode(charset)
                except UnicodeDecodeError as error:
                    raise BatchEncodingWrong(
                        _("line {line} is not {charset}"), line=number, charset=self._sent.charset
                    ) from error
            raise

    def _lines(self) -> Iterator[bytes]:
        file = self._sent.file
        file.seek(0)
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        waiting = 0
        while raw := file.readline(LONGEST_LINE + 2):
            line = raw.rstrip(b"\r\n")
            if len(line) > LONGEST_LINE:
                # Far too long: it is refused as a row, and not kept.
                while not raw.endswith(b"\n") and (raw := file.readline(LONGEST_LINE)):
                    pass
                line = b"?" * (LONGEST_LINE + 1)
            if not line.strip():
                waiting += 1
                continue
            # Empty lines are rows, malformed ones, except at the end.
            for _empty in range(waiting):
                yield b""
            waiting = 0
            yield line
