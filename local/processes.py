"""Child processes that end with their parent, each by its own process id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from settings import Settings

ROOT = Path(__file__).resolve().parent.parent


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """What a child runs first to be sent a signal when its parent dies without saying good-bye; Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded here: between fork and exec little is safe
    return lambda: prctl(1, number)


def _inherited() -> dict[str, str]:
    """This process's environment without ConScope's own settings: a child gets those that it is given."""
    own = {name.upper() for name in Settings.model_fields}
    return {k: v for k, v in os.environ.items() if k.upper() not in own and not k.upper().startswith(_PASSED_THROUGH)}


_PASSED_THROUGH = ("LIBRDKAFKA_", "CHANNEL_", "FEED_")


class Child:
    """A Python module of this project running in a process of its own, its output in a log file.

    Args:
        arguments: after `python -m`.
        environment: its settings, and whatever else is to be added to this process's.
        log: where stdout and stderr go.
        cwd: the working directory; the project stays importable.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path, cwd: Path | None = None) -> None:
        self.log = log
        self.name = " ".join(arguments[:2])
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        with log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal reaches the parent only, which ends its children in order.
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments], env={**_inherited(), "PYTHONPATH": path, **environment}, stdout=out,
                stderr=out, stdin=subprocess.DEVNULL, start_new_session=True, cwd=cwd or ROOT, preexec_fn=die_with_parent(),
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
