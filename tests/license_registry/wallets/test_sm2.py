"""A registry that is configured for SM2: its licences are signed with it, wallets are told, and no certificate is promised."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from foundation.settings import Settings
from foundation.signing import Algorithm, KeyStateError
from license_registry.credentials import sd_jwt
from license_registry.issuing.issue import issue
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.presenting.present import lead_copy
from license_registry.wallets.issuance import chain_header
from license_registry.wallets.metadata import issuer_metadata
from tests.license_registry.conftest import AUTHORITY, registry, request
from zhengtong.house_keys import open_keys


def test_licences_are_signed_with_what_is_configured(settings: Settings, database_url: str) -> None:
    chosen = settings.model_copy(update={"credential_algorithm": "SM2SM3"})

    async def work() -> None:
        async with registry(chosen, database_url) as ports:
            made = await issue(ports, AUTHORITY, request(), datetime.now(UTC))
            text = await lead_copy(ports, made.licence)
            found = sd_jwt.verify(text, ports.keys.verification_keys(PURPOSE))
            assert found.header["alg"] == "SM2SM3"
            assert found.disclosed["representative_name"] == "张三丰"
            signer = ports.keys.signer(PURPOSE)
            assert chain_header(ports, signer) == {}
            told = issuer_metadata(ports.issuer, ports.types.values(), signer.algorithm, by_code=False)
            one = told["credential_configurations_supported"]["business-licence"]
            assert one["credential_signing_alg_values_supported"] == ["SM2SM3"]

    asyncio.run(work())
    # A store that has begun with one algorithm is not silently used with another.
    with pytest.raises(KeyStateError, match=r"credential: the active key is for SM2SM3"):
        open_keys(settings, datetime.now(UTC))
    assert Algorithm(settings.credential_algorithm) is Algorithm.ES256
