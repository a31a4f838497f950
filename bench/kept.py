"""What measurements found, kept in a file from which a chart is drawn: one JSON object, a list under each name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.services import environment


def keep(path: Path | None, name: str, found: list[dict[str, Any]], *, more: bool = False) -> None:
    """Write `found` under `name`, in place of what stood there or, with `more`, after it; what else the file holds stays."""
    if path is None or not found:
        return
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    kept[name] = (kept.get(name, []) if more else []) + found
    kept["measured"] = measured()
    path.write_text(json.dumps(kept, indent=1) + "\n")


def measured() -> str:
    """When, and on what."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {environment()}"
