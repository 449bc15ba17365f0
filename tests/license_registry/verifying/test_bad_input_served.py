"""Bad licences brought to the running service: forged with its very keys where that is what is bad, each told why."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from click.testing import CliRunner

from demonstration.parties import System
from foundation.identifiers import ElicenceIdentifier, Uscc
from foundation.identity.principals import Role
from foundation.settings import Settings
from foundation.signing import Algorithm, CertificateAuthority, KeyState, KeyStore, Signer
from license_registry.credentials import sd_jwt
from license_registry.credentials.sd_jwt import Credential
from license_registry.verifying.offline_code import make_code
from tests.conftest import MARKET, Service, free_port, fresh_database, serving
from tests.license_registry.conftest import PERSON, issue, issued, problem
from tests.license_registry.verifying import test_bad_input
from tests.license_registry.verifying.test_bad_input import FORGED
from zhengtong.cli import main
from zhengtong.house_keys import open_keys

ROOT = "/registry/v1"
OTHER_AUTHORITY = str(Uscc.compute("11990100MB2A00007"))


@dataclass
class Made:
    """A licence of the service, and what signs in its name: as `Registry` of the other tests of bad input."""

    keys: KeyStore
    lead: Credential

    @property
    def signer(self) -> Signer:
        return self.keys.signer("credential")

    def claims(self, **changes: Any) -> dict[str, Any]:
        claims = {**self.lead.claims, **changes}
        return {name: value for name, value in claims.items() if value is not ...}

    def credential(self, signer: Signer | None = None, **changes: Any) -> str:
        return sd_jwt.issue(signer or self.signer, self.claims(**changes), self.lead.disclosed)

    def code(self, signer: Signer | None = None, made: datetime | None = None, lives: int = 600) -> str:
        """A signed code for offline use."""
        shown = sd_jwt.verify(self.credential(), {self.signer.kid: self.signer.public})
        presented = {"purpose": "备查", "matter": "m-1"}
        now = int((made or datetime.now(UTC)).timestamp())
        return make_code(
            signer or self.signer, secrets.token_bytes(16), shown, presented, now=now, lives=lives
        )


def made_of(service: Service, authority: System) -> Made:
    identifier = issued(service, authority)["identifier"]
    path = f"{ROOT}/me/licences/{identifier}/credential"
    text = service.http.get(path, headers=service.person(PERSON)).text
    keys = open_keys(service.settings, datetime.now(UTC))
    return Made(keys, sd_jwt.verify(text, keys.verification_keys("credential")))


@pytest.fixture(scope="module")
def service(
    server_address: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A house whose business licences one authority issues."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "licence_types" / "business-licence" / "2"
    shutil.copytree(
        Path(str(resources.files("schemas"))) / "licence_types" / "business-licence" / "1", folder
    )
    told = orjson.loads((folder / "type.json").read_bytes())
    told |= {"version": 2, "vct": "urn:zhengtong:licence:business-licence:2"}
    told["type_code"] = {"value": "11100000MB0143028R009", "confidence": "guess"}
    told["issuing_authorities"]["codes"] = [MARKET]
    (folder / "type.json").write_bytes(orjson.dumps(told))
    with fresh_database(server_address, template) as address:
        settings = Settings(
            home=home,
            database_url=address,
            listen_port=free_port(),
            development_issuer=True,
            sequence_interval_seconds=0.05,
            holder_register="if-known",
        )
        with serving(settings, address) as running:
            yield running


@pytest.fixture(scope="module")
def made(service: Service, authority: System) -> Made:
    return made_of(service, authority)


@pytest.fixture(scope="module")
def upload(service: Service, counter: System) -> Callable[[str], dict[str, Any]]:
    token = counter.token(service.http, "urn:zhengtong:license-registry")

    def send(text: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        path = f"{ROOT}/file-verifications?case=2025-1"
        reply = service.http.post(path, content=text.encode(), headers=headers)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    return send


Upload = Callable[[str], dict[str, Any]]


def at_counter(service: Service, counter: System, code: str) -> httpx.Response:
    body = {"code": code, "case": "2025-1"}
    return counter.call(service.http, "POST", f"{ROOT}/presentations/verify", body)


def failing(found: dict[str, Any]) -> list[str]:
    return [name for name, passed in found["checks"].items() if passed is False]


def test_what_is_not_forged_is_valid(service: Service, counter: System, upload: Upload, made: Made) -> None:
    found = upload(made.credential())
    assert (found["result"], failing(found)) == (0, [])
    assert at_counter(service, counter, made.code()).json()["result"] == 0


@pytest.mark.parametrize(("forge", "words"), FORGED, ids=[forge.__name__ for forge, _ in FORGED])
def test_what_is_forged_shows_nothing(
    upload: Upload, made: Made, forge: Callable[[Any], str], words: str
) -> None:
    """Forged signature, disclosed field swapped, `none`, HS256 with the public key, unknown `crit`."""
    found = upload(forge(made))
    assert (found["result"], found["valid"], found["fields"]) == (3, False, {})
    assert found["checks"] == {"signature": False}
    assert words in found["problem"]


CHANGED: dict[str, tuple[Callable[[Made], dict[str, Any]], str, str]] = {
    "wrong check character": (
        lambda made: {
            "licence_identifier": test_bad_input.wrong_check_character(made.claims()["licence_identifier"])
        },
        "identifier",
        "wrong-check-character",
    ),
    "unknown version of the type": (
        lambda made: {"vct": made.claims()["vct"].rpartition(":")[0] + ":9"},
        "type",
        "not known here",
    ),
    "another issuer than the identifier names": (
        lambda _made: {"issuer_code": OTHER_AUTHORITY},
        "issuer",
        "names another issuer",
    ),
    "ended": (lambda _made: {"valid_until": "2021-01-01"}, "not_over", "2021-01-01"),
    "not begun": (lambda _made: {"valid_from": "2098-01-01"}, "begun", "2098-01-01"),
    "signed by a clock that is two minutes fast": (
        lambda _made: {"iat": int(time.time()) + 120},
        "clock",
        "signed in the future",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_well_signed_but_wrong_fails_its_check(upload: Upload, made: Made, name: str) -> None:
    change, check, words = CHANGED[name]
    found = upload(made.credential(**change(made)))
    assert (found["valid"], failing(found)) == (False, [check])
    assert words in found["reasons"][check]


def test_a_clock_that_is_half_a_minute_fast_is_no_reason(upload: Upload, made: Made) -> None:
    assert upload(made.credential(iat=int(time.time()) + 30))["valid"]


def test_a_key_for_something_else_signs_no_licence(
    service: Service, counter: System, upload: Upload, made: Made
) -> None:
    answers = made.keys.signer("answer")
    found = upload(made.credential(answers))
    assert (found["result"], failing(found), found["fields"]) == (3, ["issuer"], {})
    assert "answer" in found["reasons"]["issuer"]
    shown = at_counter(service, counter, made.code(answers)).json()
    assert (shown["result"], failing(shown), shown["fields"]) == (3, ["issuer"], {})
    # One of the house, but for other things than verifying anything here.
    found = upload(made.credential(made.keys.signer("access-token")))
    assert (found["checks"], found["fields"]) == ({"signature": False}, {})


def test_an_authority_that_may_not_issue_a_type_gets_none_and_its_licences_count_for_nothing(
    service: Service, upload: Upload, made: Made
) -> None:
    other = service.system("other-authority", Role.ISSUING_AUTHORITY, department=OTHER_AUTHORITY)
    named = ElicenceIdentifier.parse(made.claims()["licence_identifier"])
    identifier = str(ElicenceIdentifier.compute(named.type_code, OTHER_AUTHORITY, "20260000403", 1))
    found = upload(made.credential(issuer_code=OTHER_AUTHORITY, licence_identifier=identifier))
    assert (found["result"], failing(found), found["fields"]) == (3, ["issuer"], {})
    assert "may not issue" in found["reasons"]["issuer"]
    assert problem(issue(service, other)) == (403, "issuer-not-entitled")


def test_a_late_or_copied_code_is_refused(service: Service, counter: System, made: Made) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert problem(at_counter(service, counter, made.code(made=yesterday))) == (410, "code-expired")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert problem(at_counter(service, counter, made.code(made=tomorrow))) == (410, "code-expired")
    text = made.code()
    assert at_counter(service, counter, text).status_code == 200
    assert problem(at_counter(service, counter, text)) == (409, "code-used")


def test_an_expired_certificate_is_told(
    service: Service, authority: System, counter: System, upload: Upload
) -> None:
    made = made_of(service, authority)
    begun = datetime.now(UTC) - timedelta(days=3 * 365)
    record = made.keys.create("credential", Algorithm.ES256, KeyState.NEXT, begun)
    CertificateAuthority(made.keys).issue(record.kid, begun)
    made.keys.rotate("credential", datetime.now(UTC))
    assert made.signer.kid == record.kid
    text, code = made.credential(), made.code()
    made.keys.rotate("credential", datetime.now(UTC))
    time.sleep(2.2)  # a key that another process made is known within two seconds
    found = upload(text)
    assert (found["result"], failing(found)) == (3, ["certificate"])
    assert "expired" in found["reasons"]["certificate"]
    assert at_counter(service, counter, code).json()["result"] == 3


def test_a_signer_that_was_revoked_counts_for_nothing_within_two_seconds(
    service: Service, authority: System, counter: System, upload: Upload
) -> None:
    made = made_of(service, authority)
    text, code, kid = made.credential(), made.code(), made.signer.kid
    online = service.http.post(
        f"{ROOT}/presentations",
        json={
            "identifier": made.claims()["licence_identifier"],
            "disclose": [],
            "purpose": "备查",
            "matter": "m-1",
        },
        headers=service.person(PERSON),
    ).json()["code"]
    assert upload(text)["valid"]
    home = ["--home", str(service.settings.home)]
    assert CliRunner().invoke(main, [*home, "keys", "rotate", "credential"]).exit_code == 0
    assert CliRunner().invoke(main, [*home, "keys", "revoke", kid]).exit_code == 0
    time.sleep(2.2)
    found = upload(text)
    assert (found["result"], failing(found), found["fields"]) == (3, ["issuer"], {})
    assert "revoked" in found["reasons"]["issuer"]
    for each in (code, online):
        reply = at_counter(service, counter, each)
        shown = reply.json()
        assert reply.status_code == 422 or shown["result"] == 3, shown
        assert not shown.get("fields")
    # The next licence is signed by the key that took its place.
    assert upload(made_of(service, authority).credential())["valid"]
