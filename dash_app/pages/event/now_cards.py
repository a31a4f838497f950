"""What is on sale, in cards: redrawn when it changed, and not otherwise."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, no_update

from dash_app import ids
from dash_app.figures import SCHEMES
from dash_app.figures.distribution import distribution
from dash_app.figures.heatmap import Places, heatmap, places
from dash_app.loaders.listings import SharedOffers, differs
from dash_app.pages.event import ids as page
from dash_app.pages.event import now_ids as here
from dash_app.pages.event.now_query import amount, party, together
from dash_app.shell.guard import keeps, required
from dash_app.text import source_name
from dash_app.views.listings import (
    MOST_SAME,
    same_groups,
    same_list,
    summary,
    target_note,
    together_list,
)


def register(app: Dash, offers: SharedOffers) -> None:
    """Register the question whether anything changed, and the cards."""

    @keeps
    def changed(_beat: int | None, chosen: str | None, shown: list[str] | None) -> Any:
        event = required(chosen)
        version = offers.get(event).version
        known = shown[1] if shown and shown[0] == event else None
        return [event, version] if known is None or differs(version, known) else no_update

    @keeps
    def head(token: list[str] | None, zone: str | None) -> tuple[str, Any]:
        found = offers.get(*_asked(token))
        sources = [{"value": name, "label": source_name(name)} for name in sorted(found.listings["source"].unique())]
        return summary(found, zone or "UTC"), sources

    @keeps
    def cheapest(token: list[str] | None, number: str | None) -> tuple[Any, str]:
        found, count = offers.get(*_asked(token)), party(number)
        fits = together(found.listings, count)
        return together_list(fits, count, found.currency), _together_note(fits.height, found.listings.height, count)

    @keeps
    def spread(token: list[str] | None, target: Any, number: str | None, scheme: str | None) -> tuple[Any, str]:
        found, mine = offers.get(*_asked(token)), amount(target)
        prices = together(found.listings, party(number))["all_in"]
        return distribution(prices, _scheme(scheme), found.currency, mine), target_note(prices, mine, found.currency)

    @keeps
    def heat(token: list[str] | None, number: str | None, scheme: str | None) -> tuple[Any, str]:
        found = offers.get(*_asked(token))
        where = places(together(found.listings, party(number)))
        return heatmap(where, _scheme(scheme), found.currency, dark=scheme == "dark"), _heat_note(
            where, dark=scheme == "dark"
        )

    @keeps
    def same(token: list[str] | None) -> tuple[Any, str]:
        found = offers.get(*_asked(token))
        groups = same_groups(found)
        more = f"{groups.height:,} sets of seats at several sources"
        shown = f", the {MOST_SAME} with most to save" if groups.height > MOST_SAME else ""
        return same_list(groups, found), more + shown if groups.height else "\u00a0"

    # At every tick, and not only when the tick brought news: what is shared may be a moment older than the news.
    app.callback(
        Output(here.TOKEN, "data"),
        Input(ids.TICK, "n_intervals"),
        Input(page.EVENT, "value"),
        State(here.TOKEN, "data"),
    )(changed)
    token, number, scheme = Input(here.TOKEN, "data"), Input(here.PARTY, "value"), Input(ids.SCHEME, "data")
    app.callback(Output(here.HEAD, "children"), Output(here.AT, "data"), token, Input(ids.ZONE, "data"))(head)
    app.callback(Output(here.TOGETHER, "children"), Output(here.TOGETHER_NOTE, "children"), token, number)(cheapest)
    app.callback(
        Output(here.SPREAD, "figure"),
        Output(here.SPREAD_NOTE, "children"),
        token,
        Input(here.TARGET, "value"),
        number,
        scheme,
    )(spread)
    app.callback(Output(here.HEAT, "figure"), Output(here.HEAT_NOTE, "children"), token, number, scheme)(heat)
    app.callback(Output(here.SAME, "children"), Output(here.SAME_NOTE, "children"), token)(same)


def _asked(token: list[str] | None) -> tuple[str, str]:
    """The event and the version that the page knows of."""
    event, version = token or ("", "")
    return required(event), version


def _scheme(name: str | None) -> Any:
    return SCHEMES["dark" if name == "dark" else "light"]


def _together_note(fits: int, there: int, number: int) -> str:
    if number == 1:
        return "Per ticket, all-in. Choose above how many go together."
    return f"{fits:,} of {there:,} listings have {number} or more tickets. What all {number} pay, all-in."


def _heat_note(where: Places, *, dark: bool) -> str:
    """What the map shows, and what it leaves out."""
    parts = [f"{'Brighter' if dark else 'Darker'} is cheaper" if where.sections else "No listing is on sale"]
    if where.all_sections > len(where.sections):
        parts.append(
            f"the {len(where.sections)} cheapest of {where.all_sections:,} sections; search the table for the others"
        )
    if where.all_rows > len(where.rows):
        parts.append(f"{len(where.rows)} of {where.all_rows:,} rows")
    return " · ".join(parts)
