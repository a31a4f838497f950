"""A ticket site on a loopback socket: it answers with the pages it was given, good or hostile, and keeps what was asked."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


@dataclass(frozen=True)
class Page:
    """One answer.

    Args:
        body: bytes and text as they stand, anything else as JSON.
        cut: promise the whole body and hang up after half of it.
        drip: after the body, go on with blanks for ever.
    """

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    drip: bool = False

    @property
    def raw(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


@dataclass(frozen=True)
class Asked:
    """One request that came in; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Site:
    """Answers each request with the next page of its path (or of any), the last one for ever; `asked` keeps them all."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = server.url_for("").rstrip("/")
        self.asked: list[Asked] = []
        self.closed = threading.Event()
        self._pages: dict[str | None, deque[Page]] = {None: deque([Page(500, "no page was given")])}
        server.clear()
        server.expect_request(re.compile("")).respond_with_handler(self._answer)

    def play(self, *pages: Page, path: str | None = None) -> None:
        """From now on, answer with these pages: all requests, or those for one path."""
        self._pages[path] = deque(pages)

    def _answer(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.path, dict(request.args), headers))
        pages = self._pages.get(request.path) or self._pages[None]
        page = pages.popleft() if len(pages) > 1 else pages[0]
        headers = {"Content-Type": "application/json", **page.headers}
        if page.drip:
            return Response(self._drip(page.raw), page.status, headers)
        if page.cut:
            headers["Content-Length"] = str(len(page.raw))
            return Response(iter([page.raw[: len(page.raw) // 2]]), page.status, headers)
        return Response(page.raw, page.status, headers)

    def _drip(self, start: bytes) -> Iterator[bytes]:
        yield start
        while not self.closed.wait(0.01):
            yield b" "


@pytest.fixture(scope="session")
def site_server() -> Iterator[HTTPServer]:
    """One server for all tests of this process: starting and stopping one takes half a second."""
    server = HTTPServer("127.0.0.1", threaded=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(site_server: HTTPServer) -> Iterator[Site]:
    """A site of one test's own."""
    fresh = Site(site_server)
    yield fresh
    fresh.closed.set()
