"""Joining the lake's small files, in a process of its own: in the flow's, it took both cores for seconds once a minute,
and a quarter of a gigabyte.

    python -m sinks.joining FOLDER...

It takes what time others leave (`nice`), and ends when the process that began it has ended.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from analytics.lake import Name, current_files
from sinks.files import publish, write

log = logging.getLogger(__name__)

_JOINED_BYTES = 8 << 20  # joining holds all rows in memory, some 350,000, and sorts them
_MERGE_AT, _SOME = 16, 4
_ROW_GROUP = 16_384  # of a joined file: a few events, so that one event's rows are found by the groups' statistics
_NICE = 19
_PATIENCE = 5.0


class Joiner:
    """Has the files of folders joined, one process at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def busy(self) -> bool:
        """Whether files are being joined now. What went wrong with those before is told once: they stay as they are."""
        if self._process is None or self._process.poll() is None:
            return self._process is not None
        if self._process.returncode:
            log.warning("small files of the lake were not joined (status %d): they are read as they are, and joined "
                        "later", self._process.returncode)  # fmt: skip
        self._process = None
        return False

    def start(self, folders: Iterable[Path]) -> None:
        """Join what there is to join in these folders, if there is anything; returns at once."""
        due = [str(folder) for folder in folders if any(_to_join(folder))]
        if due:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "POLARS_MAX_THREADS": "1"}
            self._process = subprocess.Popen([sys.executable, "-m", __name__, *due], env=environment)

    def stop(self) -> None:
        """End the process; what it has not finished is joined another time."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)
            self._process = None


def join(folder: Path) -> bool:
    """Join a partition's small files once there are many, and say whether there were.

    The joined file's name covers theirs, so that readers and restarts ignore the old ones from the moment it appears. Its
    rows stand event by event, as most readers ask for one event; no reader may depend on that.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    for run in _to_join(folder):
        rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in run])
        first, last = Name.of(run[0]), Name.of(run[-1])
        name = Name(first.stream, first.partition, first.first, last.last)
        publish([write(folder, str(name), rows.sort("event_id", "timestamp", "id"), _ROW_GROUP)])
        return True
    return False


def _to_join(folder: Path) -> Iterator[list[Path]]:
    """Neighbouring files of one partition that become one: once there are many, or when no other fits in any more."""
    run: list[Path] = []
    size = 0
    for path in current_files(folder.glob("*.parquet")):
        more, next_to = path.stat().st_size, bool(run) and Name.of(run[-1])[:2] == Name.of(path)[:2]
        if not next_to or size + more > _JOINED_BYTES:
            if len(run) >= (_SOME if next_to else _MERGE_AT):
                yield run
            run, size = [], 0
        run.append(path)
        size += more
    if len(run) >= _MERGE_AT:
        yield run


def main(folders: list[str]) -> int:
    """Join all that there is to join."""
    os.nice(_NICE)
    began_by = os.getppid()
    for folder in folders:
        while os.getppid() == began_by and join(Path(folder)):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
