"""Messages that were refused, such that whatever stands in them can be read and does nothing."""

from __future__ import annotations

import unicodedata
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
import polars as pl
from dash import html

from dash_app import text
from dash_app.loaders.dead_letters import Letter
from dash_app.views.aria import named
from dash_app.views.cards import nothing
from dash_app.views.health import size

OPEN = "dead-open"
"""Type of the rows' buttons: {"type": OPEN, "letter": "<id>"}."""
MOST_SHOWN = 16_384
_HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"}


def dead_letter_table(letters: pl.DataFrame, zone: str, *, filtered: bool) -> Any:
    """A page of `loaders.dead_letters`, a row each with a button that opens it."""
    if letters.is_empty():
        return nothing("No message was refused for this reason." if filtered else "No message has been refused.")
    columns = ["Time", "Why", "Where it stands", "Size", "Message"]
    return html.Table(
        [
            html.Thead(html.Tr([html.Th(column, scope="col") for column in columns])),
            html.Tbody([_letter(row, zone) for row in letters.iter_rows(named=True)]),
        ],
        className="rows dead", **named("Refused messages"),
    )  # fmt: skip


def _letter(row: dict[str, Any], zone: str) -> html.Tr:
    where = f"{row['topic']} {row['partition']} / {row['offset']}"
    button = dmc.Button("Open", id={"type": OPEN, "letter": str(row["id"])}, variant="subtle", size="compact-sm",
                        **named(f"Open the message at {where}"))  # fmt: skip
    return html.Tr(
        [
            html.Td(text.clock(row["time"], zone, "%-d %b %H:%M:%S"), className="time"),
            html.Td(
                [html.Strong(readable(row["reason"])), html.Span(readable(row["detail"] or ""), className="detail")]
            ),
            html.Td(where, className="position"),
            html.Td(size(row["size"]), className="number"),
            html.Td(html.Div(button, className="row-acts"), className="actions"),
        ]
    )


def letter_view(letter: Letter, zone: str) -> Any:
    """One refused message: what is known of it, and its content."""
    facts = [
        ("Why", ": ".join(readable(part) for part in (letter.reason, letter.detail) if part)),
        ("When", text.clock(letter.time, zone, "%-d %b %Y %H:%M:%S")),
        ("Where", f"topic {letter.topic}, partition {letter.partition}, offset {letter.offset}"),
        ("Size", f"{letter.size:,} bytes"),
    ]
    shown = as_text(letter.payload[:MOST_SHOWN])
    left_out = letter.size - min(len(letter.payload), MOST_SHOWN)
    more = (
        [html.P(f"{left_out:,} more bytes are not shown; the whole stands in the topic as long as that keeps it.",
                className="note")]
        if left_out > 0
        else []
    )  # fmt: skip
    content = (
        html.Pre(shown, tabIndex=0, className="raw", dir="ltr", role="region", **named("Content of the message"))
        if shown
        else html.P("The message has no content.", className="nothing")
    )
    return html.Div(
        [html.Dl([part for name, said in facts for part in (html.Dt(name), html.Dd(said))], className="facts"),
         content, *more],
        className="fields",
    )  # fmt: skip


def as_text(payload: bytes) -> str:
    """Bytes as text that hides nothing: what is no UTF-8 as \\xff, and see `readable`; lines stay lines."""
    return "\n".join(readable(line) for line in payload.decode("utf-8", "backslashreplace").split("\n"))


def readable(said: str) -> str:
    """Text in which what has no shape of its own is seen: control characters by their pictures (␀, ␉), and what
    turns the direction of writing, or is not seen at all, by its number (⟨U+202E⟩)."""
    return "".join(_seen(letter) for letter in said)


def _seen(letter: str) -> str:
    code = ord(letter)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"⟨U+{code:04X}⟩" if unicodedata.category(letter) in _HIDDEN else letter
