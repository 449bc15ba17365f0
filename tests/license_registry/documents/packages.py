"""A drawn OFD with seals on it, without a house: of any algorithm, and how it is packed again after a forgery."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from license_registry.documents.drawing import Format, draw
from license_registry.documents.ofd import package, sealing
from license_registry.documents.written import Written
from license_registry.seals.checks import sm3
from license_registry.seals.make import put_seal
from license_registry.seals.structures import SIGNATURE_OIDS
from tests.license_registry.documents.conftest import LAYOUT, NO_FONTS, written
from tests.license_registry.seals.conftest import NOW, Sealed

Files = Mapping[str, bytes]


def sealed_files(
    made: Sealed,
    seals: int = 1,
    words: Written | None = None,
    change: Callable[[dict[str, bytes]], Files] = lambda files: files,
) -> dict[str, bytes]:
    """Files of a sealed document; `change` is what happens to it before it is sealed."""
    drawn = draw(NO_FONTS, Format.OFD, written(attached=()) if words is None else words, LAYOUT)
    files = package.unpacked(drawn)
    places = sealing.places(files, (made.seal.content,) * seals)
    files = dict(change(sealing.named(files, seals)))
    method = SIGNATURE_OIDS[made.signer.signer.algorithm]
    for number, place in enumerate(places):
        last = number == seals - 1
        signed = sealing.to_sign(files, number, made.seal.der, method, place, NOW, last=last)
        stamp = put_seal(made.seal, made.signer, sm3(signed.xml), signed.path, NOW)
        files |= signed.files(stamp.der)
    return files


def sealed_document(made: Sealed, seals: int = 1, words: Written | None = None) -> bytes:
    return package.packed(sealed_files(made, seals, words))
