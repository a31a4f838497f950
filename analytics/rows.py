"""Some rows of a frame, as the shards take them: shared, not copied, and read as plain tuples.

A shard judges row by row, which Python does fastest on tuples; what it says of the rows then goes on with the frame. So
that sixteen shards do not cost sixteen times the fixed price of a small frame, they all point into the batch's one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

import polars as pl

X = TypeVar("X")


class Fact(NamedTuple):
    """What is read of every row. `position` is that of the row in its frame; times are microseconds, money micros."""

    position: int
    event: str
    listing: str
    time: int
    price: int
    total: int
    quantity: int
    id: int


_SOME = 100
_COLUMNS = ("event_id", "listing", "timestamp", "price", "total_price", "quantity", "id")


class Rows:
    """Rows of `frame`, some or all of them, in its order.

    Args:
        frame: of price rows with `listing`, `keyed` and `late`.
        facts: of those that are meant, as plain tuples in the order of `Fact`; all when not given.
        shared: what has been worked out of the whole frame, for all who point into it.
    """

    __slots__ = ("_shared", "facts", "frame")

    def __init__(
        self, frame: pl.DataFrame, facts: list[Any] | None = None, shared: dict[object, Any] | None = None
    ) -> None:
        self.frame = frame
        self._shared: dict[object, Any] = {} if shared is None else shared
        self.facts: list[Any] = self._all() if facts is None else facts

    def _all(self) -> list[Any]:
        return list(zip(range(self.frame.height), *map(self.column, _COLUMNS), strict=True))

    def __len__(self) -> int:
        return len(self.facts)

    def __reduce__(self) -> tuple[type[Rows], tuple[pl.DataFrame]]:
        # On the way to another process, the rows go without their neighbours.
        return Rows, (self.taken(),)

    def column(self, name: str) -> list[Any]:
        """A column of the whole frame, by position; a list that all rows of the frame share."""
        found: list[Any] | None = self._shared.get(name)
        if found is None:
            series = self.frame[name]
            if (
                series.dtype == pl.String
                and len(series) > _SOME
                and series.min() == series.max()
                and not series.null_count()
            ):
                found = [series[0]] * len(series)  # one word for all, as `currency` mostly is
            else:
                found = (series.cast(pl.Int64) if series.dtype == pl.Datetime else series).to_list()
            self._shared[name] = found
        return found

    def once(self, work: Callable[[Rows], X]) -> X:
        """What `work` makes of all rows of the frame, however many ask for it."""
        if work not in self._shared:
            self._shared[work] = work(self)
        found: X = self._shared[work]
        return found

    def pick(self, facts: list[Any]) -> Rows:
        """Those of these rows whose facts are given."""
        return Rows(self.frame, facts, self._shared)

    def taken(self) -> pl.DataFrame:
        """The rows as a frame of their own."""
        if len(self.facts) == self.frame.height:
            return self.frame
        return self.frame[[fact[0] for fact in self.facts]]

    def split(self, where: Iterable[int]) -> dict[int, Rows]:
        """These rows by number, which `where` gives for each."""
        parts: dict[int, list[Any]] = {}
        for fact, number in zip(self.facts, where, strict=True):
            part = parts.get(number)
            if part is None:
                parts[number] = [fact]
            else:
                part.append(fact)
        return {number: self.pick(facts) for number, facts in parts.items()}
