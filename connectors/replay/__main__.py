"""`python -m connectors.replay`: see `docs/guides/replay.md`."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import msgspec
from confluent_kafka import KafkaException
from tqdm import tqdm

import connectors.replay
import settings as configuration
from connectors import topics
from connectors.mapping import MappingError
from connectors.replay.files import PriceFile
from connectors.replay.lake import LakeRange
from connectors.replay.publish import FASTEST, Outcome, Replay, largest_shift
from connectors.replay.records import Origin, ReplayError, moved
from connectors.replay.skips import BadRow, Skips
from connectors.replay.topic import TopicRange
from settings import Settings

_SHOWN = 3
_EVERY_SECONDS = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Replay as the command line says. 0: finished, also by an earlier run; 1: stopped or failed."""
    chosen = _parser().parse_args(arguments)
    settings = configuration.load()
    stop = _stop_on_signals()
    began = time.monotonic()
    try:
        origin = _origin(chosen, settings)
        with _rejects(chosen) as rejects:
            skips = Skips(chosen.strict, rejects)
            if chosen.dry_run:
                return _dry_run(origin, chosen, skips)
            replay = Replay(
                origin, settings.kafka_client, chosen.into or settings.topic(topics.RAW_PRICES), chosen.speed,
                chosen.shift, chosen.again,
            )  # fmt: skip
            with _Meter() as meter:
                outcome = replay.run(skips, meter, stop)
    except BadRow as error:
        return _fail(f"{error}\nnothing was published (--strict)")
    except (ReplayError, MappingError, OSError) as error:
        return _fail(str(error))
    except KafkaException as error:
        return _fail(
            f"Kafka at {settings.kafka_bootstrap_servers}: {error}\nthe same command goes on where this one ended"
        )
    _report(outcome, replay, skips, time.monotonic() - began, chosen.json)
    return 0 if outcome.finished else 1


def _stop_on_signals() -> list[bool]:
    """Holds something once SIGINT or SIGTERM has come; a second one ends the process at once."""
    stop: list[bool] = []

    def end(number: int, _frame: object) -> None:
        stop.append(True)
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop


def _fail(text: str) -> int:
    print(f"replay: {text}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--into", metavar="TOPIC", help="the target, its whole name (default raw_prices, with the prefix)"
    )
    common.add_argument(
        "--speed", type=_speed, help="times as fast as it was: 1, 60, 0.5, max (default: 1; a file: max)"
    )
    common.add_argument("--shift", action="store_true", help="move event times so that the range ends now")
    common.add_argument("--strict", action="store_true", help="publish nothing if a row is bad")
    common.add_argument("--rejects", type=Path, metavar="FILE", help="write bad rows there, as they came")
    common.add_argument("--again", action="store_true", help="publish a finished replay once more")
    common.add_argument("--dry-run", action="store_true", help="publish nothing; show the first events and the counts")
    common.add_argument("--json", action="store_true", help="the summary as JSON")
    parser = argparse.ArgumentParser(
        prog="python -m connectors.replay", description=(connectors.replay.__doc__ or "").split("\n\n")[0]
    )
    kinds = parser.add_subparsers(dest="kind", required=True)

    lake = kinds.add_parser("lake", parents=[common], help="a range of the lake")
    lake.add_argument("directory", nargs="?", type=Path, help="the lake (default LAKE_DIR)")
    lake.add_argument("--since", type=_start, metavar="TIME", help="from this day or time on: 2026-11-23, yesterday, …")
    lake.add_argument("--until", type=_end, metavar="TIME", help="to the end of this day, or before this time")
    lake.add_argument("--event", action="append", default=[], metavar="ID", help="only this event; may be repeated")
    lake.add_argument("--source", action="append", default=[], metavar="NAME", help="only this source; may be repeated")

    file = kinds.add_parser("file", parents=[common], help="a CSV or JSON Lines file, also .gz")
    file.add_argument("path", type=Path)
    file.add_argument("--map", type=Path, required=True, metavar="TOML", help="which column is what")
    file.add_argument("--delimiter", default=None, metavar="CHAR", help="between a CSV file's cells (default a comma)")

    topic = kinds.add_parser("topic", parents=[common], help="another topic")
    topic.add_argument("name", help="the topic's whole name")
    topic.add_argument(
        "--range", action="append", type=_offsets, default=[], metavar="P:FROM..TO", dest="ranges",
        help="only these offsets of partition P, both included, either left out for all; may be repeated",
    )  # fmt: skip
    return parser


def _speed(text: str) -> float:
    if text == "max":
        return FASTEST
    speed = float(text)
    if not 0 < speed < FASTEST:
        raise ValueError
    return speed


def _start(text: str) -> datetime:
    return _moment(text, timedelta(0))


def _end(text: str) -> datetime:
    return _moment(text, timedelta(days=1))


def _moment(text: str, of_day: timedelta) -> datetime:
    """A time; of a day, its start and so much later. UTC unless it says otherwise."""
    today = datetime.now(UTC).date()
    days = {"today": today, "yesterday": today - timedelta(days=1)}
    if text in days or re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        day = days.get(text) or date.fromisoformat(text)
        return datetime.combine(day, clock_time(), UTC) + of_day
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _offsets(text: str) -> tuple[int, tuple[int | None, int | None]]:
    parts = re.fullmatch(r"(\d+):(\d*)\.\.(\d*)", text)
    if parts is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0:1500..2999, 0:1500.. or 0:..2999")
    partition, first, last = (int(part) if part else None for part in parts.groups())
    return partition or 0, (first, last)


