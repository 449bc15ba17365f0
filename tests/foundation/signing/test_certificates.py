"""The internal root: its chains hold for OpenSSL, and it vouches for keys of this store only."""

from __future__ import annotations

import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.signing import (
    CA_PURPOSE,
    Algorithm,
    BadJws,
    CertificateAuthority,
    CertificateUnavailable,
    KeyState,
    KeyStore,
    decode_base64url,
    sign_compact,
    verify_compact,
)
from foundation.signing.certificates import LEAF_LIFETIME, ROOT_LIFETIME

MASTER = bytes(range(32))
NOW = datetime(2025, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys", MASTER)


@pytest.fixture
def authority(store: KeyStore) -> CertificateAuthority:
    return CertificateAuthority(store)


@pytest.fixture(scope="module")
def openssl() -> str:
    return shutil.which("openssl") or pytest.skip("no openssl on this machine")


@pytest.fixture
def accepted(openssl: str, tmp_path: Path) -> Callable[[str, str, datetime], bool]:
    """Return whether OpenSSL takes the first certificate of a chain at a moment, trusting one root."""

    def verify(chain: str, root: str, moment: datetime) -> bool:
        (tmp_path / "leaf.pem").write_text(chain, encoding="ascii")
        (tmp_path / "root.pem").write_text(root, encoding="ascii")
        words = ["-x509_strict", "-check_ss_sig", "-attime", str(int(moment.timestamp()))]
        command = [
            openssl,
            "verify",
            *words,
            "-CAfile",
            str(tmp_path / "root.pem"),
            str(tmp_path / "leaf.pem"),
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    return verify


def split(chain: str) -> tuple[x509.Certificate, x509.Certificate]:
    leaf, root = x509.load_pem_x509_certificates(chain.encode())
    return leaf, root


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.EDDSA])
def test_a_chain_holds_for_openssl_within_its_time_and_under_its_root_only(
    store: KeyStore,
    authority: CertificateAuthority,
    accepted: Callable[[str, str, datetime], bool],
    tmp_path: Path,
    algorithm: Algorithm,
) -> None:
    kid = store.ensure_active("answer", algorithm, NOW).kid
    chain = authority.issue(kid, NOW)
    leaf, root = split(chain)
    assert accepted(chain, pem(root), NOW + DAY)
    assert accepted(chain, pem(root), NOW + LEAF_LIFETIME - DAY)
    assert not accepted(chain, pem(root), NOW - DAY)
    assert not accepted(chain, pem(root), NOW + LEAF_LIFETIME + DAY)
    other = KeyStore(tmp_path / "other", MASTER)
    foreign = CertificateAuthority(other).issue(other.ensure_active("answer", algorithm, NOW).kid, NOW)
    assert not accepted(chain, pem(split(foreign)[1]), NOW + DAY)
    # Nor is a certificate of ours an authority below which others could be made.
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.EDDSA])
def test_a_certificate_is_of_the_key_and_for_signatures_only(
    store: KeyStore, authority: CertificateAuthority, algorithm: Algorithm
) -> None:
    kid = store.ensure_active("answer", algorithm, NOW).kid
    leaf, root = split(authority.issue(kid, NOW))
    assert leaf.subject.rfc4514_string() == f"CN={kid}"
    jwk = store.verification_keys()[kid].to_jwk()
    if algorithm is Algorithm.ES256:
        raw = leaf.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    else:
        raw = leaf.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert raw == decode_base64url(jwk["x"]) + decode_base64url(jwk.get("y", ""))
    for certificate, permitted in ((leaf, {"digital_signature"}), (root, {"key_cert_sign", "crl_sign"})):
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                 "key_agreement", "key_cert_sign", "crl_sign")  # fmt: skip
        assert usage.critical
        assert {name for name in names if getattr(usage.value, name)} == permitted
    leaf.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)


def test_a_key_has_one_certificate_always_the_same_and_all_have_one_root(
    store: KeyStore, authority: CertificateAuthority
) -> None:
    answer = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    licence = store.ensure_active("licence", Algorithm.EDDSA, NOW).kid
    first = authority.issue(answer, NOW)
    assert authority.issue(answer, NOW + DAY) == authority.chain_pem(answer) == first
    reopened = CertificateAuthority(KeyStore(store.directory, MASTER))
    assert reopened.chain_pem(answer) == first
    leaf, root = split(reopened.chain_pem(licence))
    assert root == split(first)[1]
    assert leaf.serial_number != split(first)[0].serial_number


