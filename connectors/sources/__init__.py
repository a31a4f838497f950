"""The connectors, one module a source; `docs/guides/connectors.md` walks through adding one."""

from __future__ import annotations

from typing import Protocol

from connectors.budget import Ledger
from connectors.source import Source
from connectors.sources import feed, seatgeek, stubhub, ticketmaster
from settings import Settings

SITES = (seatgeek, ticketmaster, stubhub)
"""The modules of the ticket sites: each has `NAME` and `from_settings`."""


class Polled(Source, Protocol):
    """A source, with the ledger that every call of it passes through."""

    ledger: Ledger


def configured(settings: Settings, wrong: list[str]) -> list[Polled]:
    """Every source that the settings name: the sites that have a key, and the feeds.

    Args:
        settings: name them.
        wrong: is told of each feed that cannot be followed, and why; it stops nothing else.
    """
    sites: list[Polled | None] = [site.from_settings(settings) for site in SITES]
    feeds = []
    for one in feed.from_settings(settings, settings.feed_secret, wrong):
        if one.name in {site.NAME for site in SITES}:
            wrong.append(f"name = {one.name!r} is a ticket site's: give the feed another name")
        else:
            feeds.append(one)
    return [site for site in sites if site is not None] + [*feeds]
