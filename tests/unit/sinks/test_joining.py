"""The process that joins the lake's small files; what joining does to them is in test_lake.py."""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

import pytest

from analytics import lake
from analytics.lake import Name
from sinks.joining import Joiner, main
from sinks.lake import LakeSink, LakeWriter
from tests.unit.sinks import rows

PATIENCE = 30.0


def small_files(directory: Path, count: int, partition: int = 0) -> list[Path]:
    """So many files of one row each, and the folders they are in."""
    writer = LakeWriter(directory / "prices")
    for offset in range(count):
        writer.add([rows.frame([rows.price(offset, partition=partition)])])
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


def test_files_that_cannot_be_joined_stay_and_it_is_told_and_not_tried_again_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder,), joiner = small_files(tmp_path, 16), Joiner()
    lake.files(tmp_path)[3].write_bytes(b"no Parquet")
    with caplog.at_level(logging.WARNING):
        joiner.start([folder])
        wait(joiner)
    assert "not joined (status 1)" in caplog.text
    joiner.start([folder])
    assert not joiner.busy
    assert len(lake.files(tmp_path)) == 16


def test_a_file_that_cannot_be_read_keeps_no_other_partition_from_being_joined(tmp_path: Path) -> None:
    small_files(tmp_path, 16)
    lake.files(tmp_path)[3].write_bytes(b"no Parquet")
    (folder,) = small_files(tmp_path, 16, partition=1)
    assert main([str(os.getppid()), str(folder)]) == 1
    assert (1, 1, 0, 15) in [Name.of(path) for path in lake.files(tmp_path)]


def test_the_flow_goes_on_when_no_process_can_be_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    joiner = Joiner()
    joiner.start(small_files(tmp_path, 16))
    assert not joiner.busy
    assert "not joined" in caplog.text


def test_a_stopped_joiner_leaves_nothing_half_done(tmp_path: Path) -> None:
    (folder,), joiner = small_files(tmp_path, 16), Joiner()
    joiner.start([folder])
    assert joiner._process is not None
    (folder / f"0001-0000-0-15.{joiner._process.pid}.tmp").touch()
    joiner.stop()
    assert not joiner.busy
    assert list(folder.glob("*.tmp")) == []
    assert len(lake.files(tmp_path)) == 16
    joiner.start([folder])
    assert not joiner.busy, "it was stopped for good"


def test_it_joins_nothing_once_the_process_that_began_it_has_ended(tmp_path: Path) -> None:
    """Another flow may be at work in the folder by then."""
    (folder,) = small_files(tmp_path, 16)
    assert main(["1", str(folder)]) == 0, "this test is no child of process 1"
    assert len(lake.files(tmp_path)) == 16
    assert list(folder.glob("*.tmp")) == []


def test_the_sink_has_its_files_joined(tmp_path: Path) -> None:
    part = LakeSink(tmp_path, lambda: "a database").build_part("lake", "lake", None)
    try:
        for offset in range(16):
            part.write_batch([rows.frame([rows.price(offset)])])
            part.snapshot()
        deadline = time.monotonic() + PATIENCE
        while [Name.of(path) for path in lake.files(tmp_path)] != [(1, 0, 0, 15)]:
            assert time.monotonic() < deadline, f"not joined in {PATIENCE} s: {lake.files(tmp_path)}"
            time.sleep(0.02)
    finally:
        part.close()