def test_a_key_fresh_from_a_rotation_has_a_chain_that_holds_since_it_was_made(
    store: KeyStore, authority: CertificateAuthority, accepted: Callable[[str, str, datetime], bool]
) -> None:
    store.ensure_active("answer", Algorithm.ES256, NOW)
    store.rotate("answer", NOW + 30 * DAY)
    for record in store.records():
        chain = authority.chain_pem(record.kid)
        assert split(chain)[0].not_valid_before_utc == record.created_at
        assert accepted(chain, pem(split(chain)[1]), record.created_at + 31 * DAY)


def test_a_leaf_never_outlives_the_root_and_an_expired_root_issues_none(
    store: KeyStore, authority: CertificateAuthority
) -> None:
    first = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    second = store.ensure_active("licence", Algorithm.ES256, NOW).kid
    third = store.ensure_active("mark", Algorithm.ES256, NOW).kid
    _, root = split(authority.issue(first, NOW))
    assert root.not_valid_after_utc == NOW + ROOT_LIFETIME
    late, _ = split(authority.issue(second, NOW + ROOT_LIFETIME - DAY))
    assert late.not_valid_after_utc == root.not_valid_after_utc
    with pytest.raises(CertificateUnavailable, match="root certificate has expired"):
        authority.issue(third, NOW + ROOT_LIFETIME)
    store.rotate(CA_PURPOSE, NOW + ROOT_LIFETIME)  # the way out that the message names
    _, renewed = split(authority.issue(third, NOW + ROOT_LIFETIME))
    assert renewed.public_key() != root.public_key()


def test_what_cannot_have_a_certificate_is_refused_with_the_reason(
    store: KeyStore, authority: CertificateAuthority
) -> None:
    sm2 = store.ensure_active("answer", Algorithm.SM2, NOW).kid
    for ask in (authority.chain_pem, lambda kid: authority.issue(kid, NOW)):
        with pytest.raises(CertificateUnavailable, match="SM2"):
            ask(sm2)
        for unknown in ("unknown", "", "../keys", f"{sm2}/../{sm2}"):
            with pytest.raises(CertificateUnavailable, match="no such key"):
                ask(unknown)
    # Nobody asked for a certificate that could be, so there is no root either.
    assert not store.records(CA_PURPOSE)


def test_a_root_key_that_is_not_active_gets_no_certificate_and_its_turn_as_root_is_not_spoilt(
    store: KeyStore, authority: CertificateAuthority, accepted: Callable[[str, str, datetime], bool]
) -> None:
    answer = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    first_chain = authority.chain_pem(answer)
    first_root = store.signer(CA_PURPOSE).kid
    store.rotate(CA_PURPOSE, NOW)
    (upcoming,) = (r.kid for r in store.records(CA_PURPOSE) if r.state is KeyState.NEXT)
    with pytest.raises(CertificateUnavailable, match="active"):
        authority.chain_pem(upcoming)
    assert authority.chain_pem(first_root) in first_chain  # retired, its root stays to be had
    store.rotate(CA_PURPOSE, NOW)
    chain = authority.chain_pem(store.ensure_active("licence", Algorithm.ES256, NOW).kid)
    assert authority.chain_pem(upcoming) == pem(split(chain)[1])
    assert accepted(chain, pem(split(chain)[1]), NOW + DAY)


def test_the_root_s_key_signs_no_tokens_that_would_hold(
    store: KeyStore, authority: CertificateAuthority
) -> None:
    authority.issue(store.ensure_active("answer", Algorithm.ES256, NOW).kid, NOW)
    root_signer = store.signer(CA_PURPOSE)
    forged = sign_compact(root_signer, b"{}", "answer+jwt")
    with pytest.raises(BadJws) as caught:
        verify_compact(forged, store.verification_keys(), "answer+jwt", frozenset(Algorithm))
    assert caught.value.code == "key-unknown"
    assert x509.load_pem_x509_certificate(authority.chain_pem(root_signer.kid).encode()).subject.rfc4514_string() == (
        "CN=Zhengtong internal root"
    )  # fmt: skip


def test_the_certificate_files_hold_no_private_key_and_are_for_their_owner_to_write(
    store: KeyStore, authority: CertificateAuthority
) -> None:
    authority.issue(store.ensure_active("answer", Algorithm.ES256, NOW).kid, NOW)
    folder = store.directory / "certificates"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.glob("*.pem"))
    assert len(files) == 2
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "PRIVATE" not in path.read_text(encoding="ascii")


def test_those_who_ask_at_once_get_the_same_certificate(store: KeyStore) -> None:
    kid = store.ensure_active("answer", Algorithm.ES256, NOW).kid
    gate, chains = threading.Barrier(4), []

    def ask() -> None:
        own = CertificateAuthority(KeyStore(store.directory, MASTER))
        gate.wait(20)
        chains.append(own.issue(kid, NOW))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(chains) == 4
    assert len(set(chains)) == 1
    store.reload()
    assert len(store.records(CA_PURPOSE)) == 1
