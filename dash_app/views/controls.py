"""Controls that every page uses."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import html

from dash_app.views.aria import named


def segments(name: str, choices: list[tuple[str, str]], value: str | None, label: str) -> Any:
    """One of a few, side by side: (value, words) each."""
    data = [{"value": key, "label": words} for key, words in choices]
    return html.Div(dmc.SegmentedControl(id=name, data=data, value=value, size="sm", radius="md"),
                    role="group", **named(label))  # fmt: skip


def multi(name: str, label: str, placeholder: str, value: list[str]) -> Any:
    """Some of many, found by typing."""
    return dmc.MultiSelect(id=name, label=label, placeholder=placeholder, data=[], value=value, searchable=True,
                           clearable=True, hidePickedOptions=True, maxValues=12, limit=200)  # fmt: skip
