"""Calls to a department's interface: signed or with a token, not too many, repeated where that may help, bounded."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from connectors.mapping.origins import ApiKey, OAuth, RestOrigin, Signed
from connectors.sources.raw import SourceError
from foundation.language import _

ATTEMPTS = 5
LONGEST_WAIT = 300.0
"""Seconds that one answer may ask us to wait; beyond, the run ends and may be started again later."""
_REDIRECTS = 5
_TOKEN_BYTES = 1 << 16
_BUSY = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, as a test may have it otherwise.

    Args:
        now: with its zone.
        monotonic: seconds that never go back.
        sleep: waits so many seconds.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Answer:
    """A body that was JSON, its fractions as Decimal, and the next page by the header `Link`, if one stood there."""

    body: Any
    next_link: str | None


@dataclass(slots=True)
class Calls:
    """Calls on one connection; closed by its owner.

    Args:
        source: name for errors; the address itself is not shown, it may hold keys.
    """

    origin: RestOrigin
    source: str
    uri: str
    clock: Clock
    _client: httpx.Client = field(init=False)
    _root: httpx.URL = field(init=False)
    _user: str = field(init=False)
    _secret: str = field(init=False)
    _token: tuple[str, float] | None = None
    _last: float | None = None

    def __post_init__(self) -> None:
        address = urlsplit(self.uri)
        self._user, self._secret = unquote(address.username or ""), unquote(address.password or "")
        try:
            self._root = httpx.URL(self.uri).copy_with(userinfo=b"", query=None, fragment=None)
        except httpx.InvalidURL as error:
            raise SourceError(_("the address of {source} is none"), source=self.source) from error
        if self._root.scheme not in {"http", "https"} or not self._root.host:
            raise SourceError(_("the address of {source} is none"), source=self.source)
        self._client = httpx.Client(timeout=httpx.Timeout(30, connect=10), follow_redirects=False)

    def close(self) -> None:
        self._client.close()

    def first(self) -> httpx.URL:
        """Return the address of the origin's path with its parameters."""
        return self._below(self.origin.path).copy_merge_params(self.origin.parameters)

    def beside(self, link: str, page: httpx.URL) -> httpx.URL:
        """Return the address that a link of a page leads to.

        Raises:
            SourceError: it leads to another host.
        """
        address = httpx.URL(urljoin(str(page), link))
        if (address.scheme, address.host, address.port) != (
            self._root.scheme,
            self._root.host,
            self._root.port,
        ):
            raise SourceError(_("{source} sends us to another host"), source=self.source)
        return address

    def get(self, address: httpx.URL) -> Answer:
        """Get a page.

        Raises:
            SourceError: no answer after all attempts, or none that can be used.
        """
        for _redirect in range(_REDIRECTS):
            response = self._repeated(lambda at=address: self._request("GET", at))  # type: ignore[misc]
            if not response.has_redirect_location:
                return Answer(self._json(response), response.links.get("next", {}).get("url"))
            address = self.beside(response.headers["Location"], address)
        raise SourceError(_("{source} sends us in circles"), source=self.source)

    def _repeated(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        wait = 1.0
        for attempt in range(1, ATTEMPTS + 1):
            self._keep_rate()
            try:
                response = send()
            except httpx.RequestError as error:
                reason, asked = type(error).__name__, None
            else:
                if response.status_code == 401 and isinstance(self.origin.auth, OAuth) and attempt == 1:
                    self._token = None
                    continue
                if response.status_code not in _BUSY:
                    if response.has_redirect_location or response.is_success:
                        return response
                    raise SourceError(
                        _("{source} refuses: status {status}"),
                        source=self.source,
                        status=response.status_code,
                    )
                reason, asked = str(response.status_code), self._retry_after(response)
            if asked is not None and asked > LONGEST_WAIT:
                raise SourceError(
                    _("{source} asks to come back in {seconds} seconds"),
                    source=self.source,
                    seconds=round(asked),
                )
            if attempt < ATTEMPTS:
                self.clock.sleep(wait if asked is None else asked)
                wait *= 2
        raise SourceError(_("{source} cannot be reached: {reason}"), source=self.source, reason=reason)

    def _keep_rate(self) -> None:
        if self.origin.per_second is None:
            return
        if self._last is not None:
            wait = self._last + 1 / self.origin.per_second - self.clock.monotonic()
            if wait > 0:
                self.clock.sleep(wait)
        self._last = self.clock.monotonic()

    def _retry_after(self, response: httpx.Response) -> float | None:
        """Return the seconds that the header asks for (RFC 9110 §10.2.3), None if it does not or is no such thing."""
        text = response.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - self.clock.now()).total_seconds())

    def _request(self, method: str, address: httpx.URL) -> httpx.Response:
        return self._sent(
            self._client.build_request(method, address, headers=self._credentials(method, address)),
            self.origin.most_bytes,
        )

    def _credentials(self, method: str, address: httpx.URL) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        match self.origin.auth:
            case OAuth() as auth:
                headers["Authorization"] = f"Bearer {self._access_token(auth)}"
            case ApiKey(header=name):
                headers[name] = self._secret
            case Signed():
                date = format_datetime(self.clock.now().astimezone(UTC), usegmt=True)
                signature = sign(self._secret, method, address.raw_path.decode("ascii"), date, b"")
                headers["Date"] = date
                headers["Authorization"] = f'HMAC-SHA256 keyId="{self._user}",signature="{signature}"'
            case None:
                pass
        return headers

    def _access_token(self, auth: OAuth) -> str:
        if self._token is not None and self._token[1] > self.clock.monotonic():
            return self._token[0]
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        request = self._client.build_request("POST", self._below(auth.token_path), data=form)
        basic = httpx.BasicAuth(self._user, self._secret)
        request = next(basic.auth_flow(request))
        body = self._json(self._sent(request, _TOKEN_BYTES))
        token = body.get("access_token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token:
            raise SourceError(_("{source} gives no access token"), source=self.source)
        seconds = body.get("expires_in")
        # Given up a little early: it must still hold when it arrives.
        lifetime = max(0.0, seconds - 10) if isinstance(seconds, int | float) else 60.0
        self._token = (token, self.clock.monotonic() + lifetime)
        return token

    def _below(self, path: str) -> httpx.URL:
        return (
            self._root.copy_with(path=self._root.path.rstrip("/") + "/" + path.lstrip("/"))
            if path
            else self._root
        )

    def _sent(self, request: httpx.Request, most_bytes: int) -> httpx.Response:
        """Send and read all of the answer, but no more than it may have."""
        response = self._client.send(request, stream=True)
        try:
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > most_bytes:
                    raise SourceError(
                        _("{source} answers with more than {size} bytes"), source=self.source, size=most_bytes
                    )
        finally:
            response.close()
        headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() != "content-encoding"]
        return httpx.Response(response.status_code, headers=headers, content=bytes(content), request=request)

    def _json(self, response: httpx.Response) -> Any:
        if not response.is_success:
            raise SourceError(
                _("{source} refuses: status {status}"), source=self.source, status=response.status_code
            )
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise SourceError(_("{source} answers with something else than JSON"), source=self.source)
        try:
            return json.loads(response.content, parse_float=Decimal, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise SourceError(_("{source} answers with JSON that is broken"), source=self.source) from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def sign(secret: str, method: str, target: str, date: str, body: bytes) -> str:
    """Return the signature of a request: HMAC-SHA-256, hexadecimal, over four lines.

    `method`, `target` (path and query as sent), `date` (the header Date), SHA-256 of the body in hexadecimal; with a
    line feed between them and none at the end.
    """
    text = "\n".join((method, target, date, hashlib.sha256(body).hexdigest()))
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
