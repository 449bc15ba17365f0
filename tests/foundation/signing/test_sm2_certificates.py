"""Certificates of SM2 keys: OpenSSL follows them to their root, each key keeps its own, a revoked one gets none."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.signing import (
    SM2_CA_PURPOSE,
    Algorithm,
    CertificateAuthority,
    CertificateUnavailable,
    KeyState,
    KeyStore,
    Sm2CertificateAuthority,
)
from license_registry.seals.certificates import require_chain
from license_registry.seals.keys import chain

NOW = datetime(2026, 3, 1, 4, 5, 6, 700, tzinfo=UTC)


def test_openssl_follows_a_certificate_to_its_root_and_refuses_another(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl")
    files = []
    for name in ("one", "other"):
        keys = KeyStore(tmp_path / name, bytes(32))
        text = Sm2CertificateAuthority(keys).chain_pem(
            keys.create("seal x 01 sm2", Algorithm.SM2, KeyState.ACTIVE, NOW).kid
        )
        leaf, root = ("-----BEGIN" + part for part in text.split("-----BEGIN")[1:])
        (tmp_path / f"{name}.leaf").write_text(leaf)
        (tmp_path / f"{name}.root").write_text(root)
        files.append((tmp_path / f"{name}.leaf", tmp_path / f"{name}.root"))

    def verified(leaf: Path, root: Path) -> bool:
        command = [openssl, "verify", "-attime", str(int(NOW.timestamp()) + 1), "-x509_strict"]
        command += ["-vfyopt", "distid:1234567812345678", "-CAfile", str(root), str(leaf)]
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    assert verified(*files[0])
    assert not verified(files[0][0], files[1][1])


def test_a_key_keeps_its_certificate_and_all_have_one_root(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path, bytes(32))
    authority = Sm2CertificateAuthority(keys)
    first, second = (keys.create(name, Algorithm.SM2, KeyState.ACTIVE, NOW).kid for name in ("a", "b"))
    text = authority.chain_pem(first)
    assert Sm2CertificateAuthority(KeyStore(tmp_path, bytes(32))).chain_pem(first) == text
    leaf, root = chain(text.encode())
    require_chain(leaf, [root], NOW)
    assert leaf.name.endswith(first)
    assert leaf.key == keys.verification_keys()[first]
    assert leaf.valid_from == NOW.replace(microsecond=0)
    assert chain(authority.chain_pem(second).encode())[1].der == root.der
    assert authority.root_pem(NOW) in text
    # Its key signs certificates and nothing else: no token of it must ever hold.
    assert not set(keys.verification_keys()) & set(keys.verification_keys(SM2_CA_PURPOSE))


def test_no_certificate_for_a_revoked_key_one_of_another_kind_or_none(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path, bytes(32))
    revoked = keys.create("a", Algorithm.SM2, KeyState.ACTIVE, NOW).kid
    keys.rotate("a", NOW)
    keys.revoke(revoked, NOW)
    other = keys.create("b", Algorithm.ES256, KeyState.ACTIVE, NOW).kid
    for kid in (revoked, other, "nobody"):
        with pytest.raises(CertificateUnavailable):
            Sm2CertificateAuthority(keys).chain_pem(kid)
    # And the authority of the others certifies none of SM2.
    with pytest.raises(CertificateUnavailable):
        CertificateAuthority(keys).chain_pem(keys.signer("a").kid)
