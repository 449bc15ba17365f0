"""Seals and stamps as DER: SES_Seal and SES_Signature of GB/T 38540-2020.

Written is structure version 4. Read are also version 1 (GM/T 0031-2014), which has certificate and algorithm inside
what is signed, and 5 (GM/T 0031-2025), which differs in its number. What a signature covers is kept as the octets that
came, not written anew: so nothing that a reader overlooks can hide below a good signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from asn1crypto import core
from asn1crypto.x509 import Time

from foundation.errors import DomainError
from foundation.language import _
from foundation.signing import Algorithm
from license_registry.seals.octets import first_four, time_stamp_in

VERSION: Final = 4
LARGEST: Final = 4 << 20
"""Bytes of the largest structure that is read; pictures are most of it."""

SM2_WITH_SM3: Final = "1.2.156.10197.1.501"
ECDSA_WITH_SHA256: Final = "1.2.840.10045.4.3.2"
SM3: Final = "1.2.156.10197.1.401"
SHA256: Final = "2.16.840.1.101.3.4.2.1"
SIGNATURE_OIDS: Final = {Algorithm.SM2: SM2_WITH_SM3, Algorithm.ES256: ECDSA_WITH_SHA256}
"""The standard knows SM2 alone; ES256 stands where a house has no SM2 keys."""

_BY_CERTIFICATE, _BY_DIGEST = 1, 2


class SealMalformed(DomainError):
    """The bytes are no seal, or no stamp, of a version that is read."""

    code = "seal-malformed"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a seal looks like: `kind` such as `PNG`, `width` and `height` in millimetres."""

    kind: str
    data: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SealContent:
    """What a seal says (SES_SealInfo), before or after it is signed.

    Args:
        id: its number, unique with the maker; ASCII.
        vendor: of the maker (`vid`); ASCII.
        kind: type by its number; the standard leaves the numbers to whoever runs seals.
        certificates: in DER: whoever holds one of their keys may put the seal on data.
        digests: in place of certificates: pairs of algorithm (OID) and digest of a certificate.
    """

    version: int
    vendor: str
    id: str
    kind: int
    name: str
    certificates: tuple[bytes, ...] = field(repr=False)
    digests: tuple[tuple[str, bytes], ...] = field(repr=False)
    created_at: datetime
    valid_from: datetime
    valid_until: datetime
    picture: Picture


@dataclass(frozen=True, slots=True)
class Seal:
    """A seal (SES_Seal).

    Args:
        covered: the octets that the maker's signature covers.
        certificate: of the maker, DER.
        algorithm: OID of the maker's signature.
        signature: as it came: DER of (r, s), or in some files r and s joined.
    """

    content: SealContent
    covered: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    algorithm: str
    signature: bytes = field(repr=False)
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stamp:
    """A seal put on data (SES_Signature).

    Args:
        signed_at: None where the time stands in a token that is not read here.
        digest: SM3 of the data.
        place: what the data are, such as the path of `Signature.xml` in an OFD package (`propertyInfo`).
        covered: the octets that the signature covers.
        time_stamp: token of RFC 3161 over the signature, DER; not part of what is signed. None: there is none.
    """

    version: int
    seal: Seal
    signed_at: datetime | None
    digest: bytes = field(repr=False)
    place: str
    covered: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    algorithm: str
    signature: bytes = field(repr=False)
    der: bytes = field(repr=False)
    time_stamp: bytes | None = field(default=None, repr=False)


class _Header(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("id", core.IA5String),
        ("version", core.Integer),
        ("vid", core.IA5String),
    ]


class _Picture(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("type", core.IA5String),
        ("data", core.OctetString),
        ("width", core.Integer),
        ("height", core.Integer),
    ]


