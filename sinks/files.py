"""Files that appear whole: written aside, synced, renamed."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import polars as pl

_SYNCS = 4


class Aside(NamedTuple):
    """A file that has been written under another name, and the one that it shall have."""

    path: Path
    target: Path


def write(folder: Path, name: str, rows: pl.DataFrame, row_group: int | None = None) -> Aside:
    """Write rows as a Parquet file aside, with a name that no other process uses.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    aside = folder / f"{name}.{os.getpid()}.tmp"
    try:
        return _written(aside, rows, folder / f"{name}.parquet", row_group)
    except BaseException:
        aside.unlink(missing_ok=True)  # a disk that is full shall not stay so for it
        raise


def _written(aside: Path, rows: pl.DataFrame, target: Path, row_group: int | None) -> Aside:
    try:
        rows.write_parquet(aside, compression="zstd", compression_level=1, row_group_size=row_group)
    except pl.exceptions.PolarsError as error:
        # Some failures of a disk are told as Parquet that is out of specification.
        found = re.search(r"os error (\d+)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(aside)) from error
    return Aside(aside, target)


def publish(files: list[Aside]) -> None:
    """Let files appear whole, each in place of an older one of its name, and be there for good.

    Many are synced at once: a disk takes hardly longer for four than for one, and the flow waits for it.
    """
    with ThreadPoolExecutor(_SYNCS) as pool:
        list(pool.map(sync, [file.path for file in files]))
    for file in files:
        file.path.rename(file.target)
    for folder in {file.target.parent for file in files}:
        sync(folder)


def sync(path: Path) -> None:
    """Let a file, or what stands in a folder, be there for good."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
