"""The menu that takes a table away."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]


def export_menu(what: str) -> Any:
    """CSV, Parquet and xlsx of the export `what` of a page, as the address's view shows it."""
    return dmc.Menu([], id=f"export-{what}")
