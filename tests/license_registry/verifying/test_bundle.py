"""Trust bundles: nothing of one counts unless its signer leads to the root that the verifier holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from foundation.signing import CertificateAuthority, KeyStore
from foundation.signing.chain import load_roots
from license_registry.presenting.own_trust import root_pem
from license_registry.verifying.bundle import open_bundle
from license_registry.verifying.trust import TrustUnusable
from tests.license_registry.verifying.conftest import NOW, URI, VCT, Registry


def test_a_bundle_says_keys_types_and_lists(made: Registry) -> None:
    trust = open_bundle(made.bundle(), load_roots(made.root), NOW)
    assert {key.purpose for key in trust.keys.values()} == {"credential", "answer"}
    assert trust.types is not None
    assert set(trust.types) == {VCT}
    assert set(trust.status_lists) == {URI}
    assert trust.made_at == NOW


@pytest.mark.parametrize(
    ("after", "words"), [(timedelta(hours=25), "fetch a new one"), (timedelta(minutes=-5), "in the future")]
)
def test_a_bundle_counts_between_its_dates(made: Registry, after: timedelta, words: str) -> None:
    with pytest.raises(TrustUnusable, match=words):
        open_bundle(made.bundle(), load_roots(made.root), NOW + after)


def test_a_bundle_under_another_root_counts_for_nothing(made: Registry, tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "other", bytes(32))
    roots = load_roots(root_pem(keys, CertificateAuthority(keys), NOW).encode())
    with pytest.raises(TrustUnusable, match="signature-wrong"):
        open_bundle(made.bundle(), roots, NOW)


def spoilt(made: Registry, **changes: Any) -> bytes:
    return orjson.dumps(orjson.loads(made.bundle()) | changes)


def test_a_bundle_that_was_changed_counts_for_nothing(made: Registry) -> None:
    roots = load_roots(made.root)
    whole = orjson.loads(made.bundle())
    header, payload, signature = whole["bundle"].split(".")
    older = made.status_list(NOW - timedelta(hours=3))
    for data, words in (
        (b"", "no trust bundle"),
        (b"[]", "no trust bundle"),
        (spoilt(made, bundle=f"{header}.{payload[:-4]}AAAA.{signature}"), "signature-wrong"),
        (spoilt(made, chain="-----BEGIN"), "malformed"),
        (spoilt(made, chain=made.certificates.chain_pem(made.signer.kid)), "key-unknown"),
        (spoilt(made, status_lists={URI: older}), "not those of the trust bundle"),
        (spoilt(made, status_lists={}), "not those of the trust bundle"),
    ):
        with pytest.raises(TrustUnusable, match=words):
            open_bundle(data, roots, NOW)