class _Certificates(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.OctetString


class _Digest(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [("type", core.PrintableString), ("value", core.OctetString)]


class _Digests(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _Digest


class _Property(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("type", core.Integer),
        ("name", core.UTF8String),
        ("cert_list_type", core.Integer),
        ("cert_list", core.Any),
        ("create_date", core.GeneralizedTime),
        ("valid_start", core.GeneralizedTime),
        ("valid_end", core.GeneralizedTime),
    ]


class _PropertyV1(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("type", core.Integer),
        ("name", core.UTF8String),
        ("cert_list", _Certificates),
        ("create_date", Time),
        ("valid_start", Time),
        ("valid_end", Time),
    ]


class _Content(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("header", _Header),
        ("es_id", core.IA5String),
        ("property", _Property),
        ("picture", _Picture),
        ("ext_datas", core.Any, {"optional": True}),
    ]


class _ContentV1(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("header", _Header),
        ("es_id", core.IA5String),
        ("property", _PropertyV1),
        ("picture", _Picture),
        ("ext_datas", core.Any, {"optional": True}),
    ]


class _Seal(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("content", _Content),
        ("cert", core.OctetString),
        ("algorithm", core.ObjectIdentifier),
        ("signature", core.OctetBitString),
    ]


class _SignInfoV1(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("cert", core.OctetString),
        ("algorithm", core.ObjectIdentifier),
        ("signature", core.OctetBitString),
    ]


class _SealV1(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [("content", _ContentV1), ("sign_info", _SignInfoV1)]


class _CoveredV1(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("content", _ContentV1),
        ("cert", core.OctetString),
        ("algorithm", core.ObjectIdentifier),
    ]


class _ToSign(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("version", core.Integer),
        ("seal", _Seal),
        ("time", core.GeneralizedTime),
        ("data_hash", core.OctetBitString),
        ("property_info", core.IA5String),
        ("ext_datas", core.Any, {"optional": True}),
    ]


class _Stamp(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("to_sign", _ToSign),
        ("cert", core.OctetString),
        ("algorithm", core.ObjectIdentifier),
        ("signature", core.OctetBitString),
    ]


class _StampWritten(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("to_sign", _ToSign),
        ("cert", core.OctetString),
        ("algorithm", core.ObjectIdentifier),
        ("signature", core.OctetBitString),
        ("timestamp", core.OctetBitString, {"explicit": 0, "optional": True}),
    ]


class _ToSignV1(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [
        ("version", core.Integer),
        ("seal", _SealV1),
        ("time", core.OctetBitString),
        ("data_hash", core.OctetBitString),
        ("property_info", core.IA5String),
        ("cert", core.OctetString),
        ("algorithm", core.ObjectIdentifier),
    ]


class _StampV1(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar[list[Any]] = [("to_sign", _ToSignV1), ("signature", core.OctetBitString)]


def read_seal(data: bytes) -> Seal:
    """Read a seal of version 1, 4 or 5; nothing of it is checked.

    Raises:
        SealMalformed: it is none.
    """
    try:
        return _read_seal(_outer(data))
    except _UNREADABLE as error:
        raise SealMalformed(_("the file is no electronic seal")) from error


def read_stamp(data: bytes) -> Stamp:
    """Read a stamp of version 1, 4 or 5; nothing of it is checked.

    Raises:
        SealMalformed: it is none.
    """
    try:
        return _read_stamp(_outer(data))
    except _UNREADABLE as error:
        raise SealMalformed(_("the file is no stamp of an electronic seal")) from error


def content_der(content: SealContent) -> bytes:
    """Return what the maker signs: the DER of SES_SealInfo, version 4.

    Raises:
        ValueError: another version, both or neither of certificates and digests, or text that is not ASCII.
    """
    if content.version != VERSION or bool(content.certificates) == bool(content.digests):
        raise ValueError("seals are written in version 4, with certificates or with digests")
    if content.certificates:
        listed, by = _Certificates(content.certificates), _BY_CERTIFICATE
    else:
        pairs = [{"type": algorithm, "value": digest} for algorithm, digest in content.digests]
        listed, by = _Digests(pairs), _BY_DIGEST
    picture = content.picture
    made = _Content(
        {
            "header": {"id": "ES", "version": content.version, "vid": content.vendor},
            "es_id": content.id,
            "property": {
                "type": content.kind,
                "name": content.name,
                "cert_list_type": by,
                "cert_list": listed,
                "create_date": _second(content.created_at),
                "valid_start": _second(content.valid_from),
                "valid_end": _second(content.valid_until),
            },
            "picture": {
                "type": picture.kind,
                "data": picture.data,
                "width": picture.width,
                "height": picture.height,
            },
        }
    )
    return bytes(made.dump())


def seal_der(covered: bytes, certificate: bytes, algorithm: str, signature: bytes) -> bytes:
    """Return the DER of a seal of its content and the maker's signature over it."""
    made = {
        "content": _Content.load(covered),
        "cert": certificate,
        "algorithm": algorithm,
        "signature": signature,
    }
    return bytes(_Seal(made).dump())


def to_sign_der(seal: bytes, signed_at: datetime, digest: bytes, place: str) -> bytes:
    """Return what is signed where a seal is put on data: the DER of TBS_Sign, version 4."""
    made = {
        "version": VERSION,
        "seal": _Seal.load(seal),
        "time": _second(signed_at),
        "data_hash": digest,
        "property_info": place,
    }
    return bytes(_ToSign(made).dump())


def stamp_der(
    covered: bytes, certificate: bytes, algorithm: str, signature: bytes, time_stamp: bytes | None = None
) -> bytes:
    """Return the DER of a stamp of what was signed and the signature over it.

    Args:
        time_stamp: token over the signature, DER.
    """
    made = {
        "to_sign": _ToSign.load(covered),
        "cert": certificate,
        "algorithm": algorithm,
        "signature": signature,
    }
    if time_stamp is not None:
        made["timestamp"] = time_stamp
    return bytes(_StampWritten(made).dump())


_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)
"""What the ASN.1 library raises for other bytes than it expects."""


def _outer(data: bytes) -> core.Sequence:
    if not 0 < len(data) <= LARGEST:
        raise ValueError("empty, or larger than anything that is read")
    return core.Sequence.load(data, strict=True)


def _read_seal(outer: core.Sequence) -> Seal:
    der = bytes(outer.dump())
    count = len(outer)
    if count == 2:
        old = _SealV1.load(der, strict=True)
        signed = old["sign_info"]
        # What is signed is no part of the file as it stands, but a sequence of three parts of it.
        parts = {"content": old["content"], "cert": signed["cert"], "algorithm": signed["algorithm"]}
        covered = bytes(_CoveredV1(parts).dump())
        return Seal(
            _content(old["content"], (1,)),
            covered,
            bytes(signed["cert"].native),
            str(signed["algorithm"].dotted),
            bytes(signed["signature"].native),
            der,
        )
    made = _Seal.load(first_four(der)[0], strict=True)
    return Seal(
        _content(made["content"], (4, 5)),
        bytes(made["content"].dump()),
        bytes(made["cert"].native),
        str(made["algorithm"].dotted),
        bytes(made["signature"].native),
        der,
    )


def _content(content: core.Sequence, versions: tuple[int, ...]) -> SealContent:
    header, property_, picture = content["header"], content["property"], content["picture"]
    version = header["version"].native
    if header["id"].native != "ES" or version not in versions:
        raise ValueError("no seal of a known version")
    certificates: tuple[bytes, ...] = ()
    digests: tuple[tuple[str, bytes], ...] = ()
    if version == 1:
        certificates = tuple(property_["cert_list"].native)
    elif property_["cert_list_type"].native == _BY_CERTIFICATE:
        certificates = tuple(property_["cert_list"].parse(_Certificates).native)
    elif property_["cert_list_type"].native == _BY_DIGEST:
        listed = property_["cert_list"].parse(_Digests).native
        digests = tuple((each["type"], each["value"]) for each in listed)
    else:
        raise ValueError("no list of certificates of a known kind")
    return SealContent(
        version=version,
        vendor=header["vid"].native,
        id=content["es_id"].native,
        kind=property_["type"].native,
        name=property_["name"].native,
        certificates=certificates,
        digests=digests,
        created_at=_moment(property_["create_date"].native),
        valid_from=_moment(property_["valid_start"].native),
        valid_until=_moment(property_["valid_end"].native),
        picture=Picture(
            picture["type"].native,
            picture["data"].native,
            picture["width"].native,
            picture["height"].native,
        ),
    )


def _read_stamp(outer: core.Sequence) -> Stamp:
    der = bytes(outer.dump())
    if len(outer) == 2:
        old = _StampV1.load(der, strict=True)
        signed = old["to_sign"]
        at: datetime | None = _moment_v1(bytes(signed["time"].native))
        certificate, algorithm = signed["cert"], signed["algorithm"]
        signature, time_stamp = old["signature"], None
    else:
        four, last = first_four(der)
        made = _Stamp.load(four, strict=True)
        signed = made["to_sign"]
        at = _moment(signed["time"].native)
        certificate, algorithm, signature = made["cert"], made["algorithm"], made["signature"]
        time_stamp = None if last is None else time_stamp_in(last)
    seal = _read_seal(core.Sequence.load(signed["seal"].dump(), strict=True))
    version = signed["version"].native
    if version != seal.content.version and not {version, seal.content.version} <= {4, 5}:
        raise ValueError("a stamp of one version around a seal of another")
    return Stamp(
        version=version,
        seal=seal,
        signed_at=at,
        digest=bytes(signed["data_hash"].native),
        place=signed["property_info"].native,
        covered=bytes(signed.dump()),
        certificate=bytes(certificate.native),
        algorithm=str(algorithm.dotted),
        signature=bytes(signature.native),
        der=der,
        time_stamp=time_stamp,
    )


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("a time without a zone, or none at all")
    return value.astimezone(UTC)


def _moment_v1(data: bytes) -> datetime | None:
    # GM/T 0031-2014 puts a UTCTime or a whole time-stamp token into a bit string.
    if not data or data[0] not in {0x17, 0x18}:
        return None
    return _moment(Time.load(data, strict=True).native)


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
