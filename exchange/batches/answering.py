"""Answering a part: rows, and what is known of their subjects, in; lines and access records out.

No database and no HTTP: it runs in a thread beside the service.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson

from exchange.audit.many import Identities, Spell, Written, draw, speller
from exchange.batches.batch import Batch, Counts, Mode
from exchange.batches.live_lines import FromSource, live_line
from exchange.batches.prepare import Asked, Prepared, Refused
from exchange.batches.rows import Unreadable
from exchange.catalog.resources import Masking, Resource
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
from exchange.queries.compare import Verdict, another_name, compare, text_form
from exchange.queries.elsewhere import Told
from exchange.queries.masking import masked
from exchange.registers.lookup import RegisterRow
from exchange.registers.schemas import opened
from exchange.relaying.errors import SOURCE_FAILURES
from foundation.civil import civil_date
from foundation.errors import DomainError
from foundation.identity.principals import Principal
from foundation.language import both
from foundation.sensitive import Vault
from foundation.signing import encode_base64url

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
class Allowed:
    """A row that is answered by a grant, from the row of its subject; None where the register has none.

    Args:
        live: what was answered in place of that, where the resource is live.
    """

    asked: Asked
    grant: Grant
    held: RegisterRow | None
    live: FromSource | None = None

    @property
    def known(self) -> bool:
        """Whether the subject is known where the answer comes from."""
        return self.held is not None if self.live is None else self.live.relayed.knows


Decided = Allowed | Refused | Unreadable


@dataclass(frozen=True, slots=True)
class AnsweredPart:
    """What came of a part.

    Args:
        lines: JSON lines, one for each row, in order.
        uses: how many subjects were asked for under each grant.
        sources: that the answers rest on.
    """

    lines: bytes
    records: Sequence[Written]
    first_record: uuid.UUID | None
    last_record: uuid.UUID | None
    counts: Counts
    uses: Mapping[uuid.UUID, int]
    sources: frozenset[str]


def require_allowed(batch: Batch, grants: Sequence[Grant], now: datetime) -> None:
    """Refuse to go on with a batch that no grant allows any more, whatever its rows ask for.

    Raises:
        NotGranted, GrantNotInForce, ModeNotGranted, MatterNotGranted, FieldNotGranted, OutsideHours: as they say.
    """
    _covering(batch, grants, frozenset(batch.question.fields), now)


def decide(
    batch: Batch,
    resource: Resource,
    prepared: Sequence[Prepared],
    grants: Sequence[Grant],
    found: Mapping[bytes, RegisterRow],
    now: datetime,
) -> list[Decided]:
    """Decide for each row by the grants and, where these name divisions, by that of its subject; nothing is opened."""
    # Rows ask the same again and again: the decision on fields is made once for each set of them.
    known: dict[frozenset[str], tuple[Grant, ...] | DomainError] = {}
    name = resource.register.name
    decided: list[Decided] = []
    for each in prepared:
        if not isinstance(each, Asked):
            decided.append(each)
            continue
        needs = each.sense.needs
        covering = known.get(needs)
        if covering is None:
            covering = known[needs] = _covering_or_refusal(batch, grants, needs, now)
        held = found.get(each.subject)
        if isinstance(covering, DomainError):
            decided.append(Refused(each.row, _placed(covering, each), each.subject))
        elif not covering[0].divisions:
            decided.append(Allowed(each, covering[0], held))
        else:
            try:
                grant = for_subject(covering, None if held is None else division_of(name, held.content))[0]
            except SubjectNotCovered as refusal:
                decided.append(Refused(each.row, refusal, each.subject))
            else:
                decided.append(Allowed(each, grant, held))
    return decided


def answer(
    batch: Batch,
    caller: Principal,
    resource: Resource,
    vault: Vault,
    decided: Sequence[Decided],
    elsewhere: Mapping[int, Mapping[str, Told]],
    now: datetime,
) -> AnsweredPart:
    """Answer a part.

    1. Open the rows of the register and compare, or mask; spell the line of each row without its receipt.
    2. Spell the record of each with the digest of its line. What is refused gets a record as a single refusal does;
       a line that is no row has none.
    3. Put id and entry of the record into the line, as its receipt.

    Args:
        elsewhere: number of a row → what was found for claims whose answer does not stand in the subject's row.
    """
    saying = _Saying(batch, resource, vault, elsewhere, civil_date(now), len(decided))
    identities = draw(len(decided), now)
    spelling = _Spelling(batch, caller, identities, now)
    records: list[Written] = []
    lines: list[bytes] = []
    refused = malformed = unknown = unanswered = 0
    uses: Counter[uuid.UUID] = Counter()
    first: int | None = None
    last = 0
    for turn, each in enumerate(decided):
        if isinstance(each, Allowed):
            uses[each.grant.id] += 1
            unknown += not each.known
            number = each.asked.row.number
            bare = saying.line(turn, each)
            digest = b'"%b"' % hashlib.sha256(bare).hexdigest().encode()
            varying: tuple[bytes, ...] = (digest, b"%d" % number)
            if each.live is not None:
                varying += (b'"%b"' % each.live.relayed.digest.encode(),)
            record = spelling.answered(each)(turn, each.asked.subject, varying)
        elif isinstance(each, Refused):
            if isinstance(each.error, NOT_ALLOWED):
                refused += 1
            elif isinstance(each.error, SOURCE_FAILURES):
                unanswered += 1
            else:
                malformed += 1
            bare = _error_line(each.row.number, each.error)
            record = spelling.refused(each)(turn, each.subject, (b"%d" % each.row.number,))
        else:
            malformed += 1
            lines.append(_error_line(each.number, each.error) + b"\n")
            continue
        records.append(record)
        if first is None:
            first = turn
        last = turn
        lines.append(
            b'%b,"receipt":{"entry":"%b","record":"%b"}}\n'
            % (bare[:-1], encode_base64url(record.entry).encode(), identities.texts[turn])
        )
    answered = uses.total() - unknown
    return AnsweredPart(
        b"".join(lines),
        records,
        None if first is None else uuid.UUID(bytes=identities.ids[first]),
        None if first is None else uuid.UUID(bytes=identities.ids[last]),
        Counts(answered, unknown, malformed, refused, len(records), unanswered, unknown + saying.other_names),
        uses,
        frozenset(saying.sources),
    )


def _covering(
    batch: Batch, grants: Sequence[Grant], fields: frozenset[str], now: datetime
) -> tuple[Grant, ...]:
    """Return the grants that allow both: what is asked, and to ask it of many."""
    question = batch.question
    by_kind = covering_grants(grants, GrantMode(question.mode.value), fields, question.matter, now)
    return covering_grants(by_kind, GrantMode.BATCH, fields, question.matter, now)


def _covering_or_refusal(
    batch: Batch, grants: Sequence[Grant], fields: frozenset[str], now: datetime
) -> tuple[Grant, ...] | DomainError:
    try:
        return _covering(batch, grants, fields, now)
    except DomainError as refusal:
        return refusal


def _placed(refusal: DomainError, asked: Asked) -> DomainError:
    """Return a refusal that points at the claim which takes the field that is missing."""
    if not isinstance(refusal, FieldNotGranted):
        return refusal
    field = refusal.values["field"]
    place = f"/claims/{field}"
    if asked.claims is not None:
        place = next((f"/claims/{claim.name}" for claim in asked.claims if field in claim.needs), "/fields")
    return FieldNotGranted(refusal.message, pointer=place, **refusal.values)


def _error_line(number: int, error: DomainError) -> bytes:
    line = {
        "detail": both(error.message, **error.values),
        "error": error.code,
        "pointer": error.pointer,
        "row": number,
    }
    return orjson.dumps(line)


class _Saying:
    """Spells the lines of answers: canonical JSON (RFC 8785), so that a digest over them says something.

    Attributes:
        sources: that the answers so far rest on.
        other_names: how many subjects so far have another name than was claimed.
    """

    def __init__(
        self,
        batch: Batch,
        resource: Resource,
        vault: Vault,
        elsewhere: Mapping[int, Mapping[str, Told]],
        today: date,
        rows: int,
    ) -> None:
        self._question = batch.question
        self._register = resource.register
        self._details = resource.details
        self._vault = vault
        self._elsewhere = elsewhere
        self._today = today
        self._salts = secrets.token_bytes(SALT_BYTES * rows)
        self._times: dict[datetime, bytes] = {}
        self._results: dict[tuple[str, ...], tuple[bytes, bool]] = {}
        self.sources: set[str] = set()
        self.other_names = 0

    def line(self, turn: int, allowed: Allowed) -> bytes:
        """Return the answer to a row, without its receipt."""
        asked, held = allowed.asked, allowed.held
        row = asked.row
        values = None
        if held is not None:
            secret = held.sealed if self._register.sensitive.intersection(asked.sense.needs) else None
            values = opened(self._vault, self._register, held.subject, held.content, secret)
        salt = self._salts[turn * SALT_BYTES : (turn + 1) * SALT_BYTES]
        hashed = hashlib.sha256(salt + row.subject.encode()).hexdigest()
        if allowed.live is not None:
            self._count_name(asked, allowed.live.relayed.results)
            about = {"digest": hashed, "salt": salt.hex()}
            return live_line(self._question, asked, allowed.grant, allowed.live, self._details, about)
        subject = b'{"digest":"%b","salt":"%b"}' % (hashed.encode(), salt.hex().encode())
        if self._question.mode is Mode.QUERY:
            return self._disclosed(allowed, values, subject)
        if asked.claims is None:
            results, source, others = self._plain(asked, values), self._source(held, asked.sense.plain), b""
        else:
            results, source, others = self._compared(asked, held, values)
        return b'{"as_of":%b,"claims":%b,"grant":"%b"%b,"results":%b,"row":%d,"source":%b%b,"subject":%b}' % (
            self._as_of(held),
            orjson.dumps(asked.said, option=orjson.OPT_SORT_KEYS),
            str(allowed.grant.id).encode(),
            _merged(held),
            results,
            row.number,
            source,
            others,
            subject,
        )

    def _plain(self, asked: Asked, values: Mapping[str, Any] | None) -> bytes:
        said = asked.row.claims
        names = asked.sense.plain
        if values is None:
            verdicts = (Verdict.UNKNOWN.value,) * len(names)
        else:
            verdicts = tuple([_equal(values.get(name), said[name]) for name in names])
        found = self._results.get((*names, *verdicts))
        if found is None:
            results = dict(zip(names, verdicts, strict=True))
            found = orjson.dumps(results, option=orjson.OPT_SORT_KEYS), _another_name(asked, results)
            self._results[(*names, *verdicts)] = found
        spelled, another = found
        self.other_names += another
        return spelled

    def _compared(
        self, asked: Asked, held: RegisterRow | None, values: Mapping[str, Any] | None
    ) -> tuple[bytes, bytes, bytes]:
        claims = asked.claims or ()
        results = compare(claims, values, self._today)
        self._count_name(asked, results)
        told = self._elsewhere.get(asked.row.number, {})
        results |= {name: verdict for name, (verdict, _source) in told.items()}
        compared = [field for claim in claims for field in claim.fields]
        others = b""
        if told:
            others = b',"sources":' + orjson.dumps(
                {name: source for name, (_verdict, source) in told.items()}, option=orjson.OPT_SORT_KEYS
            )
            self.sources.update(source for _verdict, source in told.values() if source)
        source = self._source(held, compared) if compared else b"null"
        return orjson.dumps(results, option=orjson.OPT_SORT_KEYS), source, others

    def _count_name(self, asked: Asked, results: Mapping[str, str]) -> None:
        self.other_names += _another_name(asked, results)

    def _disclosed(self, allowed: Allowed, values: Mapping[str, Any] | None, subject: bytes) -> bytes:
        fields = self._question.fields
        clear, details = allowed.grant.clear_fields, self._details
        hidden = {name for name in fields if name not in clear and details[name].masking is not Masking.NONE}
        shown: dict[str, Any] = {}
        if values is not None:
            for field in fields:
                value = values.get(field)
                shown[field] = masked(value, details[field].masking) if field in hidden else value
        return (
            b'{"as_of":%b,"fields":%b,"found":%b,"grant":"%b","masked":%b%b,"row":%d,"source":%b,"subject":%b,"values":%b}'
            % (
                self._as_of(allowed.held),
                orjson.dumps(fields),
                b"false" if values is None else b"true",
                str(allowed.grant.id).encode(),
                orjson.dumps(sorted(name for name in hidden if shown.get(name) is not None)),
                _merged(allowed.held),
                allowed.asked.row.number,
                self._source(allowed.held, fields),
                subject,
                orjson.dumps(shown, option=orjson.OPT_SORT_KEYS),
            )
        )

    def _as_of(self, held: RegisterRow | None) -> bytes:
        if held is None:
            return b"null"
        # Most rows came in with others, at the same moment.
        found = self._times.get(held.valid_from)
        if found is None:
            found = self._times[held.valid_from] = orjson.dumps(held.valid_from.isoformat())
        return found

    def _source(self, held: RegisterRow | None, names: Sequence[str]) -> bytes:
        if held is None:
            return b"null"
        source = held.sources(names)
        self.sources.update(source.split(", "))
        return orjson.dumps(source)


def _merged(held: RegisterRow | None) -> bytes:
    """Spell what says that an answer rests on a row of another identifier of the subject; else nothing."""
    return b',"merged":true' if held is not None and held.merged else b""


def _another_name(asked: Asked, results: Mapping[str, str]) -> bool:
    if asked.claims is None:
        return another_name(((name, name) for name in asked.sense.plain), results)
    return another_name(((claim.name, claim.fields[0]) for claim in asked.claims if claim.fields), results)


def _equal(held: Any, said: str) -> str:
    if held is None:
        return Verdict.UNKNOWN.value
    if held == said or text_form(str(held)) == text_form(said):
        return Verdict.MATCH.value
    return Verdict.MISMATCH.value


class _Spelling:
    """Spells the records of a part, a template for each kind of them."""

    def __init__(self, batch: Batch, caller: Principal, identities: Identities, now: datetime) -> None:
        question = batch.question
        self._query = question.mode is Mode.QUERY
        self._facts: dict[str, Any] = {
            "resource": question.resource,
            "matter": question.matter,
            "case": question.case,
            "batch": str(batch.id),
        }
        if self._query:
            self._facts["fields"] = sorted(question.fields)
        self._make: Callable[..., Spell] = lambda outcome, **facts: speller(
            identities, f"batch-{question.mode.value}", outcome, caller, now, **self._facts, **facts
        )
        self._answered: dict[tuple[uuid.UUID, frozenset[str], bool, str | None], Spell] = {}
        self._refused: dict[tuple[str, ...], Spell] = {}

    def answered(self, allowed: Allowed) -> Spell:
        """Of rows answered by a grant; what varies is the digest of the answer and the number of the row.

        Of those that a live source answered, the digest of its answer, too.
        """
        grant, needs = allowed.grant, allowed.asked.sense.needs
        merged = allowed.held is not None and allowed.held.merged
        department = None if allowed.live is None else allowed.live.source.department
        key = (grant.id, needs, merged, department)
        found = self._answered.get(key)
        if found is None:
            fields: dict[str, Any] = {} if self._query else {"fields": sorted(needs)}
            if merged:
                fields["merged"] = True
            varying = ["answer_sha256", "row"]
            if department is not None:
                fields["live_department"] = department
                varying.append("source_answer_sha256")
            found = self._make(
                "answered",
                varying=varying,
                grant=str(grant.id),
                purpose=grant.purpose,
                **fields,
            )
            self._answered[key] = found
        return found

    def refused(self, refused: Refused) -> Spell:
        """Of rows refused for a reason; what varies is the number of the row."""
        # As of a single refusal, the names as they were asked: it is not known whether they make sense.
        names = tuple(sorted(refused.row.claims))
        found = self._refused.get((refused.error.code, *names))
        if found is None:
            fields = {} if self._query else {"fields": list(names)}
            found = self._make("refused", varying=("row",), reason=refused.error.code, **fields)
            self._refused[(refused.error.code, *names)] = found
        return found
