"""A Chromium, and a dashboard in a process of its own over a Postgres that may be stopped."""

from __future__ import annotations

import os
import re
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
_PATIENCE = 60_000  # milliseconds; a busy machine is no failure
expect.set_options(timeout=_PATIENCE)
_ROOT = Path(__file__).parents[2]
# What is seldom: a name that is written from the right, with what an unheeding page would turn round, and a single price.
RIGHT_TO_LEFT, ITS_HALL = "ليلة العمر (2)", "דאר 7!"
_SELDOM = f"""
INSERT INTO events (event_id, event_name, venue, event_date)
VALUES ('rtl', '{RIGHT_TO_LEFT}', '{ITS_HALL}', now() + interval '75 days'),
       ('once', 'Seen once', 'Small Hall', now() + interval '50 days');
INSERT INTO price_history (id, event_id, source, section, price, total_price, currency, quantity, "timestamp",
                           listing_id, level, late)
SELECT (1::bigint << 52) + (5::bigint << 40) + n, event, 'mock', 'A', price, price, 'USD', 2,
       now() - ago * interval '1 minute', event, 'listing', false
FROM (VALUES (1, 'rtl', 200, 30), (2, 'rtl', 150, 4), (3, 'once', 130, 2)) AS seen (n, event, price, ago);
INSERT INTO price_changes (id, event_id, source, section, listing_id, currency, level, old_price, new_price, change,
                           change_percent, previous_timestamp, "timestamp")
SELECT (1::bigint << 52) + (5::bigint << 40) + 2, 'rtl', 'mock', 'A', 'rtl', 'USD', 'listing', 200, 150, -50, -25,
       now() - interval '30 minutes', now();
INSERT INTO price_windows
SELECT event_id, CASE WHEN whole THEN '' ELSE source END, CASE WHEN whole THEN '' ELSE section END, level, currency, size,
       date_bin(make_interval(secs => size), "timestamp", 'epoch'), min(price), max(price), avg(price), max(price),
       min(price), count(*), 1, false
FROM price_history, unnest(ARRAY[60, 3600, 86400]) AS size, unnest(ARRAY[true, false]) AS whole
WHERE event_id IN ('rtl', 'once') GROUP BY 1, 2, 3, 4, 5, 6, 7
"""  # noqa: S608 -- joined from constants


@dataclass
class Site:
    """A running dashboard, its database, and the folder of its lake, which holds no price."""

    url: str
    server: EmbeddedPostgres
    dsn: str
    lake: Path

    def execute(self, sql: str, parameters: dict[str, object] | None = None) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.encode(), parameters)

    def column(self, sql: str) -> list[Any]:
        """What a query of one column gives."""
        with psycopg.connect(self.dsn) as connection:
            return [value for (value,) in connection.execute(sql.encode())]

    @contextmanager
    def having(self, insert: str, delete: str) -> Iterator[None]:
        """Some more rows for a while, as others look at this site, too."""
        self.execute(insert)
        try:
            yield
        finally:
            self.execute(delete)


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
            connection.execute(_SELDOM)
            (identity,) = connection.execute("SELECT id::text FROM database_identity").fetchone() or ()
        port, lake = free_port(), server.directory / "lake"
        lake.mkdir()
        (lake / "database").write_text(identity)
        process = subprocess.Popen(
            [sys.executable, "-m", "dash_app"], cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent(),
            env={
                **os.environ, **server.environment, "DASH_HOST": "127.0.0.1", "DASH_PORT": str(port),
                "LAKE_DIR": str(lake),  # a new one: not the one that may lie in the project's folder
            },
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait(url + "health", process)
            yield Site(url, server, server.dsn(), lake)
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=60)
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
    context.set_default_timeout(_PATIENCE)
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


@contextmanager
def postgres_away(site: Site, *pages: Page) -> Iterator[None]:
    """Within, Postgres is away, and each page says so; afterwards it is there again, and they say that, too."""
    site.server.crash()
    for page in pages:
        expect(page.locator("#link"), "it is not said").to_have_text("Postgres is away")
        expect(page.locator("#notice"), "it is not said what will be").to_contain_text("goes on by itself")
    yield
    site.server.start()
    for page in pages:
        expect(page.locator("#link"), "the page does not come back").not_to_have_text("Postgres is away")
        expect(page.locator("#notice")).to_be_hidden()


def drag(page: Page, chart: str, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag a box open in a chart, which zooms; each corner is (share of the width, pixels from the top)."""
    plot = page.locator(f"{chart} .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    (x, y), (to_x, to_y) = ((box["x"] + box["width"] * share, box["y"] + down) for share, down in (begin, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(to_x, to_y, steps=8)
    page.mouse.up()


def leave(watched: Watched) -> None:
    """Leave a page on which nothing went wrong."""
    assert watched.problems == []
    watched.page.goto("about:blank")
    watched.problems.clear()  # a tick under way is cut off by leaving


def take(page: Page, what: str, kind: str) -> tuple[str, Path]:
    """Follow a link of an export's menu; gives the address that was asked and the file."""
    links = page.locator(f"#export-{what}")
    links.locator("summary").click()
    with page.expect_download() as started:
        links.get_by_role("link", name=re.compile(f"^{kind}")).click()
    expect(links).not_to_have_attribute("open", "")
    assert re.fullmatch(rf"conscope-{what}-\d{{8}}T\d{{6}}Z\.\w+", started.value.suggested_filename)
    return started.value.url, started.value.path()


@contextmanager
def sent(browser: Browser, page: Page) -> Iterator[Page]:
    """What somebody sees to whom the page's link was sent; nothing may go wrong there."""
    with watch(browser, viewport=page.viewport_size) as other:
        other.page.goto(page.url)
        yield other.page
        assert other.problems == []


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
