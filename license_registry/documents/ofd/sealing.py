"""Electronic seals in an OFD that was drawn here: what is signed, and where seal and stamp lie (GB/T 33190 §18)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from xml.etree import ElementTree

from foundation.civil import CHINA
from license_registry.documents.ofd.package import CREATOR
from license_registry.documents.ofd.xml import NAMESPACE, document, element, numbers
from license_registry.documents.placing import DATE_OF_ISSUE, Box
from license_registry.seals.checks import sm3
from license_registry.seals.structures import SealContent

SIGNATURES: Final = "Doc_0/Signs/Signatures.xml"
_DOCUMENT: Final = "Doc_0/Document.xml"
_BESIDE = 4.0
"""Millimetres between two seals."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a seal is seen: the id of the page, and its box there."""

    page: str
    box: Box


@dataclass(frozen=True, slots=True)
class Signed:
    """A seal on its way into the package; all of it but the stamp.

    Args:
        path: of `Signature.xml`, absolute in the package.
        seal: DER of the seal.
        xml: the bytes of `Signature.xml`, which the stamp covers.
    """

    path: str
    seal: bytes = field(repr=False)
    xml: bytes = field(repr=False)

    def files(self, stamp: bytes) -> dict[str, bytes]:
        """Return the files of this seal by their paths."""
        folder = self.path.strip("/").rpartition("/")[0]
        return {
            f"{folder}/Seal.esl": self.seal,
            f"{folder}/Signature.xml": self.xml,
            f"{folder}/SignedValue.dat": stamp,
        }


def places(files: Mapping[str, bytes], seals: tuple[SealContent, ...]) -> tuple[Place, ...]:
    """Return where seals are put: the first on the date of issue, as on paper, each further one left of it.

    The places are read from the package, for that is what will be seen.
    """
    told = ElementTree.fromstring(files[_DOCUMENT])  # noqa: S314 -- drawn here
    last = told.findall(f".//{{{NAMESPACE}}}Page")[-1]
    page = ElementTree.fromstring(files[f"Doc_0/{last.attrib['BaseLoc']}"])  # noqa: S314 -- drawn here
    width, height = map(float, page.findtext(f".//{{{NAMESPACE}}}PhysicalBox", "").split()[2:])
    x, y, long, high = _date(page)
    right = x + long / 2 + seals[0].picture.width / 2
    found = []
    for seal in seals:
        wide, tall = seal.picture.width, seal.picture.height
        left = min(max(right - wide, 0), width - wide)
        top = min(max(y + high / 2 - tall / 2, 0), height - tall)
        found.append(Place(last.attrib["ID"], (left, top, wide, tall)))
        right = left - _BESIDE
    return tuple(found)


def named(files: Mapping[str, bytes], count: int) -> dict[str, bytes]:
    """Return the package with the list of its seals, which are numbered from 0, and with `OFD.xml` naming the list."""
    root = files["OFD.xml"].replace(
        b"</ofd:DocRoot>", f"</ofd:DocRoot>{element('Signatures', '/' + SIGNATURES)}".encode(), 1
    )
    listed = [
        element("Signature", ID=_id(2 * turn), Type="Seal", BaseLoc=_path(turn)) for turn in range(count)
    ]
    told = document("Signatures", element("MaxSignId", _id(2 * count - 1)), *listed)
    return {**files, "OFD.xml": root, SIGNATURES: told}


def to_sign(
    files: Mapping[str, bytes],
    number: int,
    seal: bytes,
    method: str,
    place: Place,
    at: datetime,
    *,
    last: bool,
) -> Signed:
    """Return what a seal is put on: every file of the package as it is, and the seal itself, by its SM3 digest.

    Args:
        seal: DER. method: OID of the stamp's signature.
        last: no seal follows; only then is the list of the seals covered too, for the next one would change it.
    """
    path = _path(number)
    folder = path.rpartition("/")[0]
    covered = {f"/{name}": data for name, data in files.items() if last or name != SIGNATURES}
    covered[f"{folder}/Seal.esl"] = seal
    references = [
        element("Reference", element("CheckValue", b64encode(sm3(data)).decode("ascii")), FileRef=name)
        for name, data in covered.items()
    ]
    xml = document(
        "Signature",
        element(
            "SignedInfo",
            element("Provider", ProviderName=CREATOR, Company=CREATOR),
            element("SignatureMethod", method),
            element("SignatureDateTime", at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")),
            element("References", *references, CheckMethod="SM3"),
            element("StampAnnot", ID=_id(2 * number + 1), PageRef=place.page, Boundary=numbers(*place.box)),
            element("Seal", element("BaseLoc", f"{folder}/Seal.esl")),
        ),
        element("SignedValue", f"{folder}/SignedValue.dat"),
    )
    return Signed(path, seal, xml)


def _path(number: int) -> str:
    return f"/Doc_0/Signs/Sign_{number}/Signature.xml"


def _id(turn: int) -> str:
    """Return an id of a seal or of its picture; they are counted apart from those of the document."""
    return f"s{turn + 1:03}"


def _date(page: ElementTree.Element) -> Box:
    """Return the box of the line that says when the licence was issued; every layout ends with one."""
    (found,) = [
        line
        for line in page.iter(f"{{{NAMESPACE}}}TextObject")
        if line.findtext(f"{{{NAMESPACE}}}TextCode", "").startswith(DATE_OF_ISSUE)
    ]
    x, y, wide, high = map(float, found.attrib["Boundary"].split())
    return x, y, wide, high
