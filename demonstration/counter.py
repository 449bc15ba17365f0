"""The chapter on the plan: a counter asks the exchange for all that a matter needs, and the applicant says the rest."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import httpx
import orjson

from demonstration.city import Person
from demonstration.parties import System, sign_in
from demonstration.transcript import Transcript
from foundation.language import _

EXAMPLE = "housing-fund-rent"
FIELDS = ("name", "marital_status", "residence_division")


def tell_plan(
    told: Transcript, http: httpx.Client, housing: System, sharing: System, person: Person, case: str
) -> list[str]:
    """Tell it; return the signed answers that settled something.

    Args:
        person: lives in the city and is married.
    """
    matter = _publish(http, sharing)
    code = matter["code"]
    with told.chapter(_("A counter asks for the plan of a matter instead of asking for papers")):
        told.fact(_("matter"), f"{matter['title']} {code}")
        told.fact(_("papers that it asks for"), len(matter["materials"]))
        granted = sharing.call(http, "POST", "/exchange/v1/grants", _grant(housing, matter))
        told.expect(_("the sharing authority gives a grant"), granted.status_code == 201)
        made = housing.call(
            http,
            "POST",
            f"/exchange/v1/matters/{code}/plan",
            {
                "case": case,
                "subjects": {"applicant": person.citizen_id},
                "inputs": {
                    "name": person.name,
                    "marital_status": "married",
                    "residence_division": person.residence_division,
                },
                "brought": ["form"],
            },
            {"Idempotency-Key": str(uuid.uuid4())},
        ).json()
        states = {each["id"]: each["state"] for each in made["materials"]}
        for each in made["materials"]:
            told.fact(_("  material"), f"{each['name']}: {each['state']}")
        told.expect(
            _("what the register knows is settled, the rest by consent or by commitment"),
            states
            == {
                "form": "brought",
                "identity": "settled",
                "marriage": "by-consent",
                "residence": "settled",
                "no-home": "by-commitment",
            },
        )
    with told.chapter(_("The applicant releases one piece of evidence and signs one commitment")):
        me = {"Authorization": f"Bearer {sign_in(http, person.citizen_id, person.name)}"}
        told.expect(_("they see first what would go, and release it"), _consent(http, me, case))
        told.expect(_("they read the text, and sign for it"), _commit(http, me, case))
        evidence = housing.call(http, "GET", f"/exchange/v1/cases/{case}/evidence").json()
        newest = max(evidence["plans"], key=lambda plan: str(plan["made_at"]))
        settled = sum(each["state"] == "settled" for each in newest["materials"])
        told.expect(_("nothing is left to bring"), settled == len(newest["materials"]) - 1)
        saved = sharing.call(http, "GET", "/exchange/v1/statistics/proofs-saved").json()
        told.fact(_("papers that nobody had to bring so far"), saved["total"])
    return [each["answer"] for each in made["answers"]]


def _publish(http: httpx.Client, sharing: System) -> dict[str, Any]:
    path = resources.files("schemas") / "matters" / "examples" / f"{EXAMPLE}.json"
    matter: dict[str, Any] = orjson.loads(path.read_bytes())
    at = f"/exchange/v1/matters/{matter['code']}/versions/{matter['version']}"
    if http.get(f"/exchange/v1/matters/{matter['code']}").status_code == 404:
        sharing.call(http, "PUT", at, matter).raise_for_status()
        sharing.call(http, "PUT", f"{at}/publication").raise_for_status()
    return matter


def _grant(housing: System, matter: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "client_id": housing.client_id,
        "resource": "persons-basic",
        "fields": list(FIELDS),
        "matters": [matter["code"]],
        "purpose": matter["purpose"],
        "legal_basis": matter["legal_basis"],
        "valid_from": (now - timedelta(minutes=1)).isoformat(),
        "valid_until": (now + timedelta(days=365)).isoformat(),
    }


def _consent(http: httpx.Client, me: dict[str, str], case: str) -> bool:
    asked = http.get("/exchange/v1/me/consents", headers=me).json()["consents"]
    (offer,) = (each["id"] for each in asked if each["case"] == case and each["state"] == "offered")
    at = f"/exchange/v1/me/consents/{offer}"
    steps = (
        http.post(f"{at}/request", headers=me),
        http.get(f"{at}/preview", headers=me),
        http.post(f"{at}/release", headers=me),
    )
    return all(step.is_success for step in steps)


def _commit(http: httpx.Client, me: dict[str, str], case: str) -> bool:
    offered = http.get("/exchange/v1/me/commitments", headers=me).json()["offered"]
    (offer,) = (each for each in offered if (each["case"], each["material"]) == (case, "no-home"))
    signed = http.post(
        f"/exchange/v1/me/commitments/{offer['id']}/signature",
        headers=me,
        json={"text_sha256": offer["text_sha256"]},
    )
    return signed.is_success
