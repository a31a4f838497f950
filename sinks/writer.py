"""A writer thread with a bounded queue and a barrier: what the sinks share."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

X = TypeVar("X")

_STOP = object()


class Timing(NamedTuple):
    """How a writer has been doing, in seconds.

    Attributes:
        longest: its longest write since the last time that it was asked; None when it wrote nothing.
        since_barrier: since everything handed over was last durable; None before the first barrier.
    """

    longest: float | None
    since_barrier: float | None


@dataclass
class _Times:
    longest: float = -1.0
    barrier: float | None = None


_TIMES: dict[str, _Times] = {}


def timings() -> dict[str, Timing]:
    """The timings of this process' writers, by name, those of `postgres/…` as one with `postgres`."""
    found: dict[str, Timing] = {}
    now = time.monotonic()
    for name, times in list(_TIMES.items()):
        longest, times.longest = times.longest, -1.0
        one = Timing(None if longest < 0 else longest, None if times.barrier is None else max(now - times.barrier, 0.0))
        of = name.partition("/")[0]
        found[of] = one if of not in found else _slower(found[of], one)
    return found


def _slower(one: Timing, other: Timing) -> Timing:
    written = [timing.longest for timing in (one, other) if timing.longest is not None]
    since = [timing.since_barrier for timing in (one, other) if timing.since_barrier is not None]
    return Timing(max(written, default=None), max(since) if len(since) == 2 else None)


_WRITERS: WeakSet[Writer[Any]] = WeakSet()


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
        self._hurried = -1.0
        self._times = _TIMES[name] = _Times()
        _WRITERS.add(self)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: X) -> None:
        """Hand over one item; waits while the queue is full."""
        self._offer(item)

    def barrier(self) -> None:
        """Return when everything handed over is durable.

        The flow asks its sinks one after the other, and stands still meanwhile: the first that is asked lets the others
        begin.

        Raises:
            Exception: whatever stopped the thread.
        """
        for other in list(_WRITERS):
            if other is not self:
                other.hurry()
        reached = threading.Event()
        self._offer(reached)
        while not reached.wait(0.1):
            self._check()
        self._check()

    def hurry(self) -> None:
        """A barrier is near: begin to make durable what is there. Asked again within a second, it does nothing."""
        now = time.monotonic()
        if now - self._hurried > 1:
            self._hurried = now
            with suppress(queue.Full):
                self._queue.put_nowait(threading.Event())

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
        began = time.monotonic()
        self._write(items, bool(barriers))
        if items or barriers:
            now = time.monotonic()
            self._times.longest = max(self._times.longest, now - began)
            if barriers:
                self._times.barrier = now
        for reached in barriers:
            reached.set()
        return True
