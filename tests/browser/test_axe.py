"""Every page, in both schemes, wide and narrow: axe finds nothing serious, and nothing else goes wrong either."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from dash_app.pages import PAGES
from tests.browser.conftest import Site, Watched, watch

pytestmark = pytest.mark.browser

_SERIOUS = {"serious", "critical"}
_ADDRESSES = {"/event": "event?event=concert_123&section=101&section=GA"}
_GRIDS = {"/": "#market-grid", "/event": "#now-grid"}


@pytest.fixture(params=[(1440, 900), (390, 844)], ids=["wide", "phone"])
def screen(request: pytest.FixtureRequest) -> tuple[int, int]:
    size: tuple[int, int] = request.param
    return size


@pytest.fixture(params=["light", "dark"])
def seen(browser: Browser, screen: tuple[int, int], request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A page of one size in one scheme, watched."""
    with watch(browser, viewport={"width": screen[0], "height": screen[1]}, color_scheme=request.param) as watched:
        yield watched


@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_a_page_is_clean(site: Site, seen: Watched, screen: tuple[int, int], path: str) -> None:
    page = seen.page
    page.goto(site.url + _ADDRESSES.get(path, path.lstrip("/")))
    expect(page.locator("#page .card").first).to_be_visible()
    expect(page.locator(".skeleton:visible")).to_have_count(0)
    if path in _GRIDS:  # a grid draws itself piece by piece, the cells of its header after the header
        expect(page.locator(f"{_GRIDS[path]} .ag-row[row-index='0'] [col-id]").first).to_be_visible()
        expect(page.locator(f"{_GRIDS[path]} .ag-header-row:not(:has([role=columnheader]))")).to_have_count(0)
    found = Axe().run(page).response["violations"]
    assert not [violation for violation in found if violation["impact"] in _SERIOUS], _readable(found)
    assert page.evaluate("document.documentElement.scrollWidth") == screen[0], "the page scrolls sideways"
    assert seen.problems == []


def _readable(violations: list[Any]) -> str:
    return "\n".join(
        f"{violation['impact']} {violation['id']}: {violation['help']}\n"
        + "\n".join(f"    {node['html'][:200]}\n        {node['failureSummary']}" for node in violation["nodes"][:4])
        for violation in violations
        if violation["impact"] in _SERIOUS
    )
