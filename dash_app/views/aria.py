"""Accessible names, in the form that Dash's components take them."""

from __future__ import annotations

from typing import Any

DECORATION: dict[str, Any] = {"aria-hidden": "true"}


def named(name: str) -> dict[str, Any]:
    """The attributes of a part that is called `name`."""
    return {"aria-label": name}


def named_by(part: str) -> dict[str, Any]:
    """The attributes of a part whose name is the text of the component with the id `part`."""
    return {"aria-labelledby": part}
