"""The Bytewax source of what is polled: one partition, with a thread for each source.

One partition, and not one for each source: Bytewax cannot go on from a store with a partition that is no longer there,
and a source goes with its key.

**Delivery**: at least once. A snapshot has the state of the last outcome handed out; what was seen after it is looked at
again. **Budget**: kept through any crash. The ledgers are part of the snapshot; no look begins before a process's first
snapshot is durable, nor when the last is older than `LEASE_SECONDS`; and whoever goes on from the snapshot of a process
that was killed counts as made all the calls that it can have made since.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from connectors.budget import LedgerState
from connectors.kafka import _stopping
from connectors.poller import Outcome, Poller, Watch
from connectors.sources import Polled
from connectors.sources.feed import Feed
from connectors.watchlist import Watchlist, WatchlistError, load

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""How old the last durable snapshot may be for a look to begin."""

_LONGEST_LOOK = 300.0
_NAP = timedelta(milliseconds=20)
_WAITING_OUTCOMES = 64
_STOP_SECONDS = 5.0
_REFRESH_SECONDS = 3.0
_VERSION = 1


class _Saved(msgspec.Struct, array_like=True):
    """A source's part of a snapshot: its calls, whether it can have made more since, and its poller's state."""

    ledger: LedgerState
    asking: bool
    poller: bytes | None


class _Snapshot(msgspec.Struct, array_like=True):
    version: int
    sources: dict[str, _Saved]


class WatchFile:
    """Takes the entries of the watchlist's file over, whenever it has changed. A file that is not there says nothing."""

    def __init__(self, path: Path, watchlist: Watchlist) -> None:
        self._path, self._watchlist = path, watchlist
        self._read: tuple[int, int] | None = None

    def __call__(self) -> None:
        """Look whether the file has changed; what is wrong in it is logged, and nothing of it counts then."""
        try:
            found = self._path.stat()
        except OSError:
            return
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp == self._read:
            return
        try:
            added, removed = self._watchlist.sync(load(self._path))
        except WatchlistError as error:
            log.error("the watchlist file was not taken over: %s", error)
        except psycopg.Error as error:
            log.warning("the watchlist file waits for Postgres: %s", type(error).__name__)
            return
        else:
            log.info("%s: %d entries added, %d removed", self._path, added, removed)
        self._read = stamp


@dataclass(frozen=True)
class PollingSource(FixedPartitionedSource[Outcome, bytes]):
    """Poll sources.

    Args:
        sources: makes them; they belong to this.
        watch: the watchlist; all threads share it.
        interval: shortest seconds between two looks at one target, where a feed does not say otherwise.
        on_start: called once, before anything else.
        refresh: called at the start and every few seconds after that.
        spent: how many calls a source has made in the last 24 hours as far as is known, asked where no snapshot says so.
    """

    sources: Callable[[], Sequence[Polled]] = field(repr=False)
    watch: Watch = field(repr=False)
    interval: float
    on_start: Callable[[], None] = lambda: None
    refresh: Callable[[], None] = lambda: None
    spent: Callable[[str], int] = lambda _: 0

    def list_parts(self) -> list[str]:
        """One partition."""
        return ["sources"]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> _Partition:
        """Start polling."""
        self.on_start()
        return _Partition(self, _loaded(resume_state))


class _Partition(StatefulSourcePartition[Outcome, bytes]):
    def __init__(self, source: PollingSource, before: dict[str, _Saved]) -> None:
        self._saved = before  # that of sources that are not configured now stays
        self._outcomes: queue.Queue[Outcome | BaseException] = queue.Queue(_WAITING_OUTCOMES)
        self._ended = threading.Event()
        self._stop_by: float | None = None
        self._leased_until = 0.0
        self._snapshot_at: float | None = None
        self._threads: list[tuple[Polled, threading.Thread]] = []
        source.refresh()
        threading.Thread(target=self._refresh, args=(source.refresh,), name="watchlist", daemon=True).start()
        for polled in source.sources():
            saved = before.get(polled.name)
            _restore(polled, saved, source.spent)
            interval = polled.interval if isinstance(polled, Feed) else source.interval
            state = saved.poller if saved is not None else None
            before[polled.name] = _Saved(polled.ledger.dump(), True, state)
            poller = Poller(polled, source.watch, interval, state)
            thread = threading.Thread(target=self._run, args=(poller,), name=f"poll-{polled.name}", daemon=True)
            self._threads.append((polled, thread))
            thread.start()

    def _refresh(self, refresh: Callable[[], None]) -> None:
        while not self._ended.wait(_REFRESH_SECONDS):
            try:
                refresh()
            except BaseException as error:
                return self._offer(error)

    def _run(self, poller: Poller) -> None:
        """A source's thread."""
        try:
            while not self._ended.is_set():
                outcome, wait = poller.turn(time.monotonic() < self._leased_until)
                if outcome is not None:
                    self._offer(outcome)
                self._ended.wait(wait)
        except BaseException as error:
            self._offer(error)

    def _offer(self, outcome: Outcome | BaseException) -> None:
        while True:
            try:
                return self._outcomes.put(outcome, timeout=0.2)
            except queue.Full:
                if self._ended.is_set():
                    return

    def next_batch(self) -> list[Outcome]:
        if self._snapshot_at is not None:
            # Bytewax asks for the next epoch's first batch only when the last epoch is committed: now it is durable.
            self._leased_until, self._snapshot_at = self._snapshot_at + LEASE_SECONDS, None
        if _stopping.is_set() and self._stop_by is None:
            self._stop_by = time.monotonic() + _STOP_SECONDS
            self._ended.set()
        still_asking = any(thread.is_alive() for _, thread in self._threads)
        taken = list(self._taken())
        if self._stop_by is not None and not taken and not (still_asking and time.monotonic() < self._stop_by):
            raise StopIteration
        return taken

    def _taken(self) -> Iterator[Outcome]:
        for _ in range(_WAITING_OUTCOMES):
            try:
                outcome = self._outcomes.get_nowait()
            except queue.Empty:
                return
            if isinstance(outcome, BaseException):
                raise outcome
            self._saved[outcome.status.source].poller = outcome.state
            yield outcome

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _NAP

    def snapshot(self) -> bytes:
        self._snapshot_at = time.monotonic()
        for polled, thread in self._threads:
            saved = self._saved[polled.name]
            saved.asking = thread.is_alive()  # asked first: what comes after the dump is not in it
            saved.ledger = polled.ledger.dump()
        return msgspec.msgpack.encode(_Snapshot(_VERSION, self._saved))

    def close(self) -> None:
        self._ended.set()
        for polled, thread in self._threads:
            thread.join(1)
            if not thread.is_alive():
                polled.close()


def _restore(polled: Polled, saved: _Saved | None, spent: Callable[[str], int]) -> None:
    """Go on with the count of calls where it was left."""
    if saved is not None:
        polled.ledger.load(saved.ledger, LEASE_SECONDS + _LONGEST_LOOK if saved.asking else 0.0)
    elif calls := spent(polled.name):
        now = time.time()
        polled.ledger.load(LedgerState(now, {int(now // 60): calls}, None), 0.0)


def _loaded(state: bytes | None) -> dict[str, _Saved]:
    """What an earlier process saved, unless another version wrote it."""
    if state is None or msgspec.msgpack.decode(state)[0] != _VERSION:
        return {}
    return msgspec.msgpack.decode(state, type=_Snapshot).sources
