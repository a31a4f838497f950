"""`make demo`, as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.postgres import free_port
from local.processes import ROOT, die_with_parent


@dataclass
class Demo:
    """A running demo; `lines` grow by what it says."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def said(self) -> str:
        """All of it."""
        return "".join(self.lines)

    def address(self) -> str:
        """Where its dashboard is, as soon as it says so."""
        deadline = time.monotonic() + 120
        while not (found := re.search(r"open +(http://\S+)", self.said)):
            assert self.process.poll() is None, f"the demo ended with status {self.process.returncode}:\n{self.said}"
            assert time.monotonic() < deadline, f"the demo does not come up:\n{self.said}"
            time.sleep(0.1)
        return found[1]

    def end(self, patience: float = 150) -> int:
        """Wait for its end, for as long as its processes have to end one after the other; gives the status."""
        return self.process.wait(patience)


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[Demo]:
    """The demo, its temporary files in `folder`; killed afterwards if it still runs."""
    folder.chmod(0o755)  # as root, the database runs as nobody
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "local.demo", "--port", str(free_port()), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env={**os.environ, "TMPDIR": str(folder)},
        preexec_fn=die_with_parent(),
    )  # fmt: skip
    with process:
        running = Demo(process)
        assert process.stdout is not None
        reader = threading.Thread(target=running.lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            yield running
        finally:
            process.kill()
            reader.join(30)
