"""Packages by themselves: verified by the root alone, long after; and what of the log in them does not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.ledger import leaf_hash
from foundation.signing import encode_base64url
from foundation.signing.chain import load_roots
from license_registry.verifying.archive import make_archive, trust_within, verify_archive
from license_registry.verifying.command import main as verify_alone
from license_registry.verifying.logged import Proof, read_proofs, write_proofs
from license_registry.verifying.trust import TrustUnusable
from tests.license_registry.verifying.conftest import NOW, Registry
from tests.license_registry.verifying.packing import ENTRIES, PROOF, package

HASH = st.binary(min_size=32, max_size=32)
PROOFS = st.lists(
    st.builds(
        Proof,
        record=st.uuids().map(str),
        entry=HASH,
        leaf_index=st.integers(0, 2**40),
        path=st.lists(HASH, max_size=40),
    ),
    unique_by=lambda each: each.leaf_index,
)


@given(PROOFS)
def test_proofs_are_read_as_they_were_written(proofs: list[Proof]) -> None:
    written = write_proofs(proofs)
    assert read_proofs(written) == sorted(proofs, key=lambda each: each.leaf_index)
    assert write_proofs(reversed(proofs)) == written


@given(st.binary() | st.recursive(st.none() | st.text() | st.integers(0, 9), st.lists).map(orjson.dumps))
def test_what_is_no_file_of_proofs_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no file of proofs"):
        read_proofs(data)


def test_the_root_is_enough_long_after(
    made: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert datetime.now(UTC) - NOW > timedelta(days=30), "the bundle inside has run out long ago"
    (tmp_path / "package").write_bytes(package(made, NOW))
    (tmp_path / "root").write_bytes(made.root)
    code = verify_alone([str(tmp_path / "package"), "--root", str(tmp_path / "root"), "--json"])
    found = orjson.loads(capsys.readouterr().out)
    assert (code, found["result"]) == (0, 0), found
    assert found["checks"] == dict.fromkeys(("signature", "certificate", "issuer", "digests", "log"), True)


@pytest.mark.parametrize(
    ("proof", "changes"),
    [
        (replace(PROOF, path=[leaf_hash(ENTRIES[0])]), {}),
        (replace(PROOF, leaf_index=1), {}),
        (replace(PROOF, leaf_index=2), {}),
        (replace(PROOF, path=[b"short"]), {}),
        (replace(PROOF, record="another"), {}),
        (PROOF, {"entry": encode_base64url(ENTRIES[1])}),
        (PROOF, {"record": "another"}),
        (PROOF, {"log": "another.example/ledger"}),
    ],
)
def test_a_record_that_is_not_proved_is_named(made: Registry, proof: Proof, changes: dict[str, Any]) -> None:
    found = verify_archive(package(made, NOW, proof, **changes), "package", made.trust())
    assert {name for name, passed in found.checks.items() if passed is False} == {"log"}
    assert not found.valid


def test_a_log_key_that_is_not_trusted_is_said_so(made: Registry) -> None:
    data = package(made, NOW)
    trust = made.trust()
    log = next(kid for kid, key in trust.keys.items() if key.purpose == "ledger")
    without = replace(trust, keys={kid: key for kid, key in trust.keys.items() if kid != log})
    found = verify_archive(data, "package", without)
    assert (found.checks["log"], found.valid) == (None, True)
    revoked = replace(trust, keys={**trust.keys, log: replace(trust.keys[log], revoked_at=NOW)})
    found = verify_archive(data, "package", revoked)
    assert (found.checks["log"], found.valid) == (False, False)


def test_what_a_package_brings_along_counts_only_under_the_root(made: Registry) -> None:
    roots = load_roots(made.root)
    data = package(made, NOW)
    assert trust_within(data, "package", roots).made_at == NOW
    bare = make_archive(made.signer, {"documents/a": b"a"}, {"matter": "m", "case": "c"}, NOW)
    for brought, under in ((bare, roots), (data, ())):
        with pytest.raises(TrustUnusable):
            trust_within(brought, "package", under)
