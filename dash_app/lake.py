"""The lake as the dashboard reads it: DuckDB over the Parquet files, a cursor for each question."""

from __future__ import annotations

from pathlib import Path


class Lake:
    """Read-only questions to the lake, from any thread. Opens on first use."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
