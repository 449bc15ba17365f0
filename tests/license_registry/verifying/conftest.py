"""A registry in small, made of keys alone: what signs, what is trusted, and how that is spoilt."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.identifiers import ElicenceIdentifier
from foundation.signing import Algorithm, CertificateAuthority, KeyState, KeyStore, Signer
from foundation.signing.chain import load_roots
from license_registry.credentials import sd_jwt
from license_registry.credentials.status_list import Status, sign_list
from license_registry.presenting.own_trust import own_keys, root_pem
from license_registry.verifying.bundle import make_bundle, open_bundle
from license_registry.verifying.trust import Trust, TrustedType

NOW = datetime(2026, 6, 30, 4, 0, tzinfo=UTC)
URI = "https://registry.example/registry/v1/status-lists/0"
TYPE_CODE, ISSUER, OTHER_ISSUER = "11100000MB0143028R001", "11990100MB2A00001X", "11430000006122244L"
VCT = "urn:zhengtong:licence:business-licence:1"
HIDDEN = {"address": "东湖路1号", "representative_name": "张三丰"}


@dataclass
class Registry:
    """Signs what it is told to."""

    keys: KeyStore
    certificates: CertificateAuthority
    statuses: dict[int, Status] = field(default_factory=dict)
    types: tuple[TrustedType, ...] = (
        TrustedType(VCT, TYPE_CODE, 1, "营业执照", "Business licence", frozenset({ISSUER})),
    )

    @property
    def signer(self) -> Signer:
        return self.keys.signer("credential")

    def claims(self, **changes: Any) -> dict[str, Any]:
        identifier = ElicenceIdentifier.compute(TYPE_CODE, ISSUER, "20260000403", 1)
        claims: dict[str, Any] = {
            "iss": "https://registry.example/registry",
            "iat": int(NOW.timestamp()) - 3600,
            "vct": VCT,
            "status": {"status_list": {"idx": 5, "uri": URI}},
            "licence_identifier": str(identifier),
            "licence_name": "营业执照",
            "licence_number": "TEST000001",
            "issuer_code": ISSUER,
            "valid_from": "2020-01-01",
            "valid_until": "2026-12-31",
            "holder_name": "示范市东湖茶业有限公司",
            "holder_code": "91990101MA00000012",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not ...}

    def credential(self, signer: Signer | None = None, **changes: Any) -> str:
        return sd_jwt.issue(signer or self.signer, self.claims(**changes), HIDDEN)

    def status_list(self, now: datetime = NOW, lives: int = 24 * 3600) -> str:
        return sign_list(
            self.signer, URI, self.statuses.items(), now=int(now.timestamp()), ttl=300, lives=lives
        )

    def bundle(
        self, now: datetime = NOW, lives: int = 24 * 3600, lists: dict[str, str] | None = None
    ) -> bytes:
        self.keys.ensure_active("trust", Algorithm.ES256, NOW)
        signer = self.keys.signer("trust")
        return make_bundle(
            signer,
            self.certificates.chain_pem(signer.kid),
            "https://registry.example/registry",
            own_keys(self.keys, self.certificates),
            self.types,
            {URI: self.status_list()} if lists is None else lists,
            now=now,
            lives=lives,
        )

    @property
    def root(self) -> bytes:
        return root_pem(self.keys, self.certificates, NOW).encode()

    def trust(self, **changes: Any) -> Trust:
        return replace(open_bundle(self.bundle(), load_roots(self.root), NOW), **changes)


@pytest.fixture
def made(tmp_path: Path) -> Registry:
    return registry_in_small(tmp_path)


def registry_in_small(folder: Path) -> Registry:
    keys = KeyStore(folder / "keys", bytes(32))
    certificates = CertificateAuthority(keys)
    begun = NOW - timedelta(days=30)
    for purpose in ("credential", "answer", "trust"):
        certificates.issue(keys.create(purpose, Algorithm.ES256, KeyState.ACTIVE, begun).kid, begun)
    return Registry(keys, certificates)
