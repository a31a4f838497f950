"""HTTP to a source: within its budget, bounded in time, size and attempts, and with no secret in any text it makes."""

from __future__ import annotations

import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_exponential_jitter

from connectors.budget import Ledger
from connectors.source import Held, Missing, Refused, SourceError, Unavailable

# httpx logs whole addresses, in which several sources want their key, and httpcore whole headers, which may repeat it:
# held back at every level, whatever else is switched on.
for _name in ("httpx", *(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))):
    logging.getLogger(_name).addFilter(lambda record: record.levelno >= logging.WARNING)

USER_AGENT = "ConScope/0.1 (price intelligence for event tickets)"
MAX_BODY = 32 << 20
CAPTCHA_HOLD = 3600.0
FLOOD_HOLD = 900.0
LONGEST_WAIT = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole: `body` is the decoded JSON, or the text itself when it is none."""

    status: int
    headers: httpx.Headers
    body: Any


Judge = Callable[[Reply], SourceError | None]
"""What a reply means: None when it is an answer, else the error. Runs before `judge`, the usual meaning."""


class Http:
    """One source's HTTP client.

    Used by one thread.

    Args:
        label: the source's name as people know it, for messages.
        ledger: every request, retries too, is counted there before it is made.
        base_url: what paths are relative to.
        secrets: texts that must never be seen; each is struck out of every message.
        judge: the source's own reading of a reply.
        on_headers: called with each reply's headers, whatever the status (rate limits stand there).
        params, headers, auth: sent with every request; with `params` or `auth`, to no other origin than `base_url`'s.
        timeout: seconds for one attempt, until the last byte has come; looking up the host's name is not in it.
        attempts: at most so many for one request.
        within: seconds after which no further attempt of one request is begun.
        sleep: seconds to wait between attempts.
        transport: what carries the requests, in place of httpx's own.
    """

    def __init__(
        self,
        label: str,
        ledger: Ledger,
        base_url: str,
        *,
        secrets: tuple[str, ...] = (),
        judge: Judge | None = None,
        on_headers: Callable[[httpx.Headers], None] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | tuple[str, str] | None = None,
        timeout: float = 20.0,
        attempts: int = 3,
        within: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.label, self._ledger, self._judge, self._on_headers = label, ledger, judge, on_headers
        self._secrets: set[str] = set()
        for secret in secrets:
            self.hide(secret)
        self._timeout, self._late = timeout, False
        self._socket: socket.socket | None = None
        self._bound = bool(params or auth)
        self._client = httpx.Client(
            base_url=base_url,
            params=dict(params or {}),
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", **(headers or {})},
            auth=auth,
            timeout=timeout,
            transport=transport,
            follow_redirects=False,  # an answer that sends us elsewhere with our key in hand is an error
        )
        self._retrying = Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=stop_after_attempt(attempts) | stop_before_delay(within),
            wait=_wait,
            sleep=sleep,
            reraise=True,
        )

    def get(self, path: str, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON at `path` (relative, or a whole address); see `request`."""
        return self.request("GET", path, params=params).body

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | tuple[str, str] | None = None,
    ) -> Reply:
        """A JSON reply. What is retriable is tried again, with growing pauses or as long as the source asks.

        Raises:
            Unavailable: not answered after all attempts.
            Missing, Held, Refused: as judged.
        """
        request = {"params": params, "data": data, "headers": headers, "auth": auth}
        return self._retrying(self._once, method, path, {k: v for k, v in request.items() if v is not None})

    def _once(self, method: str, path: str, request: dict[str, Any]) -> Reply:
        self._ledger.take()
        # Raised here, not where it is caught: httpx's error knows the request, and the request the key.
        found = self._exchange(method, path, request)
        if isinstance(found, SourceError):
            raise found
        wrong = (self._judge(found) if self._judge is not None else None) or judge(found)
        if wrong is not None:
            wrong.args = (self.redact(f"{self.label}: {wrong}"), *wrong.args[1:])
            raise wrong
        return found

    def _exchange(self, method: str, path: str, request: dict[str, Any]) -> Reply | SourceError:
        # httpx's own time-outs begin anew with every byte that arrives; this one does not.
        self._late = False
        watch = threading.Timer(self._timeout, self._hang_up)
        watch.daemon = True
        watch.start()
        try:
            url = httpx.URL(path)
            if self._bound and url.host and _origin(url) != _origin(self._client.base_url):
                return Refused(f"{self.label} names an address on another host; the key is not sent there")
            if url.query:  # httpx would drop it for the parameters
                request = {**request, "params": url.params.merge(request.get("params"))}
            with self._client.stream(method, url, extensions={"trace": self._trace}, **request) as response:
                if self._on_headers is not None:
                    self._on_headers(response.headers)
                raw = bytearray()
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > MAX_BODY:
                        return Missing(f"{self.label} answered with more than {MAX_BODY >> 20} MB")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not self._late and not isinstance(error, httpx.TimeoutException):
                return Unavailable(f"{self.label} could not be reached: {self.redact(str(error))}")
            self._late = True
        finally:
            watch.cancel()
            watch.join()  # or it might yet end the next attempt
        if self._late:
            return Unavailable(f"{self.label} did not answer within {self._timeout:g} s")
        return Reply(response.status_code, response.headers, _decode(bytes(raw)))

    def _trace(self, _name: str, info: Mapping[str, Any]) -> None:
        """Called by httpcore at each step; keeps the socket of the connection that is made."""
        ask = getattr(info.get("return_value"), "get_extra_info", None)
        if ask is not None:
            self._socket = ask("socket")
            if self._late:
                self._hang_up()

    def _hang_up(self) -> None:
        self._late = True
        if self._socket is not None:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def hide(self, secret: str) -> None:
        """Let this text never be seen either; for a token that was given later."""
        if secret:
            self._secrets |= {secret, quote(secret, safe="")}  # as it is, and as it stands in an address

    def redact(self, text: str) -> str:
        """The text with every secret struck out."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def judge(reply: Reply) -> SourceError | None:
    """What a reply means where a source says nothing of its own."""
    status = reply.status
    if status == 429:
        return Unavailable("too many requests", retry_after(reply.headers) or 5.0)
    if status >= 500 or status == 408:
        return Unavailable(f"the server answered {status}", retry_after(reply.headers))
    if status in (404, 410):
        return Missing("there is no such thing there")
    if status == 406:
        return Held("our traffic was taken for a flood (406); waiting before asking again", FLOOD_HOLD)
    if status != 401 and _is_page(reply):  # bot protection answers with 200 or 403
        return Held("a page for people came instead of data, most likely a captcha", CAPTCHA_HOLD)
    if status in (401, 403):
        return Refused(f"the key was refused ({status}); check it, and what it may read")
    if 300 <= status < 400:
        return Refused(f"the server sends us elsewhere ({status}); check the address")
    if status >= 400:
        return Missing(f"the request was not understood ({status})")
    if isinstance(reply.body, str):
        return Unavailable("the answer was cut off or is no JSON")
    return None


def _is_page(reply: Reply) -> bool:
    return isinstance(reply.body, str) and (
        "html" in reply.headers.get("content-type", "").lower() or reply.body.lstrip()[:1] == "<"
    )


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds that `Retry-After` asks for, a week at most; None when it is absent or nonsense.

    Given as a number or as a date (RFC 9110, 10.2.3).
    """
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT)


_growing = wait_exponential_jitter(multiplier=0.5, max=10)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return asked if asked is not None else float(_growing(state))


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")
