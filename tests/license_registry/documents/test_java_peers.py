"""What others read documents with: ofdrw reads and draws our OFD, veraPDF calls our PDF an archive copy."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from license_registry.documents.drawing import Format, draw
from tests.license_registry.documents.conftest import IDENTIFIER, LAYOUT, MARK, NO_FONTS, written

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
@pytest.mark.parametrize("mark", [(), MARK])
def test_verapdf_calls_our_pdf_an_archive_copy(tmp_path: Path, mark: tuple[str, ...]) -> None:
    file = tmp_path / "licence.pdf"
    file.write_bytes(draw(NO_FONTS, Format.PDF, written("示范㐂𠮷公司", mark=mark), LAYOUT))
    assert run("verapdf", "Validate.java", tmp_path / "libraries", str(file)).splitlines() == ["compliant"]
