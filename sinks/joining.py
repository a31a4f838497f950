"""Joining the lake's small files, in a process of its own: in the flow's, it took both cores for seconds once a minute,
and a quarter of a gigabyte.

    python -m sinks.joining PROCESS FOLDER...

It takes what time others leave (`nice`), and lets nothing appear once the process that began it has ended.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
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
_PAUSE = 60.0  # seconds after a failure


class Joiner:
    """Has the files of folders joined, one process at a time. Nothing depends on it: what cannot be joined is read as it is."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._folders: list[Path] = []
        self._not_before = 0.0
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether files are being joined now."""
        if self._process is None:
            return False
        status = self._process.poll()
        if status is None:
            return True
        if status:
            self._failed(f"status {status}")
        self._forget()
        return False

    def start(self, folders: Iterable[Path]) -> None:
        """Join what there is to join in these folders, if there is anything; returns at once."""
        self._folders = [folder for folder in folders if any(_to_join(folder))]
        if not self._folders or self._stopped or time.monotonic() < self._not_before:
            return
        command = [sys.executable, "-m", __name__, str(os.getpid()), *map(str, self._folders)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "POLARS_MAX_THREADS": "1"}
        try:
            # In a session of its own: Ctrl-C is for the flow, which drains and then ends this one.
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)
        except OSError as error:
            self._failed(str(error))

    def stop(self) -> None:
        """End the process; what it has not finished is joined another time."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
            self._forget()

    def _failed(self, why: str) -> None:
        self._not_before = time.monotonic() + _PAUSE
        log.warning("small files of the lake were not joined (%s): they are read as they are", why)

    def _forget(self) -> None:
        """Remove what the process has left half done."""
        assert self._process is not None
        for folder in self._folders:
            for scrap in folder.glob(f"*.{self._process.pid}.tmp"):
                scrap.unlink(missing_ok=True)
        self._process = None


def join(folder: Path, wanted: Callable[[], bool] = lambda: True) -> bool:
    """Join each partition's small files once there are many, and say whether there were.

    The joined file's name covers theirs, so that readers and restarts ignore the old ones from the moment it appears. Its
    rows stand event by event, as most readers ask for one event; no reader may depend on that.

    Args:
        folder: of a day.
        wanted: is asked before a file appears.

    Raises:
        OSError: some could not be read or written (or Polars' own error); the others are joined.
    """
    joined, failure = False, None
    for run in list(_to_join(folder)):
        try:
            joined |= _join(folder, run, wanted)
        except (OSError, pl.exceptions.PolarsError) as error:
            log.error("%s to %s: %s", run[0], run[-1].name, error)
            failure = error
    if failure is not None:
        raise failure
    return joined


def _join(folder: Path, run: list[Path], wanted: Callable[[], bool]) -> bool:
    rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in run])
    first, last = Name.of(run[0]), Name.of(run[-1])
    name = Name(first.stream, first.partition, first.first, last.last)
    joined = write(folder, str(name), rows.sort("event_id", "timestamp", "id"), _ROW_GROUP)
    if not wanted():
        joined.path.unlink(missing_ok=True)
        return False
    publish([joined])
    return True


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


def main(arguments: list[str]) -> int:
    """Join all that there is to join, for the process with that id and no longer than it runs."""
    begun_by, *folders = arguments
    status = 0
    for folder in map(Path, folders):
        try:
            # Another flow may be at work here once that one has ended.
            while join(folder, lambda: os.getppid() == int(begun_by)):
                pass
        except (OSError, pl.exceptions.PolarsError):
            status = 1  # told by `join`
    return status


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s sinks.joining: %(message)s")
    sys.exit(main(sys.argv[1:]))
