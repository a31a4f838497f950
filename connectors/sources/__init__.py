"""The connectors, one module a source; `docs/guides/connectors.md` walks through adding one."""

from __future__ import annotations

from typing import Protocol

from connectors.budget import Ledger
from connectors.source import Source
from connectors.sources import feed, seatgeek, stubhub, ticketmaster
from connectors.sources.feed import FeedError
from settings import Settings

SITES = (seatgeek, ticketmaster, stubhub)
"""The modules of the ticket sites: each has `NAME` and `from_settings`."""


class Polled(Source, Protocol):
    """A source, with the ledger that every call of it passes through."""

    ledger: Ledger


def configured(settings: Settings) -> list[Polled]:
    """Every source that the settings name: the sites that have a key, and the feeds.

    Raises:
        FeedError: a feed's file is wrong, or has the name of a site.
    """
    sites: list[Polled | None] = [site.from_settings(settings) for site in SITES]
    feeds = feed.from_settings(settings, settings.feed_secret)
    for one in feeds:
        if one.name in {site.NAME for site in SITES}:
            raise FeedError(f"name = {one.name!r} is a ticket site's: give the feed another name")
    return [site for site in sites if site is not None] + [*feeds]
