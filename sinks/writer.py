"""A writer thread with a bounded queue and a barrier: what the sinks share."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

X = TypeVar("X")

_STOP = object()


class Writer(Generic[X]):
    """Hand items to a thread that writes them in order, many at a time.

    The flow goes on while the thread copies (the GIL is free in COPY, Parquet and network); a full queue makes it
    wait, which is the back-pressure. An error in the thread is raised in the flow at its next call.

    Args:
        name: of the thread.
        write: called with what has gathered since the last call, and with whether a barrier waits for it; when it
            returns from a call with a barrier, everything handed over so far is durable.
        size: how many items may wait.
        every: seconds after which `write` is called even when nothing came, so that it can write what it held back.
    """

    def __init__(self, name: str, write: Callable[[list[X], bool], None], size: int = 256, every: float = 0.25) -> None:
        self._write = write
        self._every = every
        self._queue: queue.Queue[object] = queue.Queue(size)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: X) -> None:
        """Hand over one item; waits while the queue is full."""
        self._offer(item)

    def barrier(self) -> None:
        """Return when everything handed over is durable.

        Raises:
            Exception: whatever stopped the thread.
        """
        reached = threading.Event()
        self._offer(reached)
        while not reached.wait(0.1):
            self._check()
        self._check()

    def stop(self) -> None:
        """End the thread without writing what waits: after a crash, what is not committed is read again."""
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._queue.put(_STOP)
        self._thread.join(5)

    def _offer(self, item: object) -> None:
        while True:
            self._check()
            try:
                return self._queue.put(item, timeout=0.5)
            except queue.Full:
                continue

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            self._error = error

    def _turn(self) -> bool:
        items: list[X] = []
        barriers: list[threading.Event] = []
        try:
            waiting = self._queue.get(timeout=self._every)
            deadline = time.monotonic() + self._every
            while True:
                if waiting is _STOP:
                    return False
                if isinstance(waiting, threading.Event):
                    barriers.append(waiting)
                else:
                    items.append(waiting)  # type: ignore[arg-type]
                if time.monotonic() > deadline:
                    break
                waiting = self._queue.get_nowait()
        except queue.Empty:
            pass
        self._write(items, bool(barriers))
        for reached in barriers:
            reached.set()
        return True
