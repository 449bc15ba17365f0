"""What calls give, as plain values; each is read from its reply here, and a reply of another form is refused."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import httpx

from foundation.calling.calls import read_json
from foundation.calling.errors import ReplyUnreadable

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The promise that the record of an answer will be in the log `log` by `included_by`."""

    log: str
    record: uuid.UUID
    entry: str
    recorded_at: datetime
    included_by: datetime


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of a question.

    Args:
        results: for each claim `match`, `mismatch` or `unknown`.
        answer: compact JWS, to file with the case.
    """

    results: Mapping[str, str]
    answer: str
    receipt: Receipt

    @property
    def holds(self) -> bool:
        """Every claim is a match."""
        return all(result == "match" for result in self.results.values())


@dataclass(frozen=True, slots=True)
class Query:
    """What a query disclosed.

    Args:
        found: the subject is known.
        values: field → value, None where there is none.
        masked: fields whose values are masked.
        answer: compact JWS, to file with the case.
    """

    found: bool
    values: Mapping[str, Any]
    masked: tuple[str, ...]
    answer: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class PlannedMaterial:
    """What is to be done about a material.

    Args:
        state: `brought`, `settled`, `by-consent`, `by-commitment`, `may-follow` or `to-bring`.
        reasons: why what would have been better does not do.
        answers: places in the plan's `answers`.
        further: all that the reply says of it.
    """

    id: str
    name: str
    required: bool
    state: str
    reasons: tuple[str, ...]
    answers: tuple[int, ...]
    further: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a matter needs of a case, and what of it is settled.

    Args:
        answers: signed answers (compact JWS) with what they are about.
        statement: the plan itself as compact JWS.
        document: the whole reply.
    """

    plan: str
    materials: tuple[PlannedMaterial, ...]
    answers: tuple[Mapping[str, str], ...]
    statement: str
    receipt: Receipt
    document: Mapping[str, Any]

    @property
    def to_bring(self) -> tuple[PlannedMaterial, ...]:
        """Materials for which the applicant must still be asked."""
        return tuple(each for each in self.materials if each.required and each.state == "to-bring")


@dataclass(frozen=True, slots=True)
class CodeShown:
    """What a code that the applicant showed at the counter brought.

    Args:
        result: `identified` (the person decides on their own device) or `released`.
        consents: material → state of its consent.
    """

    result: str
    consents: Mapping[str, str]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """How far a batch is.

    Args:
        state: `accepted`, `running`, `paused`, `done` or another that it ended in.
        document: the whole reply.
    """

    id: uuid.UUID
    state: str
    rows: int
    done: int
    expires_at: datetime
    document: Mapping[str, Any]

    @property
    def going_on(self) -> bool:
        """It has not ended yet."""
        return self.state in {"accepted", "running", "paused"}


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription; `document` is the whole reply."""

    id: uuid.UUID
    state: str
    resource: str
    kinds: tuple[str, ...]
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a subject.

    Args:
        who: the subscriber's own reference, or a pseudonym where the subscription is for all in scope.
        fields: that changed; values are asked for.
        identifier: of the subject, where the feed may tell it.
    """

    id: uuid.UUID
    sequence: int
    kind: str
    at: datetime
    who: str | None
    fields: tuple[str, ...]
    identifier: str | None


@dataclass(frozen=True, slots=True)
class Events:
    """A page of a feed; `next` is what to ask after then."""

    events: tuple[Event, ...]
    next: int


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Proof that an entry is in the log (RFC 6962 §2.1.1), under a signed checkpoint."""

    leaf_index: int
    leaf_hash: bytes
    tree_size: int
    proof: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a department may ask.

    Args:
        further: members that this version of the client has no name for.
    """

    id: uuid.UUID
    client_id: str
    resource: str
    fields: tuple[str, ...]
    matters: tuple[str, ...]
    purpose: str
    legal_basis: str
    valid_from: datetime
    valid_until: datetime
    ended_at: datetime | None
    further: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Code:
    """A code that shows licences: its text, what the QR code holds, and until when it works."""

    code: str
    qr: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LicenceCheck:
    """Outcome of verifying a licence.

    Args:
        result: 0 valid, 1 not active, 2 suspended, 3 void, 4 insufficient data, 5 none, 6 parameters differ.
        checks: name → passed, failed, or None for what could not be checked.
        reasons: why a check failed, by its name.
        fields: what was disclosed.
        document: the whole reply.
    """

    result: int
    checks: Mapping[str, bool | None]
    reasons: Mapping[str, str]
    fields: Mapping[str, Any]
    document: Mapping[str, Any]

    @property
    def valid(self) -> bool:
        """The licence is good."""
        return self.result == 0


@dataclass(frozen=True, slots=True)
class NumberCheck:
    """Whether a licence of a number and a holder is valid; `result` as for LicenceCheck."""

    result: int
    valid: bool
    licence_type: str | None
    licence_name: str | None


