"""Signed codes: what fits into a QR code, read back from pictures that were spoilt, late, copied and forged."""

from __future__ import annotations

import io
import os
import random
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import base45
import cbor2
import numpy
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from foundation.signing import Algorithm, KeyState, new_signer
from license_registry.credentials import sd_jwt
from license_registry.presenting.check import Result
from license_registry.presenting.qr import picture
from license_registry.verifying.credential import verify_offline_code
from license_registry.verifying.file import FileUnreadable, Ways, verify_bytes
from license_registry.verifying.images import PictureUnreadable, read_qr
from license_registry.verifying.offline_code import PREFIX, OfflineCodeInvalid, make_code, read_code
from license_registry.verifying.seen import SeenCodes
from license_registry.verifying.trust import Trust
from tests.license_registry.verifying.conftest import NOW, Registry

PRESENTED = {"purpose": "办理食品经营许可", "matter": "food-permit"}
LIVES = 600


def code(made: Registry, signer: Any = None, now: datetime = NOW, **changes: Any) -> str:
    shown = sd_jwt.select(made.credential(**changes), ["address"])
    credential = sd_jwt.verify(shown, made.keys.verification_keys("credential"))
    signer = signer or made.signer
    return make_code(signer, os.urandom(8), credential, PRESENTED, now=int(now.timestamp()), lives=LIVES)


def test_a_code_shows_what_was_chosen_the_purpose_and_until_when(made: Registry) -> None:
    found = verify_offline_code(code(made), made.trust(), NOW, None)
    assert found.valid, found.reasons
    assert all(found.checks.values())
    assert found.fields["address"] == "东湖路1号"
    assert "representative_name" not in found.fields
    assert found.told == {**PRESENTED, "until": int(NOW.timestamp()) + LIVES}


def test_a_code_is_small_enough_for_a_telephone(made: Registry) -> None:
    drawn = segno.make(code(made), error="m", micro=False)
    assert drawn.mode == "alphanumeric"
    assert int(drawn.version) <= 20, drawn.version  # 97 modules: half a millimetre each on a telephone


def plain(image: Image.Image) -> Image.Image:
    return image


def turned(degrees: float) -> Callable[[Image.Image], Image.Image]:
    def turn(image: Image.Image) -> Image.Image:
        return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=255)

    turn.__name__ = f"turned by {degrees}"
    return turn


def scaled(factor: float) -> Callable[[Image.Image], Image.Image]:
    def scale(image: Image.Image) -> Image.Image:
        size = (round(image.width * factor), round(image.height * factor))
        return image.resize(size, Image.Resampling.BICUBIC)

    scale.__name__ = f"scaled by {factor}"
    return scale


def noisy(image: Image.Image) -> Image.Image:
    drawn = numpy.asarray(image, dtype=float) + numpy.random.default_rng(1).normal(
        0, 40, (image.height, image.width)
    )
    return Image.fromarray(numpy.clip(drawn, 0, 255).astype("uint8"))


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(1.5))


def seen_from_the_side(image: Image.Image) -> Image.Image:
    w, h = image.size
    corners = (-0.06 * w, -0.02 * h, 0.02 * w, 1.05 * h, 1.04 * w, 0.97 * h, 1.03 * w, -0.05 * h)
    return image.transform(image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor=255)


