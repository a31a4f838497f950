"""A Chromium, and a dashboard in a process of its own over a Postgres that may be stopped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from local import postgres
from local.postgres import EmbeddedPostgres, free_port
from local.processes import die_with_parent
from tests.unit.dash_app import seed

_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
expect.set_options(timeout=30_000)  # a busy machine is no failure
_ROOT = Path(__file__).parents[2]


@dataclass
class Site:
    """A running dashboard and its database."""

    url: str
    server: EmbeddedPostgres
    dsn: str

    def execute(self, sql: str, parameters: dict[str, object] | None = None) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.encode(), parameters)


@dataclass
class Watched:
    """A page and what went wrong on it."""

    page: Page
    problems: list[str] = field(default_factory=list)


def _chromium() -> str:
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        reason = "no Chromium: set CHROMIUM to its path, or install chromium"
        if os.environ.get("CONSCOPE_REQUIRE_ALL") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = _chromium()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def site(browser: Browser) -> Iterator[Site]:
    """A dashboard over a seeded database that tests only look at.

    Asks for the browser first, so that without one nothing is started.
    """
    with _serve() as running:
        yield running


@pytest.fixture
def own_site(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A dashboard over a database of the test's own, to write to, and to stop."""
    with _serve() as running:
        # The server keeps its port when the test stops and starts it, as one that is restarted in earnest does.
        monkeypatch.setattr(postgres, "free_port", lambda: running.server.port)
        yield running


@contextmanager
def _serve() -> Iterator[Site]:
    with EmbeddedPostgres(fsync=False) as server:
        with psycopg.connect(server.dsn()) as connection:
            seed.fill(connection, minutes=60)
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "dash_app"], cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),
            env={
                **os.environ, **server.environment, "DASH_HOST": "127.0.0.1", "DASH_PORT": str(port),
                "LAKE_DIR": str(server.directory / "lake"),  # none: not the one that may lie in the project's folder
            },
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait(url + "health", process)
            yield Site(url, server, server.dsn())
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=20)
        assert process.returncode == 0, output.decode()
        assert b"Traceback" not in output, output.decode()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A desktop page that notes every console error, failed request and answer of an error."""
    with watch(browser, viewport={"width": 1440, "height": 900}) as watched:
        yield watched


@contextmanager
def watch(browser: Browser, **options: Any) -> Iterator[Watched]:
    """A page in a browser profile of its own, and what goes wrong on it; no request may leave this machine."""
    context = browser.new_context(timezone_id="America/New_York", **options)
    context.set_default_timeout(20_000)
    watched = Watched(context.new_page())
    note = watched.problems.append
    page = watched.page
    page.on("console", lambda message: note(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: note(str(error)))
    # To the browser, a link that gives a file is a page that was not opened.
    page.on("requestfailed", lambda request: None if "/export/" in request.url and request.failure == "net::ERR_ABORTED"
            else note(f"{request.url} {request.failure}"))  # fmt: skip
    page.on("response", lambda answer: note(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("request", lambda request: note(request.url) if "//127.0.0.1:" not in request.url
            and not request.url.startswith(("data:", "blob:")) else None)  # fmt: skip
    yield watched
    context.close()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120  # a busy machine is no failure
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    process.kill()
    pytest.fail(f"the dashboard did not start:\n{process.communicate()[0].decode()}")
