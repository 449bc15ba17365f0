"""A maker of seals, an authority with a seal, and what it was put on; with SM2 and with P-256."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from foundation.signing import Algorithm, new_signer
from license_registry.seals.certificates import Certificate
from license_registry.seals.checks import sm3
from license_registry.seals.make import Sealer, make_seal, put_seal
from license_registry.seals.structures import Picture, Seal, SealContent, Stamp
from tests.license_registry.seals.certifying import certificate

NOW = datetime(2025, 6, 30, 4, 0, tzinfo=UTC)
DATA = "证照".encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """All that takes part; `stranger` has a certificate of the same root that the seal does not name."""

    root: Certificate
    maker: Sealer
    signer: Sealer
    stranger: Sealer
    seal: Seal
    stamp: Stamp


def content(*certificates: bytes) -> SealContent:
    return SealContent(
        version=4,
        vendor="ZHENGTONG",
        id="990100000001",
        kind=1,
        name="示范市市场监督管理局",
        certificates=certificates,
        digests=(),
        created_at=datetime(2025, 6, 1, tzinfo=UTC),
        valid_from=datetime(2025, 6, 1, tzinfo=UTC),
        valid_until=datetime(2026, 6, 1, tzinfo=UTC),
        picture=Picture("PNG", b"\x89PNG", 40, 40),
    )


def sealed(algorithm: Algorithm) -> Sealed:
    root_key = new_signer(algorithm)
    root = certificate("root", root_key.public, "root", root_key, authority=True)

    def party(name: str) -> Sealer:
        key = new_signer(algorithm)
        return Sealer(key, certificate(name, key.public, "root", root_key).der)

    maker, signer, stranger = party("maker"), party("signer"), party("stranger")
    seal = make_seal(content(signer.certificate), maker)
    return Sealed(root, maker, signer, stranger, seal, put_seal(seal, signer, sm3(DATA), "/licence", NOW))


@pytest.fixture(scope="module", params=[Algorithm.SM2, Algorithm.ES256], ids=["SM2", "ES256"])
def made(request: pytest.FixtureRequest) -> Sealed:
    return sealed(request.param)
