"""What a wallet shows (OpenID4VP 1.0 §8, in clear or encrypted): verified, recorded, kept for who asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from foundation.identity.principals import Principal, Role
from foundation.language import _, both
from foundation.signing import canonical_json
from license_registry import tables as licences
from license_registry.audit.event import happened
from license_registry.catalog.types import require_type
from license_registry.credentials.errors import CredentialInvalid
from license_registry.credentials.key_binding import ExpectedBinding
from license_registry.credentials.sd_jwt import Credential
from license_registry.credentials.sd_jwt_vc import verify_vc
from license_registry.issuing.errors import HolderEnded
from license_registry.lifecycle.states import STATE_NAMES
from license_registry.lifecycle.status_lists import PURPOSE
from license_registry.linked_change.standing import require_standing
from license_registry.ports import Registry
from license_registry.presenting.own_trust import current_trust
from license_registry.tables import Licence
from license_registry.verifying.credential import CREDENTIAL_KIND
from license_registry.verifying.licence import Shown, judge
from license_registry.verifying.verdict import Verdict
from license_registry.wallets import tables
from license_registry.wallets.encryption import opened
from license_registry.wallets.errors import AnswerRefused
from license_registry.wallets.requests import QUERY_ID, client_id, open_request, response_key
from license_registry.wallets.tables import AskedOfWallet


@dataclass(frozen=True, slots=True)
class Answer:
    """The form that a wallet sends: `vp_token` (as JSON) and `state`, or both encrypted within `response`."""

    vp_token: str
    state: str
    response: str


async def take_answer(registry: Registry, request_id: str, answer: Answer, now: datetime) -> None:
    """Take a wallet's answer to a request.

    1. Find the request; it is answered once, in time.
    2. Open it, where it was to be encrypted to the key of this request: what comes in clear then is not taken.
    3. Verify the presentation: issuer, disclosures, type, and that the holder's key signed for this verifier and
       this nonce. What does not hold leaves the request open, for whoever sent it may not be the holder.
    4. Judge the licence as it is now, as a counter's other ways do. Its holder still is: a key that signs for somebody
       dead is in other hands.
    5. Store the outcome, sealed, and record who verified it for which case, in one transaction: dying before its
       end, the wallet can answer again.

    Dates are part of the outcome, not of what is refused here: the department is to learn that a licence is over.

    Raises:
        NotFound: no such request, answered, or expired. AnswerRefused: not what was asked, or it does not hold.
    """
    asked = await open_request(registry, request_id, now)
    state, vp_token = _read(registry, asked, answer)
    if state != asked.id:
        raise AnswerRefused(_("the answer is for another request"))
    credential = _verified(registry, asked, _presentation(vp_token), now)
    licence = await licences.find(registry.pool, str(credential.claims.get("licence_identifier")))
    if licence is None:
        raise AnswerRefused(_("the credential names no licence of this registry"))
    try:
        await require_standing(registry, licence)
    except HolderEnded as error:
        raise AnswerRefused(error.message) from error
    if credential.claims.get("issuer_code") != licence.issuer:
        raise AnswerRefused(_("the identifier names another issuer"))
    presented = {"purpose": asked.purpose, "matter": asked.matter}
    kid = str(credential.header["kid"])
    shown = Shown(CREDENTIAL_KIND, kid, credential, binding=True, presented=presented)
    verdict = judge(shown, current_trust(registry, now), now, require_status=True, state=licence.state)
    sealed = registry.vault.seal(
        canonical_json(_outcome(registry, asked, licence, verdict)), asked.id.encode()
    )
    verifier = Principal(asked.client_id, asked.department, frozenset({Role.COUNTER}))
    async with registry.pool.acquire() as connection, connection.transaction():
        if not await tables.answer_request(connection, asked.id, sealed, now):
            raise AnswerRefused(_("the request was answered before"))
        await licences.add_event(
            connection,
            happened(
                "wallet-presentation-verified",
                licence.identifier,
                verifier,
                now,
                result=int(verdict.result),
                fields=sorted(credential.disclosed),
                purpose=asked.purpose,
                matter=asked.matter,
                case=asked.case,
                presenter=None if licence.presenter is None else licence.presenter.hex(),
            ),
        )


def _read(registry: Registry, asked: AskedOfWallet, answer: Answer) -> tuple[object, object]:
    """Return `state` and `vp_token`, parsed, from whichever form was asked for."""
    private = response_key(registry, asked)
    if private is None:
        if answer.response:
            raise AnswerRefused(_("the answer was not to be encrypted"))
        try:
            return answer.state, orjson.loads(answer.vp_token)
        except orjson.JSONDecodeError as error:
            raise AnswerRefused(_("vp_token is not JSON")) from error
    if answer.vp_token or not answer.response:
        raise AnswerRefused(_("the answer was to be encrypted"))
    said = opened(private, answer.response)
    return said.get("state"), said.get("vp_token")


def _presentation(said: object) -> str:
    match said:
        case dict() if list(said) == [QUERY_ID]:
            pass
        case _:
            raise AnswerRefused(_("vp_token holds another thing than one presentation of what was asked"))
    match said[QUERY_ID]:
        case [str(presentation)]:
            return presentation
        case _:
            raise AnswerRefused(_("vp_token holds another thing than one presentation of what was asked"))


def _verified(registry: Registry, asked: AskedOfWallet, presentation: str, now: datetime) -> Credential:
    binding = ExpectedBinding(client_id(registry), asked.nonce, int(now.timestamp()))
    wanted = require_type(registry.types, asked.licence_type)
    try:
        credential = verify_vc(
            presentation,
            registry.keys.verification_keys(PURPOSE),
            now=None,
            vct=wanted.vct,
            binding=binding,
        )
    except CredentialInvalid as error:
        raise AnswerRefused(_("the presentation does not hold: {reason}"), reason=str(error)) from error
    shown = {**credential.claims, **credential.disclosed}
    for name in asked.fields:
        if name not in shown:
            raise AnswerRefused(_("the presentation lacks {field}"), field=name)
    return credential


def _outcome(registry: Registry, asked: AskedOfWallet, licence: Licence, verdict: Verdict) -> dict[str, Any]:
    wanted = require_type(registry.types, asked.licence_type)
    # A wallet may show more than was asked: what nobody asked for is not kept.
    unasked = set(wanted.schema["properties"]).difference(asked.fields, wanted.always_disclosed)
    return {
        "result": int(verdict.result),
        "checks": dict(verdict.checks),
        "reasons": {name: both(message, **values) for name, (message, values) in verdict.reasons.items()},
        "state": licence.state.value,
        "state_name": both(STATE_NAMES[licence.state]),
        "identifier": licence.identifier,
        "fields": {name: value for name, value in verdict.fields.items() if name not in {*unasked, "cnf"}},
    }
