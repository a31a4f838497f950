"""How the pipeline is doing: its figures with what is normal, and what to do where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from dash import html

from dash_app import text
from dash_app.loaders.health import Health, Storage
from dash_app.views.aria import named
from dash_app.views.cards import figure_tile, nothing

_START = "python -m bytewax.run flows.prices -r recovery -s 5 -b 60"
_QUIET_AFTER = 20.0  # seconds without progress of the flow
_SINKS = {
    "postgres": ("Postgres", 2.0, "a commit", "See whether Postgres is busy, or its disk is full."),
    "lake": ("Lake", 5.0, "files at a snapshot", "See whether the lake's disk is slow or nearly full."),
    "kafka": ("Kafka", 5.0, "a flush", "See whether the brokers answer and their disks have room."),
}


@dataclass(frozen=True)
class Figure:
    """A figure of the pipeline, what is normal for it, and what to do; `wrong` when it is not normal."""

    label: str
    value: str
    detail: str
    normal: str
    do: str = ""
    wrong: bool = False


def figures(health: Health) -> list[Figure]:
    """The pipeline's figures in words."""
    rate, quiet = health.rate, health.quiet
    speed = text.UNKNOWN if rate is None else f"{rate:,.1f}" if rate < 10 else text.count(rate)
    silent = quiet is None or quiet > _QUIET_AFTER
    said = "never" if quiet is None else f"for {text.duration(quiet)}"
    return [
        Figure(
            "Events / s", speed, "measured" if health.measured else "last full minute", "what your sources send",
            "The flow has never run here. " + f"Start it: {_START}" if quiet is None else
            f"The flow has said nothing {said}. Start it, or see why it hangs: {_START}", silent,
        ),
        Figure(
            "Lag", text.count(health.lag), "messages to go", "under 10,000, and shrinking after a stop",
            "The flow is behind. After a stop it catches up by itself; if the lag grows for minutes, look at the sinks' "
            "times, then raise BATCH_SIZE or give the flow more workers.", _over(health.lag, 10_000),
        ),
        Figure(
            "Watermark delay", text.duration(health.watermark_delay), "behind the clock",
            "the allowed lateness and a few seconds",
            "Event time stands: a partition gets no prices or only old ones, or the flow is behind. Windows and alerts that "
            "wait for it come late.", _over(health.watermark_delay, 120),
        ),
        Figure(
            "Stored after", text.duration(health.stored_after), "95 % of new prices", "a few seconds",
            "Prices are long on their way into Postgres: look at the lag and at the sinks' times.",
            _over(health.stored_after, 60),
        ),
        Figure(
            "Recovery age", text.duration(health.recovery_age), "a restart reads this again", "a few times what -s says",
            "Snapshots do not come. Is the flow run with -r, and with -s 5 or, for very many listings, -s 60? A sink that hangs "
            "holds them up, too.", not silent and (health.recovery_age is None or health.recovery_age > 180),
        ),
        Figure(
            "Dead letters", text.count(health.dead), "refused so far", "none",
            "Messages were refused. See the reasons below, and mend whoever sends them.", _over(health.dead, 1),
        ),
        Figure("Quarantined", text.count(health.quarantined), "held so far", "one in some thousands"),
        Figure("Late", text.count(health.late), "stored, in no window", "few"),
        Figure(
            "Alerts waiting", text.count(health.waiting), "to be delivered", "none for long",
            "Alerts wait. See which channel fails or is slow below.", health.waiting >= 100,
        ),
        Figure(
            "Channels off", text.count(health.disabled), "given up", "none",
            "A channel refused everything for a day, or for good. Mend its address and restart the flow.",
            health.disabled > 0,
        ),
    ]  # fmt: skip


def verdict(found: list[Figure]) -> Any:
    """All is well, or what is not and what to do; a screen reader is told when that changes."""
    wrong = [one for one in found if one.wrong]
    if not wrong:
        return html.P([html.Span("All is well", className="pill down")], className="pipeline-verdict")
    return html.Div(
        [
            html.Span(f"{len(wrong)} to look at", className="pill warn"),
            html.Ul([html.Li([html.Strong(f"{one.label} {one.value}. "), one.do]) for one in wrong]),
        ],
        className="pipeline-verdict",
    )


def health_tiles(found: list[Figure]) -> list[Any]:
    """The figures as tiles; those that ask for attention are coloured."""
    return [
        figure_tile(one.label, one.value, [one.detail, html.Span(f"normal: {one.normal}", className="normal")],
                    tone="warn" if one.wrong else "")
        for one in found
    ]  # fmt: skip