def _origin(chosen: argparse.Namespace, settings: Settings) -> Origin:
    if chosen.speed is None:
        chosen.speed = FASTEST if chosen.kind == "file" else 1.0
    if chosen.kind == "lake":
        directory = chosen.directory or settings.lake_dir
        if not directory.is_dir():
            raise ReplayError(f"there is no lake at {directory}; LAKE_DIR or the command's argument names it")
        return LakeRange(directory, chosen.since, chosen.until, tuple(chosen.event), tuple(chosen.source))
    if chosen.kind == "topic":
        return TopicRange(settings.kafka_client, chosen.name, dict(chosen.ranges))
    try:
        table = tomllib.loads(chosen.map.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReplayError(f"{chosen.map} is not TOML: {error}") from None
    return PriceFile(chosen.path, table, chosen.delimiter or ("\t" if ".tsv" in chosen.path.suffixes else ","))


@contextmanager
def _rejects(chosen: argparse.Namespace) -> Iterator[TextIO | None]:
    if chosen.rejects is None:
        yield None
        return
    if chosen.kind == "file" and chosen.rejects.exists() and chosen.rejects.samefile(chosen.path):
        raise ReplayError("--rejects names the very file that is read; give it another name")
    with chosen.rejects.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield file


class _Meter:
    """A bar on a terminal; elsewhere a line on stderr now and then."""

    def __enter__(self) -> _Meter:
        self._bar: tqdm[Any] | None = None
        self._done = self._total = 0
        self._told = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, total: int) -> None:
        """See `Meter`."""
        self._total = total
        if sys.stderr.isatty():
            self._bar = tqdm(total=total, unit=" prices", file=sys.stderr)

    def step(self) -> None:
        """See `Meter`."""
        if self._bar is not None:
            self._bar.update()
            return
        self._done += 1
        if self._done % 100 == 0 and time.monotonic() - self._told >= _EVERY_SECONDS:
            self._told = time.monotonic()
            print(f"replay: {self._done:,} of {self._total:,}", file=sys.stderr, flush=True)


def _dry_run(origin: Origin, chosen: argparse.Namespace, skips: Skips) -> int:
    now = time.time_ns() // 1000
    recording = origin.open(origin.bounds(), None if chosen.shift else now, skips)
    shift = largest_shift(recording.span, now, chosen.speed) if chosen.shift and recording.span else 0
    first = [moved(record.value, shift) for record in islice(recording, _SHOWN)]
    if chosen.json:
        _print_json(
            {"dry_run": True, "first": [msgspec.Raw(value) for value in first], "would_publish": recording.count}
            | _range(recording.span, shift) | _skipped(skips)
        )  # fmt: skip
        return 0
    for value in first:
        print(value.decode())
    print(f"replay of {origin.title}, a dry run: nothing was published")
    print(f"  to publish  {recording.count:,}{_between(recording.span, shift)}")
    _print_skipped(skips)
    return 0


def _report(outcome: Outcome, replay: Replay, skips: Skips, seconds: float, as_json: bool) -> None:
    if as_json:
        _print_json(
            {"id": outcome.id, "into": replay.topic, "finished": outcome.finished, "published": outcome.published,
             "published_before": outcome.before, "total": outcome.total, "seconds": round(seconds, 3)}
            | _range(outcome.span, outcome.shift) | _skipped(skips)
        )  # fmt: skip
        return
    print(f"replay {outcome.id} of {replay.origin.title} into {replay.topic}")
    earlier = f", and {outcome.before:,} by earlier runs" if outcome.before else ""
    print(f"  published   {outcome.published:,} in {seconds:.1f} s{earlier}{_between(outcome.span, outcome.shift)}")
    _print_skipped(skips)
    if not outcome.finished:
        print(
            f"  left        {outcome.total - outcome.published - outcome.before:,}: the same command goes on with them"
        )
    elif outcome.published:
        print("  next        look at them: python -m dash_app; the same command publishes nothing more")
    else:
        print("  next        nothing was left to publish; --again publishes it all once more")


def _print_skipped(skips: Skips) -> None:
    print(f"  skipped     {skips.counts.total():,}")
    for reason, count in skips.counts.most_common():
        print(f"    {reason}: {count:,}, the first: {skips.first[reason][0]}")


def _between(span: tuple[int, int] | None, shift: int) -> str:
    return "" if span is None else ", from {} to {}".format(*(_text(at + shift) for at in span))


def _range(span: tuple[int, int] | None, shift: int) -> dict[str, Any]:
    first, last = span or (None, None)
    return {
        "from": None if first is None else _text(first + shift),
        "to": None if last is None else _text(last + shift),
        "shift_seconds": shift / 1e6,
    }


def _skipped(skips: Skips) -> dict[str, Any]:
    return {"skipped": {reason: {"count": n, "first": skips.first[reason]} for reason, n in skips.counts.items()}}


def _text(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat(timespec="seconds")


def _print_json(summary: dict[str, Any]) -> None:
    print(msgspec.json.encode(summary).decode())


if __name__ == "__main__":
    sys.exit(main())
