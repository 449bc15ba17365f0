"""The driver for asyncio; used from one event loop."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import httpx

from foundation.calling.calls import Call
from foundation.calling.conversation import Party, Renew, Send, Steps, conversation, renewal

Result = TypeVar("Result")


class ConcurrentCaller:
    """Carries out calls with a client of httpx, which stays the caller's to close."""

    def __init__(self, party: Party, http: httpx.AsyncClient) -> None:
        self.party = party
        self._http = http
        self._renewing = asyncio.Lock()

    async def call(self, call: Call[Result]) -> Result:
        """Make a call; raises CallFailed."""
        return await self._carry_out(conversation(self.party, call))

    async def _carry_out(self, steps: Steps[Result]) -> Result:
        given: Any = None
        failure: httpx.TransportError | None = None
        while True:
            try:
                step = steps.send(given) if failure is None else steps.throw(failure)
            except StopIteration as done:
                result: Result = done.value
                return result
            given = failure = None
            if isinstance(step, Send):
                try:
                    given = await self._http.send(step.request, follow_redirects=False)
                except httpx.TransportError as error:
                    failure = error
            elif isinstance(step, Renew):
                given = await self._token(step.audience)
            else:
                await asyncio.sleep(step.seconds)

    async def _token(self, audience: str) -> str:
        async with self._renewing:
            held = self.party.tokens.good(audience, self.party.now())
            return held or (await self._carry_out(renewal(self.party, audience))).text