def partition_table(partitions: pl.DataFrame) -> Any:
    """`loaders.health.partitions`, a row each."""
    if partitions.is_empty():
        return nothing("No partition has been read yet: the flow has not run, or the topic is empty.")
    columns = ["Partition", "Lag", "Watermark", "Accepted", "Quarantined", "Refused", "Late", "Progress"]
    rows = []
    for row in partitions.iter_rows(named=True):
        delay = text.UNKNOWN if row["delay"] is None else f"{text.duration(row['delay'])} behind"
        cells = [
            (f"{row['topic']} {row['partition']}", ""), (text.count(row["lag"]), "warn" if row["lag"] >= 10_000 else ""),
            (delay, "warn" if (row["delay"] or 0) >= 120 else ""), (text.count(row["accepted"]), ""),
            (text.count(row["quarantined"]), ""), (text.count(row["dead"]), ""), (text.count(row["late"]), ""),
            (f"{text.duration(row['updated'])} ago", "warn" if row["updated"] > _QUIET_AFTER else ""),
        ]  # fmt: skip
        rows.append(cells)
    return _table("partitions", "Partitions", columns, rows)


def sink_table(sinks: pl.DataFrame) -> Any:
    """`loaders.health.sink_times`: how long writes take, and what is normal."""
    if sinks.is_empty():
        return nothing("No readings in ten minutes. The flow writes them every five seconds while it runs.")
    rows, advice = [], []
    for row in sinks.iter_rows(named=True):
        name, limit, what, do = _SINKS.get(row["sink"], (row["sink"], 5.0, "a write", ""))
        slow = row["slow"] > limit
        rows.append(
            [(name, ""), (brief(row["typical"]), ""), (brief(row["slow"]), "warn" if slow else ""),
             (brief(row["slowest"]), ""), (f"{what} under {text.duration(limit)}", "")]
        )  # fmt: skip
        if slow:
            advice.append(html.P(f"{name} is slow. {do}", className="advice"))
    table = _table("sinks", "Sinks", ["Sink", "Half within", "95 % within", "Slowest", "Normal"], rows)
    note = "Of the longest write in every five seconds, over ten minutes."
    return html.Div([table, *advice, html.P(note, className="note")])


def channel_table(channels: pl.DataFrame, zone: str) -> Any:
    """`loaders.health.channels`: what waits, what was sent, and how long that took."""
    if channels.is_empty():
        return nothing("Nothing was ever sent. Set DISCORD_WEBHOOK_URL or a CHANNEL_<NAME>, and make a rule.")
    rows, advice = [], []
    for row in channels.iter_rows(named=True):
        waiting = text.count(row["waiting"])
        if row["oldest"] is not None:
            waiting += f", oldest {text.duration(row['oldest'])}"
        state, tone = ("off", "warn") if row["disabled"] else ("failing", "warn") if row["failing"] else ("works", "")
        rows.append(
            [(row["channel"], ""), (state, tone), (waiting, "warn" if (row["oldest"] or 0) > 300 else ""),
             (text.count(row["sent"]), ""), (text.duration(row["typical"]), ""), (text.duration(row["slow"]), "")]
        )  # fmt: skip
        since = row["disabled"] or row["failing"]
        if since:
            why = row["reason"] or "it refuses what it is sent"
            then = "Mend its address and restart the flow." if row["disabled"] else "It is tried again by itself."
            when = text.clock(since, zone, "%-d %b %H:%M")
            advice.append(html.P(f"{row['channel']} is {state} since {when}: {why}. {then}", className="advice"))
    columns = ["Channel", "State", "Waiting", "Sent in 24 h", "Half within", "95 % within"]
    return html.Div([_table("channels", "Channels", columns, rows), *advice])


def storage_tiles(stored: Storage) -> list[Any]:
    """What the database and the lake take."""
    scarce = stored.free is not None and stored.free < 5e9
    files = "not on this machine" if stored.files is None else f"{text.count(stored.files)} files"
    return [
        figure_tile("Database", size(stored.database), "all tables"),
        figure_tile("Lake", size(stored.lake), files),
        figure_tile("Free for the lake", size(stored.free), "normal: some days' worth", tone="warn" if scarce else ""),
    ]


def brief(seconds: float | None) -> str:
    """A length of time that may be a fraction of a second: "80 ms", "3.2 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds is not None and seconds < 1 else text.duration(seconds)


def size(count: int | None) -> str:
    """A number of bytes: "1.2 GB", in powers of a thousand."""
    if count is None:
        return text.UNKNOWN
    number = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit in {"bytes", "kB"} else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def _over(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit


def _table(name: str, label: str, columns: list[str], rows: list[list[tuple[str, str]]]) -> html.Table:
    """A table of figures; each cell with its tone, and on a phone with its column's name."""
    head = html.Thead(html.Tr([html.Th(column, scope="col") for column in columns]))
    body = []
    for cells in rows:
        parts: list[Any] = [html.Th(cells[0][0], scope="row")]
        for (words, tone), column in zip(cells[1:], columns[1:], strict=True):
            on_a_phone: dict[str, Any] = {"data-name": column}
            parts.append(html.Td(words, className=f"number {tone}".strip(), **on_a_phone))
        body.append(html.Tr(parts))
    return html.Table([head, html.Tbody(body)], className=f"readouts {name}", **named(label))
