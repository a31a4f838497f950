"""The Bytewax source of what is polled: one partition, with a thread for each source.

One partition, and not one for each source: Bytewax cannot go on from a store with a partition that is no longer there,
and a source goes with its key.

**Delivery**: at least once. A snapshot has the state of the last outcome handed out; what was seen after it is looked at
again. **Budget**: kept through any crash. Each source's ledger stands in a journal beside the recovery store, which is
written before and after every question: whoever goes on counts all calls, and where a question was under way, as many as
it can have made. Without a store, the count of the last day is the one that the database has.
"""

from __future__ import annotations

import logging
import os
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

from connectors.budget import Ledger, LedgerState
from connectors.kafka import stopping
from connectors.poller import Outcome, Poller, Watch
from connectors.sources import Polled
from connectors.sources.feed import Feed
from connectors.watchlist import Watchlist, WatchlistError, load

log = logging.getLogger(__name__)

_BEAT = 30.0
_UNSEEN = 300.0  # seconds of calls that a crash can hide: a beat, and a call with its wait and its retries
_NAP = timedelta(milliseconds=20)
_WAITING_OUTCOMES = 16  # then the sources wait, too
_STOP_SECONDS = 5.0
_REFRESH_SECONDS = 3.0
_VERSION = 1


class _Snapshot(msgspec.Struct, array_like=True):
    """The pollers' states, by source."""

    version: int
    pollers: dict[str, bytes]


class _Entry(msgspec.Struct, array_like=True):
    """What a journal holds: the calls up to a moment, and whether a question was asked then."""

    version: int
    asking: bool
    ledger: LedgerState


class Journal:
    """A source's ledger in a file.

    Args:
        path: of the file; without one, nothing is kept.
        ledger: of the source.
    """

    def __init__(self, path: Path | None, ledger: Ledger) -> None:
        self._path, self._ledger = path, ledger
        self._kept = 0.0
        if path is not None:
            ledger.on_call = self._beat

    def restore(self) -> bool:
        """Load the ledger with what was kept; says whether there was anything."""
        if self._path is None or not self._path.exists():
            return False
        raw = self._path.read_bytes()
        if msgspec.msgpack.decode(raw)[0] != _VERSION:
            return False
        kept = msgspec.msgpack.decode(raw, type=_Entry)
        self._ledger.load(kept.ledger, _UNSEEN if kept.asking else 0.0)
        return True

    def _beat(self) -> None:
        """Keep the ledger now and then while a question goes on, so that a long one is never forgotten."""
        if time.monotonic() - self._kept > _BEAT:
            self.note(asking=True)

    def note(self, asking: bool) -> None:
        """Keep the ledger as it is; durable when this returns."""
        if self._path is None:
            return
        self._kept = time.monotonic()
        new = self._path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.msgpack.encode(_Entry(_VERSION, asking, self._ledger.dump())))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


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
        folder: where the journals stand; without one, none is kept.
        spent: how many calls a source has made in the last 24 hours as far as is known, asked where there is no journal.
    """

    sources: Callable[[], Sequence[Polled]] = field(repr=False)
    watch: Watch = field(repr=False)
    interval: float
    on_start: Callable[[], None] = lambda: None
    refresh: Callable[[], None] = lambda: None
    folder: Path | None = None
    spent: Callable[[str], int] = lambda _: 0

    def list_parts(self) -> list[str]:
        """One partition."""
        return ["sources"]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> _Partition:
        """Start polling."""
        self.on_start()
        return _Partition(self, _loaded(resume_state))


class _Partition(StatefulSourcePartition[Outcome, bytes]):
    def __init__(self, source: PollingSource, states: dict[str, bytes]) -> None:
        self._states = states  # those of sources that are not configured now stay
        self._outcomes: queue.Queue[Outcome | BaseException] = queue.Queue(_WAITING_OUTCOMES)
        self._ended = threading.Event()
        self._stop_by: float | None = None
        self._sources = list(source.sources())
        source.refresh()
        self._threads = [self._start(polled, source) for polled in self._sources]
        threading.Thread(target=self._refresh, args=(source.refresh,), name="watchlist", daemon=True).start()

    def _start(self, polled: Polled, source: PollingSource) -> threading.Thread:
        """Start a source's thread, with the calls that were made before counted."""
        path = source.folder / f"calls-{polled.name}" if source.folder is not None else None
        journal = Journal(path, polled.ledger)
        now = time.time()
        if not journal.restore() and (calls := source.spent(polled.name)):
            polled.ledger.load(LedgerState(now, {int(now // 60): calls}, None), 0.0)
        # Another process may have called a moment ago.
        not_before = now + 1 / polled.budget.calls_a_second if polled.ledger.spent else 0.0
        interval = polled.interval if isinstance(polled, Feed) else source.interval
        state = self._states.get(polled.name)
        poller = Poller(polled, source.watch, interval, state, not_before=not_before, note=journal.note)
        thread = threading.Thread(target=self._run, args=(poller,), name=f"poll-{polled.name}", daemon=True)
        thread.start()
        return thread

    def _run(self, poller: Poller) -> None:
        """A source's thread."""
        try:
            while not self._ended.is_set():
                outcome, wait = poller.turn()
                if outcome is not None:
                    self._offer(outcome)
                self._ended.wait(wait)
        except BaseException as error:
            self._offer(error)

    def _refresh(self, refresh: Callable[[], None]) -> None:
        try:
            while not self._ended.wait(_REFRESH_SECONDS):
                refresh()
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
        if stopping.is_set() and self._stop_by is None:
            self._stop_by = time.monotonic() + _STOP_SECONDS
            self._ended.set()
        still_asking = any(thread.is_alive() for thread in self._threads)
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
            self._states[outcome.status.source] = outcome.state
            yield outcome

    def next_awake(self) -> datetime | None:
        return datetime.now(UTC) + _NAP

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(_Snapshot(_VERSION, self._states))

    def close(self) -> None:
        self._ended.set()
        for polled, thread in zip(self._sources, self._threads, strict=True):
            thread.join(1)
            if not thread.is_alive():
                polled.close()


def _loaded(state: bytes | None) -> dict[str, bytes]:
    """What an earlier process saved, unless another version wrote it."""
    if state is None or msgspec.msgpack.decode(state)[0] != _VERSION:
        return {}
    return msgspec.msgpack.decode(state, type=_Snapshot).pollers
