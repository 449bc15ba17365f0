"""One call from beginning to end, as steps that a driver carries out.

1. A token is at hand, or is fetched; while it is, others who need one wait for the same.
2. The request is sent. What went wrong on the way, or a passing refusal, leads to a wait and another attempt, if
   sending again does no harm.
3. A token that the service does not know any more is dropped, and the request sent once more with a new one: it was
   turned away unread.
4. The reply is read, or raised as the problem that it is.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import httpx
import orjson

from foundation.calling.calls import Call, problem_of
from foundation.calling.errors import ProblemError, ReplyUnreadable, Unreachable
from foundation.calling.retrying import Patience, arrived, may_repeat, retry_after, wait_before
from foundation.calling.tokens import Identity, Token, TokenCache, read_token, token_form

Result = TypeVar("Result")

REDIRECTS: Final = range(300, 400)
_NEW_TOKEN: Final = frozenset({"token-unknown", "token-expired"})


@dataclass(frozen=True, slots=True)
class Send:
    """A request to send; the driver gives back the reply, or throws the httpx.TransportError in."""

    request: httpx.Request


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds to wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Renew:
    """A token for this audience is needed; the driver carries out `renewal`, one at a time, and gives it back."""

    audience: str


Step = Send | Wait | Renew
Steps = Generator[Step, Any, Result]


def _luck() -> float:
    return secrets.randbelow(1 << 20) / (1 << 20)


@dataclass(frozen=True, slots=True)
class Party:
    """Who talks to whom, and what both conversations share.

    Args:
        address: of the service, without a trailing slash.
        identity: of a registered system; None where `bearer` or nothing stands in its place.
        issuer: by which its authorisation server names itself; the address unless it is reached another way.
        bearer: a token that somebody else got, such as the ID token of a person; it is not renewed here.
        now: gives seconds since the epoch.
        luck: gives a number from 0 to 1.
    """

    address: str
    identity: Identity | None
    issuer: str
    timeout: float
    bearer: str | None = field(default=None, repr=False)
    patience: Patience = field(default_factory=Patience)
    tokens: TokenCache = field(default_factory=TokenCache)
    now: Callable[[], float] = time.time
    luck: Callable[[], float] = _luck


def conversation(party: Party, call: Call[Result]) -> Steps[Result]:
    """Make one call.

    Raises:
        ProblemError, Unreachable, ReplyUnreadable: as they say.
    """
    renewed = False
    while True:
        token = party.bearer
        if call.audience is not None and party.bearer is None:
            token = party.tokens.good(call.audience, party.now())
            if token is None:
                token = yield Renew(call.audience)
        request = _request(party, call, token)
        reply = yield from _attempts(party, lambda request=request: request, call.repeatable)  # type: ignore[misc]
        if reply.is_success:
            return call.read(reply)
        if reply.status_code in REDIRECTS:
            raise ReplyUnreadable("the service sends elsewhere; nothing is sent there")
        problem = problem_of(reply, retry_after(reply, party.now()))
        if (
            problem.code not in _NEW_TOKEN
            or call.audience is None
            or token in (None, party.bearer)
            or renewed
        ):
            raise ProblemError(problem)
        party.tokens.drop(call.audience, str(token))
        renewed = True


def renewal(party: Party, audience: str) -> Steps[Token]:
    """Fetch a token; each attempt with an assertion of its own, since each holds once.

    Raises:
        ProblemError, Unreachable, ReplyUnreadable: as they say.
    """
    if party.identity is None:
        raise ValueError("a token needs an identity")
    identity = party.identity
    asked = party.now()

    def request() -> httpx.Request:
        form = token_form(identity, party.issuer, audience, party.now())
        return httpx.Request(
            "POST",
            f"{party.address}/oauth2/token",
            data=form,
            headers={"Accept": "application/json"},
            extensions=_timeouts(party.timeout),
        )

    reply = yield from _attempts(party, request, True)
    if not reply.is_success:
        raise ProblemError(problem_of(reply, retry_after(reply, party.now())))
    token = read_token(reply, asked)
    party.tokens.keep(audience, token)
    return token


def _attempts(party: Party, make: Callable[[], httpx.Request], repeatable: bool) -> Steps[httpx.Response]:
    attempt = 1
    while True:
        outcome: httpx.Response | httpx.TransportError
        asked = None
        try:
            reply: httpx.Response = yield Send(make())
        except httpx.TransportError as error:
            outcome = error
        else:
            if reply.is_success or not may_repeat(repeatable, reply):
                return reply
            outcome, asked = reply, retry_after(reply, party.now())
        attempt += 1
        wait = wait_before(attempt, asked, party.patience, party.luck())
        if wait is None or not may_repeat(repeatable, outcome):
            if isinstance(outcome, httpx.Response):
                return outcome
            late = isinstance(outcome, httpx.TimeoutException)
            raise Unreachable(
                f"no reply: {type(outcome).__name__}", sent=arrived(outcome), late=late
            ) from outcome
        yield Wait(wait)


def _request(party: Party, call: Call[Any], token: str | None) -> httpx.Request:
    headers = {"Accept": "application/json, */*;q=0.5", **call.headers}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    content = call.content
    if call.json is not None:
        content = orjson.dumps(call.json)
    if content is not None:
        headers["Content-Type"] = call.content_type
    return httpx.Request(
        call.method,
        party.address + call.path,
        params=dict(call.params) or None,
        headers=headers,
        content=content,
        extensions=_timeouts(party.timeout if call.timeout is None else call.timeout),
    )


def _timeouts(seconds: float) -> dict[str, Any]:
    return {"timeout": httpx.Timeout(seconds).as_dict()}
