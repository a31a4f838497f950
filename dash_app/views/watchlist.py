"""The watchlist, and which listings are one event, as tables of a page each."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from urllib.parse import urlencode

import dash_mantine_components as dmc  # type: ignore[import-untyped]
import polars as pl
from dash import dcc, html

from analytics.watchlist import KEYS, Entry, Query, Read, WatchlistError
from dash_app import text
from dash_app.views.aria import named
from dash_app.views.cards import nothing

MOST_FAULTS = 50
ACTIVE, REMOVE, FOUND, RELINK, UNLINK = "watch-active", "watch-remove", "watch-found", "link-relink", "link-unlink"
"""Types of the buttons in the rows: {"type": ACTIVE, "entry": 3, "to": 1} and so on."""

_SUBJECTS = {"name": "name", "venue": "venue", "date": "date", "start": "hour", "city": "city"}


def as_entry(row: dict[str, Any]) -> Entry:
    """The entry that a row of `loaders.watchlist` is."""
    query = Query(row["text"], row["venue"], row["city"], row["since"], row["until"])
    return Entry(row["source"], row["source_id"], query)


def entry_name(entries: pl.DataFrame) -> str:
    """What a `loaders.watchlist` of one entry says."""
    return str(as_entry(entries.row(0, named=True))) if entries.height else "an entry that is gone"


def entry_table(entries: pl.DataFrame, *, searched: bool) -> Any:
    """A page of `loaders.watchlist`; without rows, what to do."""
    if entries.is_empty():
        return nothing(
            "No entry like that. Clear the search, or look at all states."
            if searched
            else "Nothing is followed yet. Add an artist, a venue or a city, or import a list: every source is then "
            "searched for it, and what is found is looked at until the show begins."
        )
    return _table(
        "entries", "The watchlist", ["Follows", "Found", "Comes from", "State", "Actions"],
        [_entry(row) for row in entries.iter_rows(named=True)],
    )  # fmt: skip


def _entry(row: dict[str, Any]) -> html.Tr:
    number, said = row["id"], str(as_entry(row))
    words, tone = (
        ("Paused", "flat") if not row["active"]
        else ("Over", "flat") if row["over"]
        else ("Followed", "down") if row["events"]
        else ("Nothing found", "warn")
    )  # fmt: skip
    pause = _act("Pause" if row["active"] else "Follow again", {"type": ACTIVE, "entry": number, "to": int(not row["active"])},
                 f"{'Pause' if row['active'] else 'Follow again'}: {said}")  # fmt: skip
    in_file = row["origin"] == "file"
    remove = (
        html.Span("in the file", className="quiet", title="Entries of the watchlist file are taken out there")
        if in_file
        else _act("Remove…", {"type": REMOVE, "entry": number}, f"Remove: {said}")
    )
    return html.Tr(
        [
            html.Td(_follows(row), className="follows"),
            html.Td(_found(row, said), className="found"),
            html.Td("the watchlist file" if in_file else "added by hand", className="origin"),
            html.Td(html.Span(words, className=f"pill {tone}"), className="state"),
            html.Td(html.Div([pause, remove], className="row-acts"), className="actions"),
        ]
    )


def _follows(row: dict[str, Any]) -> list[Any]:
    if row["source_id"]:
        lead = row["name"] or f"Event {row['source_id']}"
        rest = [f"event {row['source_id']}"] if row["name"] else []
    else:
        lead, *rest = [part for part in (row["text"], row["venue"], row["city"]) if part]
    span = [f"{word} {row[name]:%-d %b %Y}" for name, word in (("since", "from"), ("until", "to")) if row[name]]
    where = f"on {text.source_name(row['source'])}" if row["source"] else "on every source"
    return [html.Strong(lead), html.Span(" · ".join([*rest, *span, where]), className="detail")]


def _found(row: dict[str, Any], said: str) -> list[Any]:
    count = row["events"] + row["gone"]
    if not count:
        return [html.Span("nothing yet", className="quiet")]
    words = f"{text.count(row['events'])} event{'' if row['events'] == 1 else 's'}"
    button = _act(words, {"type": FOUND, "entry": row["id"]}, f"Show the {words} that this found: {said}")
    details = [f"next {row['next']:%-d %b %Y}"] if row["next"] else []
    details += [f"{text.count(row['gone'])} gone"] if row["gone"] else []
    return [button, html.Span(", ".join(details), className="detail")]


def link_table(links: pl.DataFrame, *, searched: bool) -> Any:
    """A page of `loaders.links`: a heading row for each event, and its listings beneath."""
    if links.is_empty():
        return nothing(
            "No listing like that. Clear the search, or look at all of them."
            if searched
            else "No source has listed an event yet. What the watchlist finds appears here, with the event that it is."
        )
    rows = []
    for one in links.partition_by("event_id", maintain_order=True):
        first = one.row(0, named=True)
        address = f"/event?{urlencode({'event': first['event_id']})}"
        several = f" · {first['listings']} listings are this event" if first["listings"] > 1 else ""
        rows.append(
            html.Tr(
                html.Th([dcc.Link(first["event"], href=address),
                         html.Span(f"{first['event_id']}{several}", className="detail")], colSpan=4, scope="rowgroup"),
                className="group",
            )
        )  # fmt: skip
        rows += [_link(row) for row in one.iter_rows(named=True)]
    return _table("links", "Listings by event", ["Listing", "Show", "How sure", "Actions"], rows)


def _link(row: dict[str, Any]) -> html.Tr:
    url = text.link(row["url"])
    name = html.A(row["name"], href=url, target="_blank", rel="noreferrer") if url else html.Span(row["name"])
    listing = f"{text.source_name(row['source'])} {row['source_id']}"
    key = {"source": row["source"], "id": row["source_id"]}
    own = row["event_id"] == f"{row['source']}-{row['source_id']}"
    acts = [_act("Another event…", {"type": RELINK, **key}, f"{listing} is another event")]
    if not own:
        acts.append(_act("Its own event", {"type": UNLINK, **key}, f"{listing} is an event of its own"))
    gone = [html.Span(f"gone: {row['gone']}", className="detail warn")] if row["gone"] else []
    return html.Tr(
        [
            html.Td([html.Span(listing, className="listing"), *gone]),
            html.Td([name, html.Span(_where_and_when(row), className="detail")]),
            html.Td(_sure(row, own)),
            html.Td(html.Div(acts, className="row-acts"), className="actions"),
        ]
    )


def _where_and_when(row: dict[str, Any]) -> str:
    day = f"{row['date']:%a %-d %b %Y}" if isinstance(row["date"], date) else "no date yet"
    return " · ".join(part for part in (row["venue"], row["city"], day) if part)


def _sure(row: dict[str, Any], own: bool) -> list[Any]:
    if row["decided_by"] == "user":
        return [html.Span("You said so", className="pill down")]
    if own:
        return [html.Span("first listing", className="quiet")]
    tone = "warn" if row["score"] < 0.9 else "flat"
    return [html.Span(f"{row['score']:.2f}", className=f"pill {tone}"),
            html.Span(evidence(row["evidence"]), className="detail")]  # fmt: skip


def evidence(told: str | None) -> str:
    """What a match rests on, in words: "name 0.93, venue 1.00, date 1.00"; "" when nothing is known."""
    try:
        found = json.loads(told or "{}")
        return ", ".join(
            f"{word} {float(found[key]['similarity']):.2f}" for key, word in _SUBJECTS.items() if key in found
        )
    except (ValueError, TypeError, KeyError):
        return ""


def preview(fields: dict[str, Any]) -> tuple[str, bool]:
    """What an entry of these fields would follow, or what is wrong with them; and whether it can be added."""
    try:
        entry = Entry.of(fields)
    except WatchlistError as error:
        said = str(error)
        return said[:1].upper() + said[1:] + ".", False
    where = "" if entry.source else " on every source"
    return f"Follows {entry}{where}.", True


def import_report(read: Read, new: int, known: int) -> Any:
    """What an import took, and each line that it did not, with its number and why."""
    parts = [f"{new:,} {_plural(new, 'entry', 'entries')} added"]
    if known:
        parts.append(f"{known:,} {_plural(known, 'was', 'were')} followed already")
    if not read.entries and not read.faults:
        parts = ["The file holds no entries"]
    faults = sorted(read.faults.items())
    lines = [html.Li([html.Strong(f"Line {line}"), f" {fault}"]) for line, fault in faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        lines.append(html.Li(f"… and {len(faults) - MOST_FAULTS:,} more"))
    missed = (
        [html.P(f"{len(faults):,} {_plural(len(faults), 'line was', 'lines were')} not taken:"), html.Ol(lines)]
        if faults
        else []
    )
    return html.Div([html.P(html.Strong(", ".join(parts) + ".")), *missed], className="import-report")


def export_frame(entries: pl.DataFrame) -> pl.DataFrame:
    """Entries in the columns that an import reads: what is taken away can be brought back, and adds nothing."""
    return entries.select(
        pl.col("text").alias("artist"), "venue", "city", "since", "until", "source", pl.col("source_id").alias("id")
    ).select(KEYS)


def _table(name: str, label: str, columns: list[str], rows: list[html.Tr]) -> html.Table:
    head = html.Thead(html.Tr([html.Th(column, scope="col") for column in columns]))
    return html.Table([head, html.Tbody(rows)], className=f"rows {name}", **named(label))


def _act(words: str, key: dict[str, Any], label: str) -> Any:
    return dmc.Button(words, id=key, variant="subtle", size="compact-sm", **named(label))


def _plural(number: int, one: str, many: str) -> str:
    return one if number == 1 else many
