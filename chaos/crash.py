"""`python -m chaos.crash POINT N …`: `bytewax.run …` that is killed at the N-th passing of a named point.

The points are wrapped from outside, in this process only: production code has no hook that anything could arm.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

POINTS = (
    "before a COPY",
    "after a COPY, before the commit",
    "after a commit, before the snapshot",
    "all sinks durable, before the snapshot",
    "a lake file written, not renamed",
    "a lake file renamed, not synced",
    "a message posted, not recorded",
    "messages in Kafka's queue",
)
"""Where the process can be killed."""


class _Fuse:
    """Kills this process with SIGKILL at its n-th passing."""

    def __init__(self, passings: int) -> None:
        self._left = passings

    def burn(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, passings: int) -> None:
    """Put a fuse at a point."""
    fuse = _Fuse(passings)

    def before(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        inner = getattr(owner, name)

        def burning(*args: Any, **kwargs: Any) -> Any:
            if when(*args):
                fuse.burn()
            return inner(*args, **kwargs)

        setattr(owner, name, burning)

    def after(owner: Any, name: str, when: Callable[..., bool] = lambda *_: True) -> None:
        inner = getattr(owner, name)

        def burning(*args: Any, **kwargs: Any) -> Any:
            answer = inner(*args, **kwargs)
            if when(*args):
                fuse.burn()
            return answer

        setattr(owner, name, burning)

    def into_the_lake(_source: object, target: object) -> bool:
        return str(target).endswith(".parquet")

    from sinks import discord, kafka, postgres, writer

    arms: dict[str, Callable[[], None]] = {
        "before a COPY": lambda: before(postgres, "_copy"),
        "after a COPY, before the commit": lambda: after(postgres, "_copy"),
        "after a commit, before the snapshot": lambda: after(postgres, "commit"),
        "all sinks durable, before the snapshot": lambda: after(writer.Writer, "barrier"),
        "a lake file written, not renamed": lambda: before(Path, "rename", into_the_lake),
        "a lake file renamed, not synced": lambda: after(Path, "rename", into_the_lake),
        "a message posted, not recorded": lambda: after(discord.Webhook, "send"),
        "messages in Kafka's queue": lambda: before(kafka._Partition, "_flush"),
    }
    arms[point]()


if __name__ == "__main__":
    _, POINT, PASSINGS, *REST = sys.argv
    arm(POINT, int(PASSINGS))
    sys.argv = ["bytewax.run", *REST]
    runpy.run_module("bytewax.run", run_name="__main__", alter_sys=True)
