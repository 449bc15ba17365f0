"""A request to issue, and everything about it that can be checked without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from foundation.civil import civil_date
from foundation.identifiers import CitizenId, IdentifierError, Uscc
from foundation.identity.principals import Principal
from foundation.language import _
from foundation.sensitive import Vault
from foundation.signing import canonical_json
from license_registry.catalog.rules import NumberInvalid, ValidityInvalid, require_in_order
from license_registry.catalog.types import CO_HOLDERS, LicenceType, LicenceTypes, require_type
from license_registry.issuing.errors import HolderInvalid, IssuerNotEntitled

Origin = Literal["issued", "digitised", "credential"]


@dataclass(frozen=True, slots=True)
class IssueRequest:
    """What an issuing authority wants issued.

    Args:
        number: licence number (证照编号), unique among the licences of a type that are in force; None: the type's
            rule makes one.
        fields: fields of the licence type.
        presenter: citizen ID of the person who may present the licence, such as the legal representative; None:
            the holder, where that is a person.
        division: six digits of the authority's division (GB/T 2260).
        issued_on: date of issue as the licence states it; None: today.
        first_issued_on: that of its first version; None: `issued_on`.
        origin: `digitised`: a paper in force is taken over (存量). Old papers follow old rules of numbers and
            terms, so those of today are not held against it.
    """

    licence_type: str
    number: str | None
    fields: Mapping[str, Any]
    valid_from: date
    valid_until: date | None
    presenter: str | None
    division: str | None = None
    issuer_name: str | None = None
    issued_on: date | None = None
    first_issued_on: date | None = None
    origin: Origin = "issued"


@dataclass(frozen=True, slots=True)
class Holder:
    """One holder as the request names it.

    Args:
        subject: blind index of the code.
        pointer: where in the request it stands.
    """

    subject: bytes
    name: str
    pointer: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose own contents hold.

    Args:
        digest: keyed fingerprint of the request: equal requests have equal ones.
    """

    wanted: IssueRequest
    type: LicenceType
    holders: tuple[Holder, ...]
    presenter: bytes | None
    valid_until: date | None
    issued_on: date
    first_issued_on: date
    digest: bytes

    @property
    def subjects(self) -> list[bytes]:
        """Blind indexes of all holders."""
        return [holder.subject for holder in self.holders]


def prepare(
    types: LicenceTypes, vault: Vault, caller: Principal, wanted: IssueRequest, now: datetime
) -> Prepared:
    """Check a request: type, the caller's right, fields, number, holders, presenter, dates.

    Raises:
        LicenceTypeUnknown, IssuerNotEntitled, LicenceFieldsInvalid, NumberInvalid, HolderInvalid, ValidityInvalid:
            as they say, with the place.
    """
    found = require_type(types, wanted.licence_type)
    if not found.may_be_issued_by(caller.department):
        raise IssuerNotEntitled(_("the type names the authorities that issue it"), pointer="/licence_type")
    found.require_valid(wanted.fields)
    _require_number(found, wanted)
    holders, born = _holders(vault, found, wanted.fields)
    presenter = _presenter(vault, wanted.presenter)
    if presenter is None and found.holder_code_type == "111":
        presenter = holders[0].subject
    require_in_order(wanted.valid_from, wanted.valid_until)
    if wanted.origin == "digitised":
        valid_until = wanted.valid_until
    else:
        valid_until = found.validity.until(wanted.valid_from, wanted.valid_until, born)
    if wanted.issued_on is None and wanted.origin == "digitised":
        raise ValidityInvalid(_("a paper states its date of issue"), pointer="/issued_on")
    issued_on = wanted.issued_on or civil_date(now)
    first_issued_on = wanted.first_issued_on or issued_on
    if issued_on > civil_date(now):
        raise ValidityInvalid(_("the date of issue lies in the future"), pointer="/issued_on")
    if first_issued_on > issued_on:
        raise ValidityInvalid(_("it was issued before its first issue"), pointer="/first_issued_on")
    return Prepared(
        wanted=wanted,
        type=found,
        holders=holders,
        presenter=presenter,
        valid_until=valid_until,
        issued_on=issued_on,
        first_issued_on=first_issued_on,
        digest=vault.fingerprint(_canonical(wanted, caller)),
    )


