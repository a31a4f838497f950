"""`make demo`'s supervisor: everything up, everything equal, everything gone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from local.postgres import free_port
from local.processes import ROOT


@pytest.fixture
def demo(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """The demo, its temporary files under `tmp_path`; ended afterwards in any case."""
    tmp_path.chmod(0o755)  # as root, the database runs as nobody
    for folder in tmp_path.parents[:3]:
        folder.chmod(folder.stat().st_mode | 0o011)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "local.demo", "--port", str(free_port()), *request.param],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    with process:
        yield process
        process.kill()


@pytest.mark.parametrize("demo", [["--for", "8"]], indirect=True)
def test_a_timed_demo_ends_equal_to_the_oracle_and_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    said, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, said
    assert "all equal" in said
    published = re.search(r"published to raw_prices +(\d+)", said)
    assert published is not None
    assert int(published[1]) > 30_000, "45 minutes of past and some seconds of present"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("demo", [[]], indirect=True)
def test_ctrl_c_ends_every_process_and_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    assert demo.stdout is not None
    address = next(found[1] for line in demo.stdout if (found := re.search(r"open +(http://\S+)", line)))
    with urlopen(f"{address}/health", timeout=10) as answer:
        assert answer.status == 200
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 4, "Postgres, the flow, the page and the market"
    demo.send_signal(signal.SIGINT)
    demo.stdout.read()
    assert demo.wait(60) == 0
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert list(tmp_path.iterdir()) == []
