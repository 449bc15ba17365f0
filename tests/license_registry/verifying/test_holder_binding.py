"""Demanding that the holder's key signed a presentation for this verifier, by the small verifier's command."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from foundation.signing import Algorithm, new_signer
from license_registry.credentials import sd_jwt
from license_registry.credentials.key_binding import ExpectedBinding, confirmation
from license_registry.verifying.command import main
from license_registry.verifying.errors import FileUnreadable
from license_registry.verifying.file import Ways, verify_bytes
from tests.license_registry.verifying.conftest import NOW, Registry

HOLDER = new_signer(Algorithm.ES256, "")
THIEF = new_signer(Algorithm.ES256, "")
EXPECTED = ExpectedBinding("counter", "n-1", int(NOW.timestamp()), 120)


def shown(made: Registry, signer: Any = HOLDER, **changes: Any) -> str:
    credential = made.credential(cnf=confirmation(HOLDER.public))
    given = {"audience": "counter", "nonce": "n-1", "now": int(NOW.timestamp())} | changes
    return sd_jwt.bind(credential, signer, **given)


def test_what_the_holder_signed_for_this_question_is_valid(made: Registry) -> None:
    verdict = verify_bytes(shown(made).encode(), "shown", made.trust(), NOW, Ways(expected=EXPECTED))
    assert verdict.valid
    assert verdict.checks["holder_binding"] is True


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audience": "other"}, "audience-differs"),
        ({"nonce": "n-2"}, "nonce-differs"),
        ({"now": int(NOW.timestamp()) - 200}, "too-old"),
        ({"now": int(NOW.timestamp()) + 100}, "not-yet-made"),
        ({"signer": THIEF}, "signature-wrong"),
    ],
    ids=["audience", "nonce", "old", "future", "thief"],
)
def test_a_binding_that_does_not_hold_is_told_beside_the_other_checks(
    made: Registry, changes: dict[str, Any], reason: str
) -> None:
    verdict = verify_bytes(
        shown(made, **changes).encode(), "shown", made.trust(), NOW, Ways(expected=EXPECTED)
    )
    assert not verdict.valid
    assert (verdict.checks["holder_binding"], verdict.checks["signature"]) == (False, True)
    assert reason in verdict.as_json()["reasons"]["holder_binding"]
    assert not verdict.fields


def test_without_binding_or_by_another_issuer_nothing_is_valid(made: Registry) -> None:
    bare = made.credential(cnf=confirmation(HOLDER.public)).encode()
    verdict = verify_bytes(bare, "bare", made.trust(), NOW, Ways(expected=EXPECTED))
    assert (verdict.valid, verdict.checks["holder_binding"]) == (False, False)
    token, _dot, rest = shown(made).partition(".")
    forged = verify_bytes(
        f"{token}.{rest.replace('~', 'A~', 1)}".encode(), "forged", made.trust(), NOW, Ways(expected=EXPECTED)
    )
    assert forged.checks == {"signature": False}
    with pytest.raises(FileUnreadable):
        verify_bytes(b"a.b.c", "answer", made.trust(), NOW, Ways(expected=EXPECTED))


def test_the_command_demands_it(made: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    (tmp_path / "root").write_bytes(made.root)
    (tmp_path / "bundle").write_bytes(made.bundle(now, lists={}))
    (tmp_path / "shown").write_text(shown(made, now=int(time.time())), encoding="ascii")
    asked = [str(tmp_path / "shown"), "--bundle", str(tmp_path / "bundle"), "--root", str(tmp_path / "root")]
    checks = []
    for nonce in ("n-1", "n-2"):
        main([*asked, "--json", "--audience", "counter", "--nonce", nonce])
        checks.append(orjson.loads(capsys.readouterr().out)["checks"]["holder_binding"])
    assert checks == [True, False]
    with pytest.raises(SystemExit):
        main([*asked, "--nonce", "n-1"])
