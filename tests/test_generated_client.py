"""A Python client that a generator makes from the OpenAPI documents works against a running house."""

from __future__ import annotations

import re
import subprocess
import venv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.identity.assertions import make_assertion
from foundation.identity.principals import Role
from tests.conftest import Service
from tests.zhengtong.conftest import PERSON

GENERATOR = "openapi-python-client>=0.26,<0.30"

KNOWN = re.compile(
    r"application/(.+\+)?json|text/.*|multipart/form-data|application/(x-www-form-urlencoded|octet-stream)"
)


def settings_for(document: dict[str, Any]) -> str:
    """Return the generator's settings for what is no JSON: bytes where it is sent, text where it is answered."""
    sent: set[str] = set()
    answered: set[str] = set()
    for operations in document["paths"].values():
        for operation in operations.values():
            sent.update(operation.get("requestBody", {}).get("content", {}))
            for reply in operation["responses"].values():
                answered.update(reply.get("content", {}))
    taken = dict.fromkeys(answered, "text/plain") | dict.fromkeys(sent, "application/octet-stream")
    lines = [f"  {kind}: {instead}" for kind, instead in sorted(taken.items()) if not KNOWN.fullmatch(kind)]
    return "\n".join(
        ["content_type_overrides:", *(lines or ["  none/none: text/plain"]), "post_hooks: []", ""]
    )


USE = """
import sys
from root_api import Client
from root_api.api.identity import identity_token
from root_api.models import BodyIdentityToken, TokenReply
from exchange_api import AuthenticatedClient
from exchange_api.api.grants import grants_listed
from exchange_api.api.queries import queries_verifications
from exchange_api.models import Problem, VerificationRequest, VerificationResult
from registry_api import Client as Registry
from registry_api.api.licence_types import licence_types_licence_types

base, assertion, subject = sys.argv[1:]
form = BodyIdentityToken.from_dict({
    "grant_type": "client_credentials",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": assertion,
    "resource": "urn:zhengtong:exchange",
})
token = identity_token.sync(client=Client(base_url=base), body=form)
assert isinstance(token, TokenReply), token
asking = AuthenticatedClient(base_url=base + "/exchange", token=token.access_token)

def ask(matter):
    return queries_verifications.sync(client=asking, body=VerificationRequest.from_dict({
        "resource": "persons-basic", "subject": subject, "claims": {"name": "x"}, "matter": matter, "case": "1",
    }))

answered = ask("withdrawal")
assert isinstance(answered, VerificationResult), answered
assert answered.results.to_dict() == {"name": "unknown"}, answered
assert answered.answer.count(".") == 2
refused = ask("something-else")
assert isinstance(refused, Problem), refused
assert refused.type_ == "urn:zhengtong:problem:matter-not-granted", refused
(grant,) = grants_listed.sync(client=asking).grants
assert grant.resource == "persons-basic" and grant.valid_until.year >= 2025
types = licence_types_licence_types.sync(client=Registry(base_url=base + "/registry"))
assert "business-licence" in {each.id for each in types.licence_types}
print("works")
"""


@pytest.mark.thorough
def test_a_generated_client_works(service: Service, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    system = service.system("generated", Role.DEPARTMENT_SYSTEM)
    given = {
        "client_id": "generated",
        "resource": "persons-basic",
        "fields": ["name"],
        "matters": ["withdrawal"],
        "purpose": "公积金提取",
        "legal_basis": "国务院令第809号",
        "valid_from": (now - timedelta(hours=1)).isoformat(),
        "valid_until": (now + timedelta(hours=1)).isoformat(),
    }
    bureau = service.system("data-bureau", Role.SHARING_AUTHORITY)
    assert bureau.call(service.http, "POST", "/exchange/v1/grants", given).status_code == 201

    home = tmp_path / "generator"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", GENERATOR], check=True, timeout=200)
    for name, path in (("root", ""), ("exchange", "/exchange"), ("registry", "/registry")):
        document = tmp_path / f"{name}.json"
        told = service.http.get(f"{path}/openapi.json")
        document.write_bytes(told.content)
        (tmp_path / "config.yaml").write_text(settings_for(told.json()))
        made = subprocess.run(
            [home / "bin" / "openapi-python-client", "generate", "--path", document, "--meta", "none",
             "--config", tmp_path / "config.yaml", "--output-path", tmp_path / f"{name}_api"],
            check=True,
            capture_output=True,
            text=True,
        )  # fmt: skip
        # The generator leaves out what it cannot read, and says so.
        assert "WARNING" not in made.stdout + made.stderr
    assertion = make_assertion("generated", system.key, "1", service.settings.base_url)
    done = subprocess.run(
        [python, "-c", USE, service.settings.base_url, assertion, PERSON],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "works", done.stderr
