"""A stand-in for Discord's webhook endpoint, on loopback: its answers, its limits and its faults.

What it does is what Discord documents: 200 with the message when `wait=true`, else 204; rate-limit headers on every
answer; 429 with `retry_after` in seconds and a `Via` header; 400 with code 50035 for what breaks a limit.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

Fault = Callable[["_Handler"], bool]
"""Plays one fault on a request; True when it has answered (or must not be answered)."""

_BUCKET, _WINDOW = 5, 2.0


class DiscordStub:
    """Start it with `with DiscordStub() as stub`; post to `stub.url`.

    `received` holds every accepted message as (time.time(), body). Faults queued in `faults` are played one a request.
    """

    def __init__(self, token: str = "stub-token") -> None:
        self.received: list[tuple[float, dict[str, Any]]] = []
        self.faults: deque[Fault] = deque()
        self.requests = 0
        self.lock = threading.Lock()
        self._path = f"/api/webhooks/1/{token}"
        self._times: deque[float] = deque()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.stub = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="discord-stub", daemon=True
        )

    @property
    def host(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The webhook's address."""
        return f"http://{self.host}{self._path}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make ConScope post here."""
        return {"DISCORD_WEBHOOK_URL": self.url, "DISCORD_TEST_HOST": self.host}

    @property
    def alerts(self) -> int:
        """How many alerts the received messages tell of, digests counted by what they say."""
        with self.lock:
            return sum(_alerts_in(body) for _, body in self.received)

    def __enter__(self) -> DiscordStub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self) -> tuple[int, float]:
        """Count one request against the rate limit: (how many are left, seconds until the next is welcome)."""
        now = time.monotonic()
        with self.lock:
            while self._times and now - self._times[0] > _WINDOW:
                self._times.popleft()
            if len(self._times) >= _BUCKET:
                return -1, _WINDOW - (now - self._times[0])
            self._times.append(now)
            return _BUCKET - len(self._times), _WINDOW - (now - self._times[0])


def hang(seconds: float, *, accept: bool) -> Fault:
    """Say nothing for a while; then take the message, or cut the connection."""

    def play(request: _Handler) -> bool:
        time.sleep(seconds)
        if not accept:
            request.close_connection = True
        return not accept

    return play


def fail(status: int, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> Fault:
    """Answer with an error. A header that is empty is left out: `{"Via": ""}` is what the edge sends."""

    def play(request: _Handler) -> bool:
        request.answer(status, body or {"message": "stub fault"}, headers)
        return True

    return play


def reset() -> Fault:
    """Break the connection the hard way (RST), before anything is accepted."""

    def play(request: _Handler) -> bool:
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.connection.close()
        request.close_connection = True
        return True

    return play


def lose(seconds: float = 0.0) -> Fault:
    """Accept the message, and cut the connection, after a while, without an answer."""

    def play(request: _Handler) -> bool:
        request.accept()
        time.sleep(seconds)
        request.close_connection = True
        return True

    return play


def _alerts_in(body: dict[str, Any]) -> int:
    digest = re.match(r"([\d,]+) (?:price alerts|notices)", body["embeds"][0]["title"])
    return int(digest[1].replace(",", "")) if digest else len(body["embeds"])


_LIMITS = {"title": 256, "description": 4096}


def _refusal(body: Any) -> str | None:
    """What Discord would find wrong with a message."""
    embeds = body.get("embeds", []) if isinstance(body, dict) else None
    if not embeds and not (isinstance(body, dict) and body.get("content")):
        return "Cannot send an empty message"
    if re.search("discord|clyde", body.get("username", ""), re.IGNORECASE):
        return "username: Username cannot contain this"
    if len(embeds or []) > 10:
        return "embeds: Must be 10 or fewer in length."
    total = 0
    for embed in embeds or []:
        fields = embed.get("fields", [])
        texts = [(name, limit, embed.get(name, "")) for name, limit in _LIMITS.items()]
        texts.append(("footer.text", 2048, embed.get("footer", {}).get("text", "")))
        texts += [("fields.name", 256, one["name"]) for one in fields]
        texts += [("fields.value", 1024, one["value"]) for one in fields]
        if len(fields) > 25:
            return "embeds.fields: Must be 25 or fewer in length."
        for name, limit, text in texts:
            total += len(text)
            if len(text) > limit:
                return f"embeds.{name}: Must be {limit} or fewer in length."
    if total > 6000:
        return "Embed size exceeds maximum size of 6000"
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    stub: DiscordStub

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed in the middle of a request is part of the play


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes, the second of which would wait for 40 ms

    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        stub = self.server.stub
        raw = self.raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with stub.lock:
            stub.requests += 1
            fault = stub.faults.popleft() if stub.faults else None
        if fault is not None and fault(self):
            return
        address = urlsplit(self.path)
        if re.sub(r"^/api/v\d+/", "/api/", address.path) != urlsplit(stub.url).path:
            return self.answer(404, {"message": "Unknown Webhook", "code": 10015})
        left, after = stub.take()
        limits = {"X-RateLimit-Limit": str(_BUCKET), "X-RateLimit-Remaining": str(max(left, 0)),
                  "X-RateLimit-Reset-After": f"{after:.3f}"}  # fmt: skip
        if left < 0:
            body = {"message": "You are being rate limited.", "retry_after": round(after, 3), "global": False}
            return self.answer(429, body, {**limits, "Retry-After": str(int(after) + 1), "X-RateLimit-Scope": "user"})
        message = json.loads(raw)
        if wrong := _refusal(message):
            return self.answer(400, {"message": wrong, "code": 50035}, limits)
        number = self.accept()
        if parse_qs(address.query).get("wait") == ["true"]:
            return self.answer(200, {"id": str(10**17 + number), **message}, limits)
        return self.answer(204, None, limits)

    def accept(self) -> int:
        """Take the message; its number."""
        assert isinstance(self.server, _Server)
        with self.server.stub.lock:
            self.server.stub.received.append((time.time(), json.loads(self.raw)))
            return len(self.server.stub.received)

    def answer(self, status: int, body: dict[str, Any] | None, headers: dict[str, str] | None = None) -> None:
        """Send one answer."""
        data = b"" if body is None else json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {"Via": "1.1 google", "Content-Type": "application/json", **(headers or {})}.items():
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the other side has gone

    def log_message(self, format: str, *args: Any) -> None:
        pass
