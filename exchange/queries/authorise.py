"""What is asked, and whether it makes sense: rules without HTTP, database or clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.catalog.resources import Catalogue, Resource, require_resource
from exchange.queries.claims import Asked, Claim, read_claims
from foundation.errors import DomainError
from foundation.identifiers import CitizenId, IdentifierError, Uscc, is_old_registration_number
from foundation.language import _
from foundation.sensitive import Vault


class SubjectMalformed(DomainError):
    code = "subject-malformed"


@dataclass(frozen=True, slots=True)
class Question:
    """A verification as asked: what the applicant claims about one subject, for a matter and a case."""

    resource: str
    subject: str
    claims: Mapping[str, Asked]
    matter: str
    case: str

    def fields_named(self) -> list[str]:
        """Return the names by which a record tells what was asked, before it is known whether it makes sense."""
        return sorted(self.claims)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A query as asked: which fields of one subject, for a matter and a case."""

    resource: str
    subject: str
    fields: tuple[str, ...]
    matter: str
    case: str

    def fields_named(self) -> list[str]:
        """Return the names by which a record tells what was asked, before it is known whether it makes sense."""
        return sorted(self.fields)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question that makes sense: resource known, fields its own, subject well-formed and blinded.

    Args:
        fields: that a grant must cover.
        claims: none for a query.
    """

    question: Question | Inquiry
    resource: Resource
    fields: frozenset[str]
    subject: bytes
    claims: tuple[Claim, ...] = ()

    def compared(self) -> list[tuple[str, str]]:
        """Return name and first field of each claim that is held against the subject's row."""
        return [(claim.name, claim.fields[0]) for claim in self.claims if claim.fields]

    def place(self, field: str) -> str:
        """Return the JSON pointer of what in the request takes a field."""
        for claim in self.claims:
            if field in claim.needs:
                return f"/claims/{claim.name}"
        return "/fields"


def prepare_question(question: Question, catalogue: Catalogue, vault: Vault) -> Prepared:
    """Check a question against the catalogue and blind its subject.

    Raises:
        ResourceUnknown, FieldUnknown, SubjectMalformed, ClaimMalformed: as they say; none tells whether the
            subject is known.
    """
    resource = require_resource(catalogue, question.resource)
    claims = read_claims(question.claims, resource)
    kind, canonical = canonical_subject(resource.subject_kind, question.subject)
    fields = frozenset(name for claim in claims for name in claim.needs)
    return Prepared(question, resource, fields, vault.blind_index(kind, canonical), claims)


def prepare_inquiry(inquiry: Inquiry, catalogue: Catalogue, vault: Vault) -> Prepared:
    """Check a query against the catalogue and blind its subject.

    Raises:
        ResourceUnknown, FieldUnknown, SubjectMalformed: as they say; none tells whether the subject is known.
    """
    resource = require_resource(catalogue, inquiry.resource)
    fields = frozenset(inquiry.fields)
    if not fields.issubset(resource.fields):
        # What is found out elsewhere can be compared, not disclosed.
        resource.require_own_fields(fields, "/fields")
    kind, canonical = canonical_subject(resource.subject_kind, inquiry.subject)
    return Prepared(inquiry, resource, fields, vault.blind_index(kind, canonical))


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
