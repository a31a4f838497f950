"""What measurements found, kept in a file from which a chart is drawn: one JSON object, a list under each name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.services import environment


def keep(path: Path | None, name: str, found: list[dict[str, Any]], by: tuple[str, ...]) -> None:
    """Write `found` under `name`, each with when and on what it was measured, in place of what is the same `by` these."""
    if path is None or not found:
        return
    kept: dict[str, list[dict[str, Any]]] = json.loads(path.read_text()) if path.exists() else {}
    told = {tuple(one[key] for key in by): one for one in kept.get(name, [])}
    for one in found:
        told[tuple(one[key] for key in by)] = {**one, "measured": measured()}
    kept[name] = list(told.values())
    path.write_text(json.dumps(kept, indent=1) + "\n")


def measured() -> str:
    """When, and on what."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {environment()}"
