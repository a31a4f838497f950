"""Child processes that end with their parent, each by its own process id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _die_with_parent() -> None:
    """In the child: ask the kernel for a SIGTERM when the parent dies without saying good-bye (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Child:
    """A Python module of this project running in a process of its own, its output in a log file.

    Args:
        arguments: after `python -m`.
        environment: added to this process's.
        log: where stdout and stderr go.
        cwd: the working directory; the project stays importable.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path, cwd: Path | None = None) -> None:
        self.log = log
        self.name = " ".join(arguments[:2])
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        prepare: Callable[[], None] | None = _die_with_parent if sys.platform == "linux" else None
        with log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal reaches the parent only, which ends its children in order.
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments], env={**os.environ, "PYTHONPATH": path, **environment}, stdout=out,
                stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, cwd=cwd or ROOT, preexec_fn=prepare,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, patience: float = 20.0) -> int:
        """End the process with SIGTERM, or SIGKILL when it does not listen; returns its exit status."""
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def kill(self) -> None:
        """End the process at once, with SIGKILL."""
        self.process.kill()
        self.process.wait()
