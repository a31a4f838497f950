"""The process that joins the lake's small files; what joining does to them is in test_lake.py."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from analytics import lake
from analytics.lake import Name
from sinks.joining import Joiner, main
from sinks.lake import LakeWriter
from tests.unit.sinks import rows

PATIENCE = 30.0


def small_files(directory: Path, count: int) -> list[Path]:
    """So many files of one row each, and the folders they are in."""
    writer = LakeWriter(directory / "prices")
    for offset in range(count):
        writer.add([rows.frame([rows.price(offset)])])
        writer.flush()
    return writer.untidy()


def wait(joiner: Joiner) -> None:
    deadline = time.monotonic() + PATIENCE
    while joiner.busy:
        assert time.monotonic() < deadline, f"still joining after {PATIENCE} s"
        time.sleep(0.02)


def test_small_files_are_joined_by_another_process(tmp_path: Path) -> None:
    folders, joiner = small_files(tmp_path, 16), Joiner()
    joiner.start(folders)
    assert joiner.busy, "it was not left to another process"
    wait(joiner)
    assert [Name.of(path) for path in lake.files(tmp_path)] == [(1, 0, 0, 15)]


def test_no_process_is_begun_when_there_is_nothing_to_join(tmp_path: Path) -> None:
    joiner = Joiner()
    joiner.start(small_files(tmp_path, 15))
    assert not joiner.busy


def test_files_that_cannot_be_joined_stay_and_it_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders, joiner = small_files(tmp_path, 16), Joiner()
    lake.files(tmp_path)[3].write_bytes(b"no Parquet")
    with caplog.at_level(logging.WARNING):
        joiner.start(folders)
        wait(joiner)
    assert "not joined (status 1)" in caplog.text
    assert len(lake.files(tmp_path)) == 16


def test_a_stopped_joiner_leaves_what_readers_see_as_it_was(tmp_path: Path) -> None:
    folders, joiner = small_files(tmp_path, 16), Joiner()
    joiner.start(folders)
    joiner.stop()
    assert not joiner.busy
    assert len(lake.files(tmp_path)) == 16


def test_it_joins_nothing_once_the_process_that_began_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another flow may be at work in the folder by then."""
    folders, parents = small_files(tmp_path, 16), iter([100, 1])
    monkeypatch.setattr(os, "nice", lambda by: by)
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    assert main([str(folder) for folder in folders]) == 0
    assert len(lake.files(tmp_path)) == 16