def _require_number(found: LicenceType, wanted: IssueRequest) -> None:
    if wanted.number is None:
        if found.number.template is None:
            raise NumberInvalid(_("the issuing authority numbers licences of this type"), pointer="/number")
        if wanted.division is None:
            raise NumberInvalid(_("the number is made with the division"), pointer="/division")
    elif wanted.origin != "digitised":
        found.number.require_fits(wanted.number)


def _holders(
    vault: Vault, found: LicenceType, fields: Mapping[str, Any]
) -> tuple[tuple[Holder, ...], date | None]:
    first, born = _holder(vault, found, fields, "/fields")
    holders = [first]
    for turn, each in enumerate(fields.get(CO_HOLDERS) or ()):
        holders.append(_holder(vault, found, each, f"/fields/{CO_HOLDERS}/{turn}")[0])
        if holders[-1].subject in {holder.subject for holder in holders[:-1]}:
            raise HolderInvalid(_("a holder is named twice"), pointer=f"{holders[-1].pointer}/holder_code")
    if not found.holders.fewest <= len(holders) <= found.holders.most:
        raise HolderInvalid(
            _("licences of this type have {fewest} to {most} holders"),
            pointer=f"/fields/{CO_HOLDERS}",
            fewest=found.holders.fewest,
            most=found.holders.most,
        )
    return tuple(holders), born


def holder_subject(vault: Vault, code_type: str, code: str) -> tuple[bytes, date | None]:
    """Return the blind index of a holder by their code, and a person's day of birth.

    Raises:
        IdentifierError: the code is none of its type.
    """
    if code_type == "111":
        citizen_id = CitizenId.parse(code)
        return vault.blind_index("citizen-id", citizen_id.reveal()), citizen_id.birth_date
    return vault.blind_index("uscc", str(Uscc.parse(code))), None


def _holder(
    vault: Vault, found: LicenceType, fields: Mapping[str, Any], pointer: str
) -> tuple[Holder, date | None]:
    try:
        subject, born = holder_subject(vault, found.holder_code_type, str(fields["holder_code"]))
    except IdentifierError as error:
        raise HolderInvalid(
            _("the code of the holder is not valid: {reason}"),
            pointer=f"{pointer}/holder_code",
            reason=error.code,
        ) from error
    return Holder(subject, str(fields["holder_name"]), pointer), born


def _presenter(vault: Vault, citizen_id: str | None) -> bytes | None:
    if citizen_id is None:
        return None
    try:
        return vault.blind_index("citizen-id", CitizenId.parse(citizen_id).reveal())
    except IdentifierError as error:
        raise HolderInvalid(
            _("the citizen ID of the presenter is not valid: {reason}"),
            pointer="/presenter",
            reason=error.code,
        ) from error


def _canonical(wanted: IssueRequest, caller: Principal) -> bytes:
    told: dict[str, Any] = {
        "issuer": caller.department,
        "licence_type": wanted.licence_type,
        "number": wanted.number,
        "fields": dict(wanted.fields),
        "valid_from": wanted.valid_from.isoformat(),
        "valid_until": None if wanted.valid_until is None else wanted.valid_until.isoformat(),
        "presenter": wanted.presenter,
    }
    # Only where they say something, so that requests of before there were these members stay equal to themselves.
    told |= {
        name: str(value)
        for name in ("division", "issuer_name", "issued_on", "first_issued_on")
        if (value := getattr(wanted, name)) is not None
    }
    if wanted.origin != "issued":
        told["origin"] = wanted.origin
    return canonical_json(told)
