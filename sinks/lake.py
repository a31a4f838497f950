"""The lake sink: every price as Parquet, one folder for each day of event time, and which of them are held.

    lake/prices/day=2026-11-23/<stream>-<partition>-<first offset>-<last offset>.parquet
    lake/held/day=2026-11-23.parquet

**Delivery**: effectively once. A file appears whole (written aside, synced, renamed) and its name says which messages
it covers. A partition's rows come in the order of their offsets, so on start the names tell how far each (partition,
day) is durable, and a replay skips what is there, whatever the recovery store knows. What the shards doubt comes
later and in no such order: it is a set of (id, reason) for each day, to which a replay adds nothing. `snapshot()` returns
when everything handed over is in files and synced.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from analytics.lake import LAKE_COLUMNS, Name, current_files
from analytics.schema import MONEY, OFFSET_BITS, split_id, with_units
from sinks.files import Aside, publish, sync, write
from sinks.joining import Joiner
from sinks.writer import Writer

_MOST_ROWS = 100_000  # in memory they take up to half a kilobyte each
_GATHER = 16  # so many frames of a partition become one


@dataclass(frozen=True, slots=True)
class Held:
    """Doubted price rows, with their `reason`; the same rows come without it, too."""

    rows: pl.DataFrame


Item = pl.DataFrame | Held


@dataclass(frozen=True)
class LakeSink(FixedPartitionedSink[Item, None]):
    """Write price rows (with `late`, and `reason`, null unless they cannot be true) and what is `Held` under `directory`.

    Args:
        directory: the lake; one process at a time writes it.
        owner: tells the database whose stream numbers the files' names use.
    """

    directory: Path
    owner: Callable[[], str]

    def list_parts(self) -> list[str]:
        """One partition: a single writer owns the folder."""
        return ["lake"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        """Look what is there, and remove what a crash left half done.

        Raises:
            LakeTaken: another process writes this lake, or it was filled from another database.
        """
        return _Partition(self.directory, self.owner())


class LakeTaken(Exception):
    """This lake is not for us to write; the message says whose it is."""


def _claim(directory: Path, owner: str) -> IO[str]:
    """Take the lake for this process for as long as the file is open, and for `owner` for good."""
    directory.mkdir(parents=True, exist_ok=True)
    mark = (directory / "database").open("a+")
    try:
        _take(mark, directory, owner)
    except BaseException:
        mark.close()
        raise
    return mark


def _take(mark: IO[str], directory: Path, owner: str) -> None:
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise LakeTaken(f"another process is writing the lake {directory}; stop it first") from None
    mark.seek(0)
    known = mark.read()
    if not known:
        mark.write(owner)
        mark.flush()
    elif known != owner:
        raise LakeTaken(
            f"the lake {directory} was filled from another database, whose numbers its files' names use; "
            "set LAKE_DIR to a new folder"
        )


class _Partition(StatefulSinkPartition[Item, None]):
    def __init__(self, directory: Path, owner: str) -> None:
        self._claim = _claim(directory, owner)
        self._lake = LakeWriter(directory / "prices")
        self._held = HeldWriter(directory / "held")
        self._joiner = Joiner()
        self._writer: Writer[Item] = Writer("lake", self._write)

    def write_batch(self, values: list[Item]) -> None:
        for value in values:
            self._writer.put(value)

    def snapshot(self) -> None:
        self._writer.barrier()

    def close(self) -> None:
        self._writer.stop()
        self._joiner.stop()
        self._claim.close()

    def _write(self, items: list[Item], barrier: bool) -> None:
        self._lake.add(item for item in items if isinstance(item, pl.DataFrame))
        self._held.add(item.rows for item in items if isinstance(item, Held))
        if barrier or self._lake.waiting > _MOST_ROWS:
            self._held.flush()
            self._lake.flush()
        elif not self._joiner.busy:
            folders = self._lake.untidy()
            for folder in folders:
                self._lake.sweep(folder)
            self._joiner.start(folders)


class LakeWriter:
    """Gathers rows and writes them as files under `directory`.

    Args:
        directory: of the data set.
        keep_seconds: how long files stay that a joined one has replaced; a reader may hold their names that long.
    """

    def __init__(self, directory: Path, keep_seconds: float = 3600.0) -> None:
        self._directory = directory
        self._keep_seconds = keep_seconds
        self._frames: dict[int, list[pl.DataFrame]] = {}  # of each (stream, partition)
        self._durable: dict[tuple[str, int, int], int] = {}
        self._untidy: set[str] = set()
        self.waiting = 0
        directory.mkdir(parents=True, exist_ok=True)
        for folder in directory.glob("day=*"):
            for scrap in folder.glob("*.tmp"):
                scrap.unlink(missing_ok=True)
            self.sweep(folder)
            for path in current_files(folder.glob("*.parquet")):
                name = Name.of(path)
                key = (folder.name, name.stream, name.partition)
                self._durable[key] = max(name.last, self._durable.get(key, -1))

    def add(self, frames: Iterable[pl.DataFrame]) -> None:
        """Take price rows; within a partition they come in the order of their offsets."""
        for frame in frames:
            if frame.height:
                ends: Any = (frame["id"].min(), frame["id"].max())
                one = ends[0] >> OFFSET_BITS == ends[1] >> OFFSET_BITS  # as the flow's batches all are
                for part in [frame] if one else _by_partition(frame):
                    self._gather(part)
            self.waiting += frame.height

    def _gather(self, frame: pl.DataFrame) -> None:
        frames = self._frames.setdefault(frame["id"][0] >> OFFSET_BITS, [])
        frames.append(frame)
        if len(frames) >= _GATHER:  # now, and not while a barrier waits
            frames[:] = [pl.concat(frames, rechunk=True)]

    def flush(self) -> None:
        """Write and sync everything taken.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        if not self.waiting:
            return
        durable: dict[tuple[str, int, int], int] = {}
        written: list[Aside] = []
        for number, frames in self._frames.items():
            for day, part in _by_day(pl.concat(frames)):
                stream, partition, first = split_id(part["id"][0])
                key = (day, stream, partition)
                if first <= (before := self._durable.get(key, -1)):
                    part = part.filter(part["id"] > (number << OFFSET_BITS) + before)
                if part.height:
                    name = Name(stream, partition, split_id(part["id"][0])[2], split_id(part["id"][-1])[2])
                    written.append(self._put(self._directory / day, name, with_units(part, *MONEY)[LAKE_COLUMNS]))
                    durable[key] = name.last
                self._untidy.add(day)
        publish(written)
        self._durable |= durable
        self._frames, self.waiting = {}, 0

    def untidy(self) -> list[Path]:
        """The folders that were written to since this was last asked: there may be small files to join."""
        folders = [self._directory / day for day in self._untidy]
        self._untidy.clear()
        return folders

    def sweep(self, folder: Path) -> None:
        """Remove files that a joined one covers, once no reader that looked before it appeared can still want them."""
        paths = set(folder.glob("*.parquet"))
        for path in paths - set(current_files(paths)):
            if time.time() - path.stat().st_mtime >= self._keep_seconds:
                path.unlink()

    def _put(self, folder: Path, name: Name, rows: pl.DataFrame) -> Aside:
        if not folder.exists():
            folder.mkdir()
            sync(self._directory)
        return write(folder, str(name), rows)


