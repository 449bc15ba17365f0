"""Preparing a part: its rows are checked against the catalogue and their subjects blinded; nothing is looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.batches.batch import Mode, Question
from exchange.batches.rows import Row, Unreadable
from exchange.batches.subjects import blind_subjects
from exchange.catalog.resources import Resource
from exchange.queries.authorise import SubjectMalformed
from exchange.queries.claims import Claim, Comparison, Kind, read_claims
from foundation.errors import DomainError
from foundation.sensitive import Vault


@dataclass(frozen=True, slots=True)
class Sense:
    """What rows that claim alike have in common.

    Args:
        needs: fields that a grant must cover.
        plain: names of claims, each the field that its text must equal, where all claims are such; else empty.
    """

    needs: frozenset[str]
    plain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A row that makes sense.

    Args:
        subject: blind index.
        claims: to be compared; None where all are plain texts, which need no reading.
        said: the claims as asked, the comparisons that the question names for them filled in.
    """

    row: Row
    subject: bytes
    sense: Sense
    claims: tuple[Claim, ...] | None
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not answered, and why; `subject` where it could be blinded."""

    row: Row
    error: DomainError
    subject: bytes | None = None


Prepared = Asked | Refused | Unreadable


def prepare(
    rows: Sequence[Row | Unreadable],
    question: Question,
    resource: Resource,
    vault: Vault,
    require_known: Callable[[Sequence[Claim]], None],
) -> list[Prepared]:
    """Check rows against the catalogue, and blind their subjects.

    Args:
        require_known: refuses claims about licences of types that do not exist.
    """
    asked = [row for row in rows if isinstance(row, Row)]
    blinded = iter(blind_subjects(resource.subject_kind, [row.subject for row in asked], vault))
    make_sense = _reader(question, resource, require_known)
    found: list[Prepared] = []
    for row in rows:
        if isinstance(row, Unreadable):
            found.append(row)
            continue
        subject = next(blinded)
        try:
            sense, claims, said = make_sense(row.claims)
        except DomainError as error:
            found.append(Refused(row, error, None if isinstance(subject, SubjectMalformed) else subject))
            continue
        if isinstance(subject, SubjectMalformed):
            found.append(Refused(row, subject))
        else:
            found.append(Asked(row, subject, sense, claims, said))
    return found


_Read = tuple[Sense, tuple[Claim, ...] | None, Mapping[str, Any]]


def _reader(
    question: Question, resource: Resource, require_known: Callable[[Sequence[Claim]], None]
) -> Callable[[Mapping[str, Any]], _Read]:
    if question.mode is Mode.QUERY:
        everything = Sense(frozenset(question.fields), ())
        return lambda asked: (everything, (), asked)
    templates = question.claims
    # Rows claim the same again and again: what all texts under the same names have in common is found out once.
    known: dict[tuple[str, ...], Sense] = {}

    def read(asked: Mapping[str, Any]) -> _Read:
        names = tuple(asked)
        sense = known.get(names)
        if sense is not None and all(type(value) is str for value in asked.values()):
            return sense, None, asked
        if templates:
            asked = {
                name: {**templates[name], "value": value} if name in templates else value
                for name, value in asked.items()
            }
        claims = read_claims(asked, resource)
        if any(claim.comparison is Comparison.LICENCE_IN_FORCE for claim in claims):
            require_known(claims)
        needs = frozenset(field for claim in claims for field in claim.needs)
        if all(_is_plain(claim) for claim in claims):
            sense = known[names] = Sense(needs, names)
            return sense, None, asked
        return Sense(needs, ()), claims, asked

    return read


def _is_plain(claim: Claim) -> bool:
    return claim.comparison is Comparison.EQUAL and claim.kind is Kind.TEXT and claim.fields == (claim.name,)
