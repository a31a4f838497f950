"""The market's table as all viewers of a process share it: asked for by one of them, now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import polars as pl

from dash_app.database import Database, DatabaseAwayError, NotReadyError
from dash_app.loaders import market as loader
from dash_app.pages.market import table

_TOO_OLD = 60.0  # seconds; older than this it is shown to nobody before it was asked for again
_SHARE = 10  # of the time, one in so many parts is spent on asking for prices at most
_RARELY = 50  # the same for histories


@dataclass(frozen=True)
class Market:
    """The table as it was asked for.

    Attributes:
        frame: `table.market`.
        version: `table.version` of it.
        asked: when, in seconds of this process's clock.
        due: when it may be asked for again.
    """

    frame: pl.DataFrame
    version: str
    asked: float
    due: float


class SharedMarket:
    """The market's table, from any thread. One thread asks at a time; the others are given what is there.

    The more an answer cost, the longer it is kept: histories, which move slowly, for five seconds to five minutes; prices
    for a second and more, and only those of events that were seen since are asked for again. Who comes while another asks
    is given what is kept, so that nobody waits but the first, and, while Postgres answers, never older than a minute.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._asking = threading.Lock()
        self._kept: Market | None = None
        self._histories, self._now = pl.DataFrame(schema=loader.HISTORY), pl.DataFrame(schema=loader.NOW)
        self._histories_due = 0.0

    def get(self) -> Market:
        """The table.

        Raises:
            DatabaseAwayError, NotReadyError: there is none yet, and the database does not answer.
        """
        kept = self._kept
        if kept is None or self._clock() - kept.asked > _TOO_OLD:
            with self._asking:
                if self._kept is None or self._kept is kept:  # nobody else did while we waited
                    return self._ask(kept)
                return self._kept
        if self._clock() >= kept.due:
            self._ask_aside()
        return kept

    def begin(self) -> None:
        """Ask, if nobody has yet; waits for nothing."""
        if self._kept is None:
            self._ask_aside()

    def _ask_aside(self) -> None:
        """Ask in a thread of its own, unless one is at it."""

        def ask() -> None:
            try:
                self._ask(self._kept)
            except (DatabaseAwayError, NotReadyError):
                pass  # who needs the table will ask, and be told
            finally:
                self._asking.release()

        if self._asking.acquire(blocking=False):
            threading.Thread(target=ask, daemon=True, name="market").start()

    def _ask(self, kept: Market | None) -> Market:
        try:
            self._kept = self._fresh()
        except (DatabaseAwayError, NotReadyError):
            if kept is None:
                raise
            asked = self._clock()
            self._kept = replace(kept, asked=asked, due=asked + 1.0)  # it stays; the page says that Postgres is away
        return self._kept

    def _fresh(self) -> Market:
        began = self._clock()
        if began >= self._histories_due:
            self._histories = loader.histories(self._database)
            self._now = self._prices(self._histories)
            ended = self._clock()
            self._histories_due = ended + min(max(_RARELY * (ended - began), 5.0), 300.0)
        else:
            stirred = self._histories.filter(pl.col("event_id").is_in(loader.stirred(self._database)))
            self._now = pl.concat([self._now, self._prices(stirred)]).unique("event_id", keep="last")
        frame = table.market(self._histories, self._now)
        ended = self._clock()
        due = ended + min(
            max(_SHARE * (ended - began), 1.0), _TOO_OLD / 4
        )  # in time, so that viewers need not wait for it
        return Market(frame, table.version(frame), ended, due)

    def _prices(self, events: pl.DataFrame) -> pl.DataFrame:
        return loader.now(self._database, events["event_id"].to_list(), events["currency"].to_list())


@lru_cache(maxsize=8)
def shared(database: Database) -> SharedMarket:
    """The one of this database."""
    return SharedMarket(database)
