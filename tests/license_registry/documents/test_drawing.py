"""Drawn documents, read by programs that are not ours: pypdf, ofdkit, fontTools, a reader of QR codes."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import ofdkit
import pypdf
import pytest
import zxingcpp
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from license_registry.documents.drawing import Drawing, Format, draw
from license_registry.documents.errors import CharacterLacking
from license_registry.documents.fonts import load_fonts
from license_registry.documents.ofd.font import subset
from license_registry.documents.placing import Page, place
from license_registry.documents.written import Row, Written
from tests.license_registry.documents.conftest import IDENTIFIER, LAYOUT, MARK, NO_FONTS, written

OFD = "{http://www.ofdspec.org/2016}"
FONTS = load_fonts(NO_FONTS)


def pdf(words: Written) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(draw(NO_FONTS, Format.PDF, words, LAYOUT)))


def ofd(words: Written) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(draw(NO_FONTS, Format.OFD, words, LAYOUT)))


def squeezed(text: str | None) -> str:
    return "".join((text or "").split())


def font_of(package: zipfile.ZipFile) -> TTFont:
    return TTFont(io.BytesIO(package.read("Doc_0/Res/document.ttf")))


@pytest.mark.parametrize("form", list(Format))
def test_the_same_words_give_the_same_bytes(form: Format) -> None:
    first = draw(NO_FONTS, form, written(), LAYOUT)
    assert draw(NO_FONTS, form, written(), LAYOUT) == first
    assert draw(NO_FONTS, form, written("另一家公司"), LAYOUT) != first


def test_a_pdf_is_an_archive_copy_with_the_credential_inside() -> None:
    read = pdf(written())
    text = squeezed(read.pages[0].extract_text())
    for told in (
        "食品经营许可证",
        "JY19901010000012",
        "示范市东湖茶业有限公司",
        "2030年6月30日",
        IDENTIFIER,
        "例",
    ):
        assert told in text
    assert bytes(read.attachments["credential.sdjwt"][0]) == b"eyJ.e30.x~"
    assert IDENTIFIER.encode() in bytes(read.attachments["metadata.json"][0])
    assert read.trailer["/Root"]["/MarkInfo"]["/Marked"]
    xmp = read.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in xmp
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in xmp
    assert read.metadata is not None
    # Viewers and indexes show the document's information: it names the licence, not its holder.
    assert "示范市东湖茶业有限公司" not in str(dict(read.metadata)) + xmp
    assert IDENTIFIER in str(dict(read.metadata))


def test_an_ofd_is_read_by_another_program_with_its_metadata() -> None:
    data = draw(NO_FONTS, Format.OFD, written(), LAYOUT)
    with ofdkit.open(io.BytesIO(data)) as read:
        assert list(read.warnings) == []
        assert len(read.pages) == 1
        text = squeezed(read.text())
        for told in (
            "食品经营许可证",
            "示范市东湖茶业有限公司",
            "经营场所",
            "2030年6月30日",
            IDENTIFIER,
            "例",
        ):
            assert told in text
        custom = dict(read.info.custom_data)
    assert custom == {
        "ZZMC": "食品经营许可证",
        "ZZBS": IDENTIFIER,
        "CZZT": "示范市东湖茶业有限公司",
        "KZ_x": "<&>",
    }


def test_an_ofd_holds_together() -> None:
    package = ofd(written(mark=MARK))
    trees = {
        name: ElementTree.fromstring(package.read(name))
        for name in package.namelist()
        if name.endswith("xml")
    }
    ids = [
        int(node.get("ID", "0"))
        for tree in trees.values()
        for node in tree.iter()
        if node.get("ID", "").isdigit()
    ]
    assert len(ids) == len(set(ids))
    assert int(trees["Doc_0/Document.xml"].findtext(f".//{OFD}MaxUnitID", "0")) >= max(ids)
    (location,) = [node.text for node in trees["Doc_0/Attachs/Attachments.xml"].iter(f"{OFD}FileLoc")]
    assert package.read(f"Doc_0/Attachs/{location}") == b"eyJ.e30.x~"
    drawn = {
        each
        for node in trees["Doc_0/Pages/Page_0/Content.xml"].iter(f"{OFD}TextCode")
        for each in node.text or ""
    }
    assert drawn == set(map(chr, font_of(package).getBestCmap()))
    for node in trees["Doc_0/Pages/Page_0/Content.xml"].iter(f"{OFD}TextCode"):
        assert len((node.get("DeltaX") or "").split()) == len(node.text or "") - 1


def test_rare_characters_of_names_are_seen_in_both_forms() -> None:
    words = written("㐂𠮷䶮")
    assert "㐂𠮷䶮" in squeezed(pdf(words).pages[0].extract_text())
    font = font_of(ofd(words))
    for character in "㐂𠮷䶮":
        assert font["glyf"][font.getBestCmap()[ord(character)]].numberOfContours >= 3


def test_a_character_that_no_font_has_is_refused_by_its_field_and_not_told() -> None:
    for form in Format:
        with pytest.raises(CharacterLacking, match="holder_name, of plane 2") as refused:
            draw(NO_FONTS, form, written("张\U0002a6a5"), LAYOUT)
        assert "\U0002a6a5" not in str(refused.value)


def test_a_qr_code_on_the_page_says_the_identifier() -> None:
    (page,) = place(written(), LAYOUT, FONTS)
    picture = Image.new("L", (int(LAYOUT.width * 8), int(LAYOUT.height * 8)), 255)
    canvas = ImageDraw.Draw(picture)
    for shape in page.shapes:
        for x, y, w, h in shape.boxes:
            canvas.rectangle((x * 8, y * 8, (x + w) * 8 - 1, (y + h) * 8 - 1), fill=0)
    assert [found.text for found in zxingcpp.read_barcodes(picture)] == [IDENTIFIER]


def test_a_mark_stands_on_every_page() -> None:
    long = tuple(Row(f"字段{turn}", "经营项目、" * 60, f"field_{turn}") for turn in range(12))
    read = pdf(written(rows=long, mark=MARK))
    assert len(read.pages) > 1
    for number, page in enumerate(read.pages, 1):
        text = squeezed(page.extract_text())
        assert "加注件仅供11990100MB2A00001X使用" in text
        assert f"第{number}页共{len(read.pages)}页" in text


TEXT = st.text(st.sampled_from("证照经营，。（）《》 ABC-12345\n\t"), min_size=1, max_size=400)


@settings(max_examples=60)
@given(st.lists(TEXT, min_size=1, max_size=8), st.booleans())
def test_nothing_is_lost_and_nothing_leaves_the_paper(values: list[str], marked: bool) -> None:
    rows = tuple(Row("名", value, "holder_name") for value in values)
    pages = place(written(rows=rows, mark=MARK if marked else ()), LAYOUT, FONTS)
    for page in pages:
        _within(page)
    value_left = LAYOUT.margin + 4 + LAYOUT.label_width
    drawn = [
        line.text
        for page in pages
        for line in page.texts
        if line.x == value_left and line.size == LAYOUT.text_size
    ]
    assert "".join("".join(drawn).split()).startswith("".join("".join(values).split()))


def _within(page: Page) -> None:
    for line in page.texts:
        assert line.x >= LAYOUT.margin - 0.01
        assert line.x + sum(line.widths) <= LAYOUT.width - LAYOUT.margin + 0.01
        assert 0 < line.y < LAYOUT.height
    for shape in page.shapes:
        for x, y, w, h in shape.boxes:
            assert x >= 0 and y >= 0 and x + w <= LAYOUT.width and y + h <= LAYOUT.height


def test_a_worker_that_was_killed_is_replaced() -> None:
    async def work() -> None:
        drawing = Drawing(NO_FONTS)
        try:
            first = await drawing.draw(Format.PDF, written(), LAYOUT)
            assert first == draw(NO_FONTS, Format.PDF, written(), LAYOUT)
            assert drawing._pool is not None
            for process in drawing._pool._processes.values():
                os.kill(process.pid, signal.SIGKILL)
            assert await drawing.draw(Format.PDF, written(), LAYOUT) == first
            with pytest.raises(CharacterLacking, match="holder_name, of plane 2"):
                await drawing.draw(Format.OFD, written("张\U0002a6a5"), LAYOUT)
        finally:
            drawing.close()

    asyncio.run(work())


def test_a_font_of_the_citys_own_draws_what_the_others_lack(tmp_path: Path) -> None:
    font = TTFont(io.BytesIO(subset(FONTS, "永")))
    wide = CmapSubtable.newSubtable(12)
    wide.platformID, wide.platEncID, wide.language, wide.cmap = (
        3,
        10,
        0,
        {0x2A6A5: font.getBestCmap()[ord("永")]},
    )
    font["cmap"].tables = [wide]
    font.save(tmp_path / "own.ttf")
    (tmp_path / "broken.otf").write_bytes(b"no font")
    words = written("张\U0002a6a5")
    read = pypdf.PdfReader(io.BytesIO(draw(tmp_path, Format.PDF, words, LAYOUT)))
    assert "张\U0002a6a5" in squeezed(read.pages[0].extract_text())
    package = zipfile.ZipFile(io.BytesIO(draw(tmp_path, Format.OFD, words, LAYOUT)))
    assert 0x2A6A5 in font_of(package).getBestCmap()
