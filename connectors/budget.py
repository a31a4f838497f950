"""The ledger of a source's calls: none is made that the source's budget does not have."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import msgspec

from connectors.source import Budget, Held

DAY = 86_400


class Quota(msgspec.Struct, frozen=True):
    """What a source itself said is left: calls, until `resets_at` (Unix seconds)."""

    left: int
    resets_at: float


class LedgerState(msgspec.Struct, frozen=True):
    """A ledger at a moment (`at`, Unix seconds): calls of each minute, and the source's own word."""

    at: float
    minutes: dict[int, int]
    quota: Quota | None


class Ledger:
    """Counts a source's calls over the last 24 hours, and makes each wait for its turn. Safe to share between threads.

    Args:
        budget: of the source.
        clock: Unix seconds.
        sleep: seconds to wait.
    """

    def __init__(
        self, budget: Budget, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.budget = budget
        self._clock, self._sleep = clock, sleep
        self._minutes: dict[int, int] = {}  # minute -> calls in it
        self._next = self._seen = 0.0
        self._quota: Quota | None = None
        self._lock = threading.Lock()
        self.on_call: Callable[[], None] | None = None
        """Called for each call, when it is counted and before it is made."""

    def take(self) -> None:
        """Wait for a call's turn and count it.

        Raises:
            Held: the day's budget is spent; says until when.
        """
        with self._lock:
            now = self._clock()
            # A clock that was set back must not make us wait until it is there again.
            self._next = min(self._next, self._next - self._seen + now)
            self._seen = now
            if self._left(now) < 1:
                ours = self._spent(now) >= self.budget.calls_a_day
                what = f"the day's budget of {self.budget.calls_a_day:,} calls" if ours else "the source's own quota"
                raise Held(f"{what} is spent", max(self._frees_at(now) - now, 1.0))
            turn = max(now, self._next)
            self._next = turn + 1 / self.budget.calls_a_second
            self._count(turn, 1)
            if self._quota is not None:
                self._quota = Quota(self._quota.left - 1, self._quota.resets_at)
        if self.on_call is not None:
            self.on_call()
        if turn > now:
            self._sleep(turn - now)

    def told(self, quota: Quota) -> None:
        """Take the source's own word on what is left; a word for longer than a day is believed for a day."""
        with self._lock:
            self._quota = Quota(quota.left, min(self._clock() + DAY, quota.resets_at))

    @property
    def spent(self) -> int:
        """Calls in the last 24 hours."""
        with self._lock:
            return self._spent(self._clock())

    @property
    def left(self) -> int:
        """Calls that may be made now: by our count of 24 hours and by what the source said, whichever is less."""
        with self._lock:
            return self._left(self._clock())

    def dump(self) -> LedgerState:
        """State for a recovery store."""
        with self._lock:
            return LedgerState(self._clock(), dict(self._minutes), self._quota)

    def load(self, state: LedgerState, unseen_seconds: float) -> None:
        """Go on from a `dump`.

        Calls made after it and before a crash are in no state: as many as can have been made, within
        `unseen_seconds`, are counted as made.
        """
        with self._lock:
            self._minutes, self._quota = dict(state.minutes), state.quota
            now = self._clock()
            unseen = min(max(now - state.at, 0.0), unseen_seconds)
            self._count(now, math.ceil(unseen * self.budget.calls_a_second))

    def _count(self, when: float, calls: int) -> None:
        minute = int(when // 60)
        self._minutes[minute] = self._minutes.get(minute, 0) + calls

    def _spent(self, now: float) -> int:
        # A minute that has only partly left the last 24 hours counts whole: never over, at worst a minute too careful.
        oldest = int((now - DAY) // 60)
        for minute in [m for m in self._minutes if m < oldest]:
            del self._minutes[minute]
        return sum(self._minutes.values())

    def _left(self, now: float) -> int:
        ours = self.budget.calls_a_day - self._spent(now)
        if self._quota is None or now >= self._quota.resets_at:
            return max(ours, 0)
        return max(min(ours, self._quota.left), 0)

    def _frees_at(self, now: float) -> float:
        ours = self.budget.calls_a_day - self._spent(now)
        frees = now if ours > 0 or not self._minutes else (min(self._minutes) + 1) * 60 + DAY
        theirs = self._quota.resets_at if self._quota is not None and self._quota.left < 1 else 0.0
        return max(frees, theirs)
