"""The chapters of the applicant: a licence is shown at a counter, and seen revoked there a moment later."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from demonstration.parties import System, sign_in, unverified_claims
from demonstration.transcript import Transcript
from foundation.language import _


def tell_presenting(
    told: Transcript,
    http: httpx.Client,
    market: System,
    counter: System,
    licence: dict[str, Any],
    folder: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Tell them.

    Args:
        market: issued the licence, and revokes it.
        folder: for what an offline verifier is given.
        command: runs `zhengtong` with arguments.
    """
    with told.chapter(_("An applicant presents a licence, a counter verifies it")):
        token = sign_in(http, licence["representative_id"], str(licence["representative_name"]))
        person = {"Authorization": f"Bearer {token}"}

        def show() -> str:
            made = http.post(
                "/registry/v1/presentations",
                headers=person,
                json={
                    "identifier": licence["identifier"],
                    "disclose": ["representative_name"],
                    "purpose": "办理食品经营许可",
                    "matter": "food-permit",
                },
            )
            made.raise_for_status()
            return str(made.json()["qr"])

        def look(code: str) -> httpx.Response:
            body = {"code": code, "case": "食品许可 2025-000007"}
            return counter.call(http, "POST", "/registry/v1/presentations/verify", body)

        own = http.get("/registry/v1/me/licences", headers=person).json()["licences"]
        told.fact(_("licences of the applicant"), len(own))
        credential = http.get(f"/registry/v1/me/licences/{licence['identifier']}/credential", headers=person)
        (folder / "licence.sdjwt").write_text(credential.text, encoding="ascii")
        code = show()
        seen = look(code)
        body = seen.json()
        told.fact(_("QR text"), code)
        told.expect(_("the counter sees it valid"), seen.status_code == 200 and body["result"] == 0)
        told.expect(
            _("only the chosen fields are shown"),
            "representative_name" in body["fields"] and "address" not in body["fields"],
        )
        told.expect(_("the code works once"), look(code).status_code == 409)
        later = show()
    with told.chapter(_("The issuer revokes the licence")):
        revoked = market.call(
            http,
            "POST",
            f"/registry/v1/licences/{licence['identifier']}/operations",
            {"operation": "05", "target": "07", "reason": "严重违法经营"},
        )
        told.expect(_("the issuer revokes it"), revoked.status_code == 200)
        started = time.perf_counter()
        seen = look(later)
        told.expect(
            _("the counter sees it revoked"), seen.json()["result"] == 3 and seen.json()["state"] == "07"
        )
        told.fact(_("seconds until seen"), round(time.perf_counter() - started, 3))
        claims = unverified_claims(credential.text)
        time.sleep(1.1)
        uri = claims["status"]["status_list"]["uri"]
        (folder / "status-list.jwt").write_text(http.get(uri).text, encoding="ascii")
        offline = command(
            "verify", str(folder / "licence.sdjwt"),
            "--status-list", str(folder / "status-list.jwt"), "--json",
        )  # fmt: skip
        told.expect(
            _("an offline verifier with the status list sees it too"),
            offline.returncode == 1 and json.loads(offline.stdout)["checks"]["status"] is False,
        )