class HeldWriter:
    """Keeps which prices are held: one file for each day, written anew when there is more to say; they are few."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._frames: list[pl.DataFrame] = []
        directory.mkdir(parents=True, exist_ok=True)
        for scrap in directory.glob("*.tmp"):
            scrap.unlink()

    def add(self, frames: Iterable[pl.DataFrame]) -> None:
        """Take price rows with their `reason`, in any order; what is known already changes nothing."""
        self._frames.extend(frames)

    def flush(self) -> None:
        """Write and sync everything taken.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        if not self._frames:
            return
        held = pl.concat(self._frames).select("id", "reason", day=pl.format("day={}", pl.col("timestamp").dt.date()))
        for (day,), told in held.partition_by("day", as_dict=True, include_key=False).items():
            path = self._directory / f"{day}.parquet"
            known = pl.read_parquet(path, hive_partitioning=False) if path.exists() else told.clear()
            news = told.unique("id").join(known, on="id", how="anti")
            if news.height:
                publish([write(self._directory, str(day), pl.concat([known, news]).sort("id"))])
        self._frames = []


def _by_partition(rows: pl.DataFrame) -> list[pl.DataFrame]:
    named = rows.with_columns(of=pl.col("id") // 2**OFFSET_BITS)
    return named.partition_by("of", include_key=False, maintain_order=True)


def _by_day(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """(folder, rows) of each day of event time."""
    times: Any = (rows["timestamp"].min(), rows["timestamp"].max())
    if times[0].date() == times[1].date():
        yield f"day={times[0].date()}", rows
        return
    dated = rows.with_columns(day=pl.col("timestamp").dt.date())
    for (day,), part in dated.partition_by("day", as_dict=True, include_key=False).items():
        yield f"day={day}", part
