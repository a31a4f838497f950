"""What a page of the dashboard is: a path, a layout made from the address, and its callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import polars as pl
from dash import Dash

from analytics import roles
from analytics.rulestore import Rules
from dash_app.database import Database
from dash_app.lake import Lake
from settings import Settings


@dataclass(frozen=True)
class Services:
    """What pages ask: Postgres (read-only), the lake, and the rules, the one thing that they write."""

    settings: Settings
    database: Database
    lake: Lake
    rules: Rules

    @classmethod
    def of(cls, settings: Settings) -> Services:
        """Those that the settings name. Nothing connects before the first question."""
        return cls(
            settings, Database.of(settings), Lake(settings.lake_dir), Rules(settings.postgres_dsn, roles.DASHBOARD)
        )


@dataclass(frozen=True)
class View:
    """What the address asks to see: `?event=x&section=101&section=102`. Anything may stand there."""

    asked: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, search: str | None) -> View:
        """The view of an address's search part."""
        try:
            return cls(parse_qs((search or "").removeprefix("?"), max_num_fields=200))
        except ValueError:
            return cls()

    def one(self, name: str, allowed: Sequence[str] | None = None, default: str | None = None) -> str | None:
        """The value of `name`, when there is one and it is allowed."""
        value = self.asked.get(name, [None])[0]
        return value if value and (allowed is None or value in allowed) else default

    def many(self, name: str, most: int = 12) -> list[str]:
        """The first different values of `name`."""
        return list(dict.fromkeys(self.asked.get(name, [])))[:most]


Export = Callable[[Services, View], pl.DataFrame]


@dataclass(frozen=True)
class Page:
    """One page.

    Args:
        path: where it is, as "/event".
        title: in the navigation and the window's title.
        layout: what it shows for an address, before anything is asked of the database.
        register: makes its callbacks, once at start.
        exports: tables to take away, by name: what the address's view shows, all of it (`views.export`).
        needs_prices: without a price in the database the page says how to get some instead.
        wide: it has more beside each other than others, and takes more of a wide window.
    """

    path: str
    title: str
    layout: Callable[[View], Any]
    register: Callable[[Dash, Services], None]
    exports: Mapping[str, Export] = field(default_factory=dict)
    needs_prices: bool = False
    wide: bool = False
