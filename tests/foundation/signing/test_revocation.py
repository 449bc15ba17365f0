"""Revocation lists of the roots: OpenSSL takes them, and they name what was revoked and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from foundation.signing import (
    Algorithm,
    CertificateAuthority,
    KeyState,
    KeyStore,
    Sm2CertificateAuthority,
)
from foundation.signing.revocation import REVOCATION_LIST_LIVES, revocation_lists

NOW = datetime.now(UTC).replace(microsecond=0)
ID = "distid:1234567812345678"


def openssl(*arguments: str, folder: Path) -> tuple[int, str]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl")
    done = subprocess.run(
        [program, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("algorithm", [Algorithm.ES256, Algorithm.SM2])
def test_openssl_refuses_a_certificate_on_the_list_and_takes_the_others(
    tmp_path: Path, algorithm: Algorithm
) -> None:
    keys = KeyStore(tmp_path / "keys", bytes(32))
    sm2 = algorithm is Algorithm.SM2
    authority = Sm2CertificateAuthority(keys) if sm2 else CertificateAuthority(keys)
    first = keys.create("a", algorithm, KeyState.ACTIVE, NOW).kid
    keys.rotate("a", NOW)
    second = keys.signer("a").kid
    for name, kid in (("first", first), ("second", second)):
        leaf, root = ("-----BEGIN" + part for part in authority.chain_pem(kid).split("-----BEGIN")[1:])
        (tmp_path / f"{name}.pem").write_text(leaf)
        (tmp_path / "root.pem").write_text(root)
    # OpenSSL takes the user id of SM2 for certificates, and for lists not yet: those are checked by `seals/revocation.py`.
    verify = [
        "verify",
        *(("-vfyopt", ID) if sm2 else ()),
        "-CAfile",
        "root.pem",
        "-crl_check",
        "-CRLfile",
        "list.pem",
    ]
    for turn, fine in ((0, {"first", "second"}), (1, {"second"})):
        if turn:
            keys.revoke(first, NOW)
        told = revocation_lists(keys, NOW)
        assert len(told) == 1 + sm2
        (tmp_path / "list.der").write_bytes(told[-1])
        code, said = openssl("crl", "-inform", "DER", "-in", "list.der", "-out", "list.pem", folder=tmp_path)
        assert code == 0, said
        taken = {
            name for name in ("first", "second") if openssl(*verify, f"{name}.pem", folder=tmp_path)[0] == 0
        }
        assert taken == (set() if sm2 else fine)
        read = x509.load_der_x509_crl(told[-1])
        assert read.last_update_utc == NOW
        assert read.next_update_utc == NOW + REVOCATION_LIST_LIVES
        assert len(list(read)) == turn
    (entry,) = read
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise
    assert entry.revocation_date_utc == NOW
