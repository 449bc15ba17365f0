"""The chapter on electronic seals: the house issues nothing before the authority has its seal in use."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import httpx

from demonstration.parties import System
from demonstration.transcript import Transcript
from foundation.language import _

SEALS = "/registry/v1/seals"
LEGAL_NAME = "01"


def tell_seal(
    told: Transcript, http: httpx.Client, authority: System, issue: Callable[[], httpx.Response]
) -> None:
    """Tell it: have the authority's seal made and put into use, or find it so where the story is told again.

    Args:
        issue: asks for a licence, which is refused as long as there is no seal.
    """
    with told.chapter(_("The market regulator has its electronic seal made and puts it into use")):
        # The same id each time, so that there is one seal however often the story is told.
        seal_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{SEALS}/{authority.department}/{LEGAL_NAME}")
        path = f"{SEALS}/{seal_id}"
        if authority.call(http, "GET", path).status_code == 404:
            refused = issue()
            # 200: it was issued in an earlier telling, by a house that did not ask for seals yet.
            told.expect(
                _("before that, no licence is issued"),
                refused.status_code == 200 or refused.json()["type"].endswith(":seal-lacking"),
            )
            wanted = {"id": str(seal_id), "kind": LEGAL_NAME, "name": authority.name}
            authority.call(http, "POST", SEALS, wanted)
        found = authority.call(http, "GET", path)
        if found.is_success and found.json()["state"] == "made":
            found = authority.call(http, "POST", f"{path}/operations", {"operation": "use"})
        told.expect(_("the seal is in use"), found.is_success and found.json()["state"] == "in-use")
        if found.is_success:
            told.fact(_("electronic seal"), f"{found.json()['name']} {seal_id}")
