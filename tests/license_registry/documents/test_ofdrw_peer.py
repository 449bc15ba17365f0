"""ofdrw, the Java library that others read OFD with, reads and draws ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from license_registry.documents.drawing import Format, draw
from tests.license_registry.documents.conftest import IDENTIFIER, LAYOUT, MARK, NO_FONTS, written

HERE = Path(__file__).parent / "ofdrw"


@pytest.mark.thorough
def test_ofdrw_reads_and_draws_what_we_wrote(tmp_path: Path) -> None:
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or maven is None:
        pytest.skip("no Java, or no Maven to fetch ofdrw with")
    libraries = tmp_path / "libraries"
    command = [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    subprocess.run([*command, f"-DoutputDirectory={libraries}"], check=True, timeout=600)
    file = tmp_path / "licence.ofd"
    file.write_bytes(draw(NO_FONTS, Format.OFD, written("示范㐂𠮷公司", mark=MARK), LAYOUT))
    drawing = [java, "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    done = subprocess.run(
        [*drawing, "-cp", f"{libraries}/*", str(HERE / "Draw.java"), str(file), str(tmp_path / "page")],
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    for told in ("attached 1", "食品经营许可证", "示范㐂𠮷公司", "加注件　仅供", IDENTIFIER):
        assert told in done.stdout
    with Image.open(tmp_path / "page0.png") as picture:
        assert [found.text for found in zxingcpp.read_barcodes(picture)] == [IDENTIFIER]
        # Where the title stands is ink of the frame's colour, and beside it none: its font was understood.
        middle = picture.convert("RGB").crop(((50 * 8), (24 * 8), (160 * 8), (42 * 8)))
        dark = sum(middle.convert("L").histogram()[:170])
    assert 0.02 < dark / (middle.width * middle.height) < 0.3
