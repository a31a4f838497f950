"""How a flow's process ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

from local.processes import ROOT

# What is registered first comes last: as when the libraries are taken apart, and one of them does not take it well.
_PROCESS = """
import atexit, os
atexit.register(os.abort)
from connectors.kafka import stopping
from flows import start
atexit.register(start.leave)
print("drained")
"""


@pytest.mark.parametrize(
    ("end", "status"),
    [("stopping.set()", 0), ("stopping.set(); raise ValueError('not written')", -6), ("", -6)],
    ids=["asked to stop", "asked to stop, and failed", "not asked"],
)
def test_a_process_that_has_drained_ends_before_anything_can_go_wrong(end: str, status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROCESS + end], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == status, ended.stderr
    assert ended.stdout == "drained\n", "what stood in the buffer"
    assert ("not written" in ended.stderr) == ("not written" in end)