def reading(read: Callable[[dict[str, Any]], Read]) -> Callable[[httpx.Response], Read]:
    """Return what reads a whole reply by reading its object; another form than promised is ReplyUnreadable."""

    def whole(reply: httpx.Response) -> Read:
        body = read_json(reply)
        try:
            return read(body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ReplyUnreadable(f"the reply is not as promised: {type(error).__name__}") from error

    return whole


def receipt_of(body: Mapping[str, Any]) -> Receipt:
    """Read a receipt; raises KeyError, TypeError or ValueError."""
    return Receipt(
        str(body["log"]),
        uuid.UUID(body["record"]),
        str(body["entry"]),
        datetime.fromisoformat(body["recorded_at"]),
        datetime.fromisoformat(body["included_by"]),
    )


def _verification(body: dict[str, Any]) -> Verification:
    results = {str(name): str(result) for name, result in body["results"].items()}
    return Verification(results, str(body["answer"]), receipt_of(body["receipt"]))


def _query(body: dict[str, Any]) -> Query:
    return Query(
        bool(body["found"]),
        dict(body["values"]),
        tuple(body["masked"]),
        str(body["answer"]),
        receipt_of(body["receipt"]),
    )


def _plan(body: dict[str, Any]) -> Plan:
    materials = tuple(
        PlannedMaterial(
            str(each["id"]),
            str(each["name"]),
            bool(each["required"]),
            str(each["state"]),
            tuple(each["reasons"]),
            tuple(each["answers"]),
            each,
        )
        for each in body["materials"]
    )
    answers = tuple(dict(each) for each in body["answers"])
    receipt = receipt_of(body["receipt"])
    return Plan(str(body["plan"]), materials, answers, str(body["statement"]), receipt, body)


def _code_shown(body: dict[str, Any]) -> CodeShown:
    consents = {str(each["material"]): str(each["state"]) for each in body["consents"]}
    return CodeShown(str(body["result"]), consents, body)


def _batch(body: dict[str, Any]) -> Batch:
    return Batch(
        uuid.UUID(body["id"]),
        str(body["state"]),
        int(body["rows"]),
        int(body["done"]),
        datetime.fromisoformat(body["expires_at"]),
        body,
    )


def _subscription(body: dict[str, Any]) -> Subscription:
    return Subscription(
        uuid.UUID(body["id"]), str(body["state"]), str(body["resource"]), tuple(body["kinds"]), body
    )


def _event(body: Mapping[str, Any]) -> Event:
    return Event(
        uuid.UUID(body["id"]),
        int(body["sequence"]),
        str(body["kind"]),
        datetime.fromisoformat(body["at"]),
        body.get("reference", body.get("pseudonym")),
        tuple(body["fields"]),
        body.get("identifier"),
    )


def _proof(body: dict[str, Any]) -> InclusionProof:
    try:
        leaf = base64.b64decode(body["leaf_hash"], validate=True)
        nodes = tuple(base64.b64decode(each, validate=True) for each in body["proof"])
    except binascii.Error as error:
        raise ValueError("not base64") from error
    return InclusionProof(
        int(body["leaf_index"]), leaf, int(body["tree_size"]), nodes, str(body["checkpoint"])
    )


_GRANT_MEMBERS = frozenset(Grant.__dataclass_fields__) - {"further"}


def _grant(body: Mapping[str, Any]) -> Grant:
    return Grant(
        id=uuid.UUID(body["id"]),
        client_id=str(body["client_id"]),
        resource=str(body["resource"]),
        fields=tuple(body["fields"]),
        matters=tuple(body["matters"]),
        purpose=str(body["purpose"]),
        legal_basis=str(body["legal_basis"]),
        valid_from=datetime.fromisoformat(body["valid_from"]),
        valid_until=datetime.fromisoformat(body["valid_until"]),
        ended_at=None if body.get("ended_at") is None else datetime.fromisoformat(body["ended_at"]),
        further={name: value for name, value in body.items() if name not in _GRANT_MEMBERS},
    )


def _checked(body: dict[str, Any]) -> LicenceCheck:
    return LicenceCheck(
        int(body["result"]),
        dict(body.get("checks", {})),
        dict(body.get("reasons", {})),
        dict(body.get("fields", {})),
        body,
    )


def _number(body: dict[str, Any]) -> NumberCheck:
    return NumberCheck(int(body["result"]), bool(body["valid"]), body["licence_type"], body["licence_name"])


read_verification = reading(_verification)
read_query = reading(_query)
read_plan = reading(_plan)
read_code_shown = reading(_code_shown)
read_batch = reading(_batch)
read_subscription = reading(_subscription)
read_events = reading(lambda body: Events(tuple(_event(each) for each in body["events"]), int(body["next"])))
read_count = reading(lambda body: int(body["subjects"]))
read_proof = reading(_proof)
read_grant = reading(_grant)
read_grants = reading(lambda body: tuple(_grant(each) for each in body["grants"]))
read_code = reading(
    lambda body: Code(str(body["code"]), str(body["qr"]), datetime.fromisoformat(body["expires_at"]))
)
read_check = reading(_checked)
read_number = reading(_number)
read_resources = reading(lambda body: tuple(dict(each) for each in body["resources"]))
read_licences = reading(lambda body: tuple(dict(each) for each in body["licences"]))
