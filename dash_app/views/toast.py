"""What is said in a corner for a moment, after somebody has done something."""

from __future__ import annotations

from typing import Any


def toast(message: str, *, failed: bool = False) -> list[dict[str, Any]]:
    """For `ids.TOASTS`: something was done, or could not be; then it stays until it is closed."""
    return [{"action": "show", "message": message, "color": "red" if failed else "teal",
             "autoClose": False if failed else 6000, "withBorder": True}]  # fmt: skip


AWAY = "Postgres does not answer. Nothing was changed; try again when the page says that it is back."
NO_TABLES = "The database has no tables yet. Make them with python -m sinks.schema, or start the flow."
