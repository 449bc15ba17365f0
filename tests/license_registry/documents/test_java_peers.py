"""What others read documents with: ofdrw reads and draws our OFD, veraPDF calls our PDF an archive copy."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
import zxingcpp
from PIL import Image

from foundation.settings import Settings
from foundation.signing import Algorithm
from license_registry.documents.drawing import Format, draw
from license_registry.documents.keep import give
from license_registry.documents.ofd.package import packed, unpacked
from license_registry.issuing.issue import issue
from license_registry.seals.make import make_seal
from license_registry.seals.pictures import drawn
from license_registry.seals.states import SealKind
from tests.license_registry.conftest import AUTHORITY, registry, request
from tests.license_registry.documents.conftest import IDENTIFIER, LAYOUT, MARK, NO_FONTS, written
from tests.license_registry.documents.packages import sealed_files
from tests.license_registry.documents.test_sealing import in_use
from tests.license_registry.seals.conftest import content, sealed

HERE = Path(__file__).parent
WORDS = written("示范㐂𠮷公司", mark=MARK)


def run(peer: str, program: str, folder: Path, *arguments: str) -> str:
    """Run a Java program of a folder with the libraries that stand in its `pom.xml`."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        pytest.skip("no Java, or no Maven to fetch the library with")
    fetching = [maven, "-q", "-B", "-f", str(HERE / peer / "pom.xml"), "dependency:copy-dependencies"]
    subprocess.run([*fetching, f"-DoutputDirectory={folder}"], check=True, timeout=600)
    running = [java, "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    done = subprocess.run(
        [*running, "-cp", f"{folder}/*", str(HERE / peer / program), *arguments],
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    return done.stdout


@pytest.mark.thorough
def test_ofdrw_reads_and_draws_our_ofd(tmp_path: Path) -> None:
    file = tmp_path / "licence.ofd"
    file.write_bytes(draw(NO_FONTS, Format.OFD, WORDS, LAYOUT))
    said = run("ofdrw", "Draw.java", tmp_path / "libraries", str(file), str(tmp_path / "page"))
    for told in ("attached 1", "食品经营许可证", "示范㐂𠮷公司", "加注件　仅供", IDENTIFIER):
        assert told in said
    with Image.open(tmp_path / "page0.png") as picture:
        assert [found.text for found in zxingcpp.read_barcodes(picture)] == [IDENTIFIER]
        # There is ink where the title stands, and not too much: its font was understood.
        middle = picture.convert("L").crop(((50 * 8), (24 * 8), (160 * 8), (42 * 8)))
        dark = sum(middle.histogram()[:170])
    assert 0.02 < dark / (middle.width * middle.height) < 0.3


@pytest.mark.thorough
def test_ofdrw_verifies_our_seals_and_draws_them(tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    page = "Doc_0/Pages/Page_0/Content.xml"
    for algorithm in (Algorithm.SM2, Algorithm.ES256):
        file = tmp_path / f"{algorithm.value}.ofd"
        made = sealed(algorithm)
        seen = make_seal(replace(content(made.signer.certificate), picture=drawn()), made.maker)
        files = sealed_files(replace(made, seal=seen), seals=2)
        file.write_bytes(packed(files))
        assert run("ofdrw", "Verify.java", libraries, str(file)).splitlines() == ["holds"]
        altered = tmp_path / "altered.ofd"
        altered.write_bytes(packed({**files, page: files[page] + b" "}))
        assert "wrong" in run("ofdrw", "Verify.java", libraries, str(altered))
    run("ofdrw", "Draw.java", libraries, str(file), str(tmp_path / "sealed"))
    with Image.open(tmp_path / "sealed0.png") as picture:
        for number in range(2):
            x, y, wide, high = box(files[f"Doc_0/Signs/Sign_{number}/Signature.xml"])
            within = picture.convert("RGB").crop(
                (int(x * 8), int(y * 8), int((x + wide) * 8), int((y + high) * 8))
            )
            data = within.tobytes()
            pixels = list(zip(data[::3], data[1::3], data[2::3], strict=True))
            red = sum(r > 180 and g < 90 and b < 90 for r, g, b in pixels)
            # A ring and a star, and what is written below shows between them.
            assert 0.05 < red / len(pixels) < 0.5


@pytest.mark.thorough
def test_ofdrw_verifies_a_seal_of_sm2_that_a_house_made_with_its_own_certificates(
    settings: Settings, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "licence.ofd"

    async def story() -> None:
        sm2 = settings.model_copy(update={"seal_algorithm": "SM2SM3"})
        async with registry(sm2, database_url) as ports:
            await in_use(ports, SealKind.LEGAL_NAME)
            licence = (await issue(ports, AUTHORITY, request(), datetime.now(UTC))).licence
            file.write_bytes((await give(ports, AUTHORITY, licence, Format.OFD, datetime.now(UTC))).data)

    asyncio.run(story())
    assert run("ofdrw", "Verify.java", tmp_path / "libraries", str(file)).splitlines() == ["holds"]
    files = unpacked(file.read_bytes())
    page = "Doc_0/Pages/Page_0/Content.xml"
    file.write_bytes(packed({**files, page: files[page] + b" "}))
    assert "wrong" in run("ofdrw", "Verify.java", tmp_path / "libraries", str(file))


def box(signature: bytes) -> tuple[float, ...]:
    (seen,) = ElementTree.fromstring(signature).iter("{http://www.ofdspec.org/2016}StampAnnot")
    return tuple(float(each) for each in seen.attrib["Boundary"].split())


@pytest.mark.thorough
@pytest.mark.parametrize("mark", [(), MARK])
def test_verapdf_calls_our_pdf_an_archive_copy(tmp_path: Path, mark: tuple[str, ...]) -> None:
    file = tmp_path / "licence.pdf"
    file.write_bytes(draw(NO_FONTS, Format.PDF, written("示范㐂𠮷公司", mark=mark), LAYOUT))
    assert run("verapdf", "Validate.java", tmp_path / "libraries", str(file)).splitlines() == ["compliant"]
