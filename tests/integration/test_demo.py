"""`make demo`'s supervisor: everything up, everything equal, everything gone."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from urllib.request import urlopen

import psutil

from tests.support.demo import demo


def test_a_timed_demo_ends_equal_to_the_oracle_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--for", "8") as running:
        status = running.end(150)
    said = running.said
    assert status == 0, said
    assert "all equal" in said
    published = re.search(r"published to raw_prices +(\d+)", said)
    assert published is not None
    assert int(published[1]) > 30_000, "45 minutes of past and some seconds of present"
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_every_process_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        with urlopen(f"{running.address()}/health", timeout=10) as answer:
            assert answer.status == 200
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) >= 4, "Postgres, the flow, the page and the market"
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0, running.said
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert list(tmp_path.iterdir()) == []