def dim(image: Image.Image) -> Image.Image:
    return image.point(lambda value: 90 + value // 4)


def compressed(image: Image.Image) -> Image.Image:
    held = io.BytesIO()
    image.save(held, "JPEG", quality=25)
    return Image.open(held).convert("L")


SPOILT = [
    plain,
    turned(90),
    turned(7),
    turned(-33),
    scaled(0.6),
    scaled(2.3),
    noisy,
    blurred,
    seen_from_the_side,
    dim,
    compressed,
]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_code_is_read_from_a_spoilt_picture(
    made: Registry, spoil: Callable[[Image.Image], Image.Image]
) -> None:
    text = code(made)
    with Image.open(io.BytesIO(picture(text))) as drawn:
        held = io.BytesIO()
        spoil(drawn.convert("L")).save(held, "PNG")
    assert verify_bytes(held.getvalue(), "photo.png", made.trust(), NOW, Ways()).valid


@pytest.mark.parametrize("text", ["ZT1:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"])
def test_the_code_for_the_counter_is_read_too_and_said_to_be_for_the_counter(
    made: Registry, text: str
) -> None:
    assert read_qr(picture(text)) == text
    with pytest.raises(FileUnreadable, match="verified online"):
        verify_bytes(picture(text), "photo.png", made.trust(), NOW, Ways())


def test_a_picture_without_one_code_is_told() -> None:
    blank = io.BytesIO()
    Image.new("L", (200, 200), 255).save(blank, "PNG")
    one = Image.open(io.BytesIO(picture("ZT1:AAAA"))).convert("L")
    other = Image.open(io.BytesIO(picture("ZT1:BBBB"))).convert("L")
    both = Image.new("L", (one.width * 2, one.height), 255)
    both.paste(one, (0, 0))
    both.paste(other, (one.width, 0))
    two = io.BytesIO()
    both.save(two, "PNG")
    huge = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(huge, "PNG")
    for data, words in (
        (blank.getvalue(), "no QR code"),
        (two.getvalue(), "several"),
        (huge.getvalue(), "too large"),
        (b"\x89PNG\r\n\x1a\nrest", "cannot be read"),
    ):
        with pytest.raises(PictureUnreadable, match=words):
            read_qr(data)


@pytest.mark.parametrize(
    ("after", "words"),
    [(timedelta(seconds=LIVES + 61), "has expired"), (timedelta(minutes=-5), "in the future")],
)
def test_a_late_code_shows_nothing(made: Registry, after: timedelta, words: str) -> None:
    found = verify_offline_code(code(made), made.trust(), NOW + after, None)
    assert (found.result, found.checks["holder_binding"], dict(found.fields)) == (Result.VOID, False, {})
    assert words in found.reasons["holder_binding"][0]


def test_a_copied_code_is_noticed_where_it_was_used(made: Registry, tmp_path: Path) -> None:
    text, trust = code(made), made.trust()
    seen = tmp_path / "seen"
    use = SeenCodes(seen, NOW.timestamp()).first_use
    assert verify_offline_code(text, trust, NOW, use).valid
    again = verify_offline_code(text, trust, NOW, SeenCodes(seen, NOW.timestamp()).first_use)
    assert (again.result, again.checks["holder_binding"], dict(again.fields)) == (Result.VOID, False, {})
    assert "used here before" in again.reasons["holder_binding"][0]
    assert verify_offline_code(code(made), trust, NOW, use).valid
    # What has expired is forgotten: the file does not grow for ever.
    later = SeenCodes(seen, NOW.timestamp() + LIVES + 120)
    assert later.first_use(b"new", int(NOW.timestamp()) + LIVES + 999)
    assert len(seen.read_text().splitlines()) == 1


def rebuilt(text: str, change: Callable[[list[Any]], None]) -> str:
    tag = cbor2.loads(zlib.decompress(base45.b45decode(text.removeprefix(PREFIX))))
    parts = list(tag.value)
    change(parts)
    return PREFIX + base45.b45encode(zlib.compress(cbor2.dumps(cbor2.CBORTag(18, parts)))).decode()


def field_swapped(parts: list[Any]) -> None:
    claims = dict(cbor2.loads(parts[2]))
    claims[-65537] = {**claims[-65537], "holder_name": "别人"}
    parts[2] = cbor2.dumps(claims)


def header(**changes: Any) -> Callable[[list[Any]], None]:
    def change(parts: list[Any]) -> None:
        told = dict(cbor2.loads(parts[0])) | {int(k[1:]): v for k, v in changes.items()}
        parts[0] = cbor2.dumps(told)

    return change


def unprotected(parts: list[Any]) -> None:
    parts[1] = {1: -7}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (field_swapped, "signature-wrong"),
        (header(_1=5), "algorithm-mismatch"),  # HMAC 256/256
        (header(_1=-8), "algorithm-mismatch"),
        (header(_4=b"12345678"), "key-unknown"),
        (header(_4=b""), "key-unknown"),
        (header(_2=[99]), "malformed"),  # crit
        (unprotected, "malformed"),
    ],
)
def test_a_forged_code_shows_nothing(made: Registry, change: Any, words: str) -> None:
    text = rebuilt(code(made), change)
    found = verify_offline_code(text, made.trust(), NOW, None)
    assert (dict(found.checks), dict(found.fields)) == ({"signature": False}, {})
    assert found.problem is not None
    assert words in found.problem[0].format_map(found.problem[1])


def test_a_code_of_another_format_is_not_guessed_at(made: Registry) -> None:
    tag = cbor2.loads(zlib.decompress(base45.b45decode(code(made).removeprefix(PREFIX))))
    claims = dict(cbor2.loads(tag.value[2])) | {-65539: 2}
    body = cbor2.dumps(claims)
    signature = made.signer.sign(cbor2.dumps(["Signature1", tag.value[0], b"", body]))
    text = rebuilt(code(made), lambda parts: parts.__setitem__(slice(2, 4), [body, signature]))
    with pytest.raises(OfflineCodeInvalid, match="format that is not known"):
        read_code(text, made.trust())


def test_a_key_of_another_purpose_may_not_sign_codes(made: Registry) -> None:
    found = verify_offline_code(code(made, made.keys.signer("answer")), made.trust(), NOW, None)
    assert (found.result, found.checks["issuer"], dict(found.fields)) == (Result.VOID, False, {})


@pytest.mark.parametrize("algorithm", [Algorithm.EDDSA, Algorithm.SM2])
def test_other_algorithms_sign_codes_too(made: Registry, algorithm: Algorithm) -> None:
    made.keys.create("other", algorithm, KeyState.ACTIVE, NOW)
    signer = made.keys.signer("other")
    text = code(made, signer)
    trust = Trust({signer.kid: next(iter(made.trust().keys.values()))})
    with pytest.raises(OfflineCodeInvalid):
        read_code(text, trust)
    from license_registry.verifying.trust import TrustedKey

    assert read_code(text, Trust({signer.kid: TrustedKey(signer.public, None)})).kid == signer.kid


def test_more_than_a_code_holds_is_refused(made: Registry) -> None:
    with pytest.raises(OfflineCodeInvalid, match="choose fewer"):
        code(
            made,
            business_scope="".join(chr(random.Random(1).randrange(0x4E00, 0x9FA5)) for _ in range(1))
            + os.urandom(4000).hex(),
        )


def test_a_bomb_is_not_inflated(made: Registry) -> None:
    text = PREFIX + base45.b45encode(zlib.compress(bytes(10_000_000))[:2000]).decode()
    with pytest.raises(OfflineCodeInvalid, match="malformed"):
        read_code(text, made.trust())


@given(
    st.text(max_size=200) | st.binary(max_size=200).map(lambda b: base45.b45encode(zlib.compress(b)).decode())
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(OfflineCodeInvalid):
        read_code(PREFIX + text, Trust({"k": new_trusted()}))


def new_trusted() -> Any:
    from license_registry.verifying.trust import TrustedKey

    return TrustedKey(SIGNER.public, None)


SIGNER = new_signer(Algorithm.ES256, "k")
