"""Every page, in both schemes, wide and narrow: axe finds nothing serious, and nothing else goes wrong either."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from dash_app.pages import PAGES
from tests.browser.conftest import Site, watch

pytestmark = pytest.mark.browser

_SERIOUS = {"serious", "critical"}
_ADDRESSES = {"/event": "event?event=concert_123&section=101&section=GA"}
_GRIDS = {"/": "#market-grid", "/event": "#now-grid"}


_TURNED = """Promise.allSettled(
    document.getAnimations().filter((one) => one instanceof CSSTransition).map((one) => one.finished))"""
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_SCREENS = {"wide": (1440, 900), "phone": (390, 844)}


@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_a_page_is_clean(site: Site, browser: Browser, path: str) -> None:
    """It is loaded in one scheme at one width, and turned into the others: to load it four times finds no more."""
    with watch(browser, color_scheme="light") as seen:
        page = seen.page
        page.goto(site.url + _ADDRESSES.get(path, path.lstrip("/")))
        expect(page.locator("#page .card").first).to_be_visible()
        for name, (width, height) in _SCREENS.items():
            page.set_viewport_size({"width": width, "height": height})
            for scheme in _SCHEMES:
                page.emulate_media(color_scheme=scheme)
                expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
                _is_drawn(page, path)
                found = Axe().run(page).response["violations"]
                serious = [violation for violation in found if violation["impact"] in _SERIOUS]
                assert not serious, f"{scheme}, {name}:\n{_readable(found)}"
                said = f"{scheme}, {name}: the page scrolls sideways"
                assert page.evaluate("document.documentElement.scrollWidth") == width, said
        assert seen.problems == []


def _is_drawn(page: Page, path: str) -> None:
    expect(page.locator(".skeleton:visible")).to_have_count(0)
    # What changes its colour with the scheme takes a moment, in which it is neither the one nor the other.
    page.evaluate(_TURNED)
    if path in _GRIDS:  # a grid draws itself piece by piece, the cells of its header after the header
        expect(page.locator(f"{_GRIDS[path]} .ag-row[row-index='0'] [col-id]").first).to_be_visible()
        expect(page.locator(f"{_GRIDS[path]} .ag-header-row:not(:has([role=columnheader]))")).to_have_count(0)


def _readable(violations: list[Any]) -> str:
    return "\n".join(
        f"{violation['impact']} {violation['id']}: {violation['help']}\n"
        + "\n".join(f"    {node['html'][:200]}\n        {node['failureSummary']}" for node in violation["nodes"][:4])
        for violation in violations
        if violation["impact"] in _SERIOUS
    )
