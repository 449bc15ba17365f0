"""The package: `OFD.xml` with the metadata, the document, its pages, its font, and what is attached."""

from __future__ import annotations

import hashlib
import io
import itertools
import zipfile
from collections.abc import Mapping, Sequence

from foundation.civil import civil_date
from license_registry.documents.fonts import Fonts
from license_registry.documents.ofd.font import FAMILY, subset
from license_registry.documents.ofd.pages import page
from license_registry.documents.ofd.xml import document, element, numbers, text
from license_registry.documents.placing import Page
from license_registry.documents.template import Template
from license_registry.documents.written import Written

CREATOR = "Zhengtong"
_FIRST_DAY_OF_ZIP = (1980, 1, 1, 0, 0, 0)


def draw_ofd(written: Written, template: Template, pages: Sequence[Page], fonts: Fonts) -> bytes:
    """Return the file; equal arguments give equal bytes."""
    ids = itertools.count(1)
    font = next(ids)
    contents = {
        f"Doc_0/Pages/Page_{turn}/Content.xml": page(
            each, template.width, template.height, font, lambda: next(ids)
        )
        for turn, each in enumerate(pages)
    }
    page_ids = [next(ids) for _ in pages]
    characters = {each for sheet in pages for line in sheet.texts for each in line.text}
    files = {
        "OFD.xml": _root(written),
        "Doc_0/Document.xml": _document(written, template, page_ids, highest=next(ids)),
        "Doc_0/PublicRes.xml": _resources(font),
        "Doc_0/Res/document.ttf": subset(fonts, characters),
        **contents,
    }
    if written.attached:
        files["Doc_0/Attachs/Attachments.xml"] = _attachments(written)
        files |= {f"Doc_0/Attachs/{each.name}": each.data.encode("ascii") for each in written.attached}
    return packed(files)


def _root(written: Written) -> bytes:
    day = civil_date(written.made_at).isoformat()
    identity = f"{written.identifier} {written.made_at.isoformat()} {sorted(written.metadata.items())}"
    data = [
        element("CustomData", text(value), Name=name) for name, value in written.metadata.items() if value
    ]
    information = element(
        "DocInfo",
        element("DocID", hashlib.sha256(identity.encode()).hexdigest()[:32]),
        element("Title", text(written.title)),
        element("Author", text(written.issuer)),
        element("CreationDate", day),
        element("Creator", CREATOR),
        element("CustomDatas", *data),
    )
    body = element("DocBody", information, element("DocRoot", "Doc_0/Document.xml"))
    return document("OFD", body, Version="1.1", DocType="OFD")


def _document(written: Written, template: Template, page_ids: Sequence[int], *, highest: int) -> bytes:
    common = element(
        "CommonData",
        element("MaxUnitID", str(highest)),
        element("PageArea", element("PhysicalBox", numbers(0, 0, template.width, template.height))),
        element("PublicRes", "PublicRes.xml"),
    )
    pages = [
        element("Page", ID=page_id, BaseLoc=f"Pages/Page_{turn}/Content.xml")
        for turn, page_id in enumerate(page_ids)
    ]
    attached = [element("Attachments", "Attachs/Attachments.xml")] if written.attached else []
    return document("Document", common, element("Pages", *pages), *attached)


def _resources(font: int) -> bytes:
    told = element("Font", element("FontFile", "document.ttf"), ID=font, FontName=FAMILY, FamilyName=FAMILY)
    return document("Res", element("Fonts", told), BaseLoc="Res")


def _attachments(written: Written) -> bytes:
    day = written.made_at.strftime("%Y-%m-%dT%H:%M:%S")
    told = [
        element(
            "Attachment",
            element("FileLoc", each.name),
            ID=f"attached-{turn}",
            Name=each.description,
            Format=each.name.rpartition(".")[2],
            CreationDate=day,
            Size=f"{len(each.data) / 1024:.3f}",
            Visible="true",
        )
        for turn, each in enumerate(written.attached, 1)
    ]
    return document("Attachments", *told)


def packed(files: Mapping[str, bytes]) -> bytes:
    """Return the zip of files by their paths; equal files give equal bytes."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _FIRST_DAY_OF_ZIP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, data)
    return held.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """Return the files of a package that was drawn here."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return {name: package.read(name) for name in package.namelist()}
