"""Which stretch of time the chart shows, and in windows of what size. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dash_app.loaders.windows import EVER, NEVER

PRESETS = {
    "6h": timedelta(hours=6), "1d": timedelta(days=1), "1w": timedelta(days=7), "1m": timedelta(days=30), "all": None,
}  # fmt: skip
USUAL = "1w"
SIZES = (60, 3600, 86400)
_AUTO = ((timedelta(hours=12), 60), (timedelta(days=45), 3600))
_MOST_WINDOWS = 20_000
_TIMES = re.compile(r"(\d{8}T\d{6}Z)_(\d{8}T\d{6}Z)")
_DAYS = re.compile(r"d(-?\d{1,5}(?:\.\d{1,6})?)_d(-?\d{1,5}(?:\.\d{1,6})?)")
_FORM = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Span:
    """What is asked for: a length up to the newest price (`preset`), two times, or two distances to the event in days
    (a positive one is before it; the first is the farther)."""

    preset: str | None = USUAL
    times: tuple[datetime, datetime] | None = None
    days: tuple[float, float] | None = None

    @classmethod
    def of(cls, asked: str | None, *, aligned: bool = False) -> Span:
        """The span that the address names: "1w", "20261123T120000Z_20261123T180000Z" or "d30.5_d2". What does not fit to
        the axis, or is none, is the usual one."""
        if asked in PRESETS:
            return cls(asked)
        if aligned and (found := _DAYS.fullmatch(asked or "")):
            far, near = float(found[1]), float(found[2])
            if far > near:
                return cls(None, days=(far, near))
        if not aligned and (found := _TIMES.fullmatch(asked or "")):
            try:
                begin, end = (datetime.strptime(part, _FORM).replace(tzinfo=UTC) for part in found.groups())
            except ValueError:
                return cls()
            if begin < end and begin.year >= 1970 and end.year < 2200:
                return cls(None, times=(begin, end))
        return cls()


@dataclass(frozen=True)
class Reach:
    """What to load and how to show it.

    Attributes:
        since, to: of the windows to load, `since` inclusive; wider than what is shown, so that a hand can move it.
        seconds: size of the windows.
        shown: what the axis shows; None when it shows all that is loaded.
        coarser: the windows are larger than asked for, as there would be too many.
    """

    since: datetime
    to: datetime
    seconds: int
    shown: tuple[datetime, datetime] | None
    coarser: bool = False


def reach(span: Span, first: datetime, last: datetime, size: int | None, starts: datetime | None = None) -> Reach:
    """What to load of an event whose prices reach from `first` to `last`.

    Args:
        size: of the windows, when a person chose it.
        starts: when the event does, for spans in days before it.
    """
    shown = span.times
    if span.days and starts:
        shown = (_plus(starts, -timedelta(days=span.days[0])), _plus(starts, -timedelta(days=span.days[1])))
    if shown:
        begin, end = shown
    else:
        length = PRESETS[span.preset or USUAL]
        begin, end = first if length is None else max(first, last - length), last
    asked = size or next((seconds for most, seconds in _AUTO if end - begin <= most), SIZES[-1])
    seconds = next((s for s in SIZES if s >= asked and (end - begin).total_seconds() / s <= _MOST_WINDOWS), SIZES[-1])
    step, margin = timedelta(seconds=seconds), end - begin
    if not shown:
        return Reach(_floor(begin, seconds), NEVER, seconds, None, seconds > asked)
    since, to = _floor(_plus(begin, -margin), seconds), _floor(_plus(end, margin + step), seconds)
    return Reach(since, to, seconds, shown, seconds > asked)


def _plus(time: datetime, by: timedelta) -> datetime:
    try:
        return time + by
    except OverflowError:
        return NEVER if by > timedelta() else EVER


def _floor(time: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(math.floor(time.timestamp() / seconds) * seconds, UTC)
