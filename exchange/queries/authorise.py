"""What a verification asks, and whether it may: rules without HTTP, database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from exchange.catalog.resources import Catalogue, Resource, require_resource
from foundation.errors import DomainError
from foundation.identifiers import CitizenId, IdentifierError, Uscc, is_old_registration_number
from foundation.language import _
from foundation.sensitive import Vault

ClaimValue = str | int | bool


class SubjectMalformed(DomainError):
    code = "subject-malformed"


class ClaimMalformed(DomainError):
    code = "claim-malformed"


@dataclass(frozen=True, slots=True)
class Question:
    """A verification as asked: what the applicant claims about one subject, for a matter and a case."""

    resource: str
    subject: str
    claims: Mapping[str, ClaimValue]
    matter: str
    case: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question that makes sense: resource known, fields its own, subject well-formed and blinded."""

    question: Question
    resource: Resource
    fields: frozenset[str]
    subject: bytes


def prepare_question(question: Question, catalogue: Catalogue, vault: Vault) -> Prepared:
    """Check a question against the catalogue and blind its subject.

    Raises:
        ResourceUnknown, FieldUnknown, SubjectMalformed, ClaimMalformed: as they say; none tells whether the
            subject is known.
    """
    resource = require_resource(catalogue, question.resource)
    fields = frozenset(question.claims)
    resource.require_fields(fields, "/claims")
    properties = resource.register.schema["properties"]
    for name, value in question.claims.items():
        if properties[name].get("format") == "date" and not _is_date(value):
            raise ClaimMalformed(
                _("{field} is not a date that exists, written YYYY-MM-DD"),
                pointer=f"/claims/{name}",
                field=name,
            )
    kind, canonical = canonical_subject(resource.subject_kind, question.subject)
    return Prepared(question, resource, fields, vault.blind_index(kind, canonical))


def canonical_subject(kind: str, text: str) -> tuple[str, str]:
    """Return kind of blind index and canonical form of a subject's identifier.

    Args:
        kind: `citizen-id` (18 characters, or 15 digits of old), `uscc` (or an old registration number) or
            `licence` (`<licence type>:<number>`).

    Raises:
        SubjectMalformed: says what is wrong with it, without repeating it.
    """
    try:
        if kind == "citizen-id":
            parsed = CitizenId.from_fifteen(text) if len(text) == 15 else CitizenId.parse(text)
            return "citizen-id", parsed.reveal()
        if kind == "uscc":
            if is_old_registration_number(text):
                return "registration-number", text
            return "uscc", str(Uscc.parse(text))
    except IdentifierError as error:
        raise SubjectMalformed(
            _("the identifier is not valid: {reason}"), pointer="/subject", reason=error.code
        ) from error
    licence_type, colon, number = text.partition(":")
    if not (licence_type and colon and number):
        raise SubjectMalformed(_("write it as `licence-type:number`"), pointer="/subject")
    # The blind index of several fields joins them as the register's merge does.
    return "licence", f"{licence_type}\0{number}"


def _is_date(value: ClaimValue) -> bool:
    if not isinstance(value, str) or len(value) != 10:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
