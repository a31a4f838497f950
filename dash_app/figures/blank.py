"""A chart before anything is known."""

from __future__ import annotations

from typing import Any


def blank(height: int) -> dict[str, Any]:
    """An empty figure of that height in pixels, without axes."""
    axis, clear = {"visible": False}, "rgba(0,0,0,0)"
    look = {"height": height, "xaxis": axis, "yaxis": axis, "paper_bgcolor": clear, "plot_bgcolor": clear}
    return {"data": [], "layout": look}
