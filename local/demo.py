"""`make demo`: broker, Postgres, market, flow and dashboard on this machine, in one command that leaves nothing behind."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

if sys.version_info[:2] not in ((3, 11), (3, 12)):
    sys.exit(
        f"ConScope needs Python 3.11 or 3.12 (Bytewax has no wheels for {sys.version_info[0]}.{sys.version_info[1]})."
    )

import polars as pl
import psycopg

from local.broker import EmbeddedBroker
from local.discord_stub import DiscordStub
from local.postgres import EmbeddedPostgres, free_port
from local.processes import Child
from oracle.compare import Oracle, report
from oracle.log import read

_LATENESS = "10"
_MARKET = [
    "--events",
    "24",
    "--listings",
    "720",
    "--history",
    "45",
]  # minutes of past, so that the first chart has a shape
_COUNTS = (
    "SELECT (SELECT count(*) FROM price_history), (SELECT count(*) FROM quarantine), (SELECT count(*) FROM dead_letters), "
    "(SELECT count(*) FROM price_changes), (SELECT count(*) FROM price_windows), (SELECT count(*) FROM price_drop_alerts), "
    "(SELECT count(*) FROM outbox WHERE state = 'sent'), (SELECT count(*) FROM outbox WHERE state <> 'sent'), "
    "(SELECT coalesce(sum(tombstones), 0) FROM pipeline_progress), "
    "(SELECT coalesce(sum(log_end - next_offset), 0) FROM pipeline_progress)"
)


@dataclass
class Counts:
    """What stands in Postgres."""

    history: int = 0
    quarantine: int = 0
    dead: int = 0
    changes: int = 0
    windows: int = 0
    alerts: int = 0
    sent: int = 0
    unsent: int = 0
    tombstones: int = 0
    lag: int = 0

    @property
    def taken(self) -> int:
        """Messages that are accounted for."""
        return self.history + self.quarantine + self.dead + self.tombstones


class Failed(Exception):
    """The demo cannot go on; the message says why."""


@dataclass
class Demo:
    """Everything that runs, and where."""

    seconds: float | None
    rate: float
    port: int
    stack: ExitStack
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    interrupted: bool = False

    def run(self) -> int:
        """Start all, watch, and end all; the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupt)
        # In the stack, so that it outlives its clients: a flow that drains without a broker waits for it.
        broker = self.stack.enter_context(EmbeddedBroker())
        self._say(f"broker     embedded Kafka at {broker.bootstrap}")
        postgres = self.stack.enter_context(EmbeddedPostgres())
        self._say(f"database   embedded Postgres at 127.0.0.1:{postgres.port}")
        stub = self.stack.enter_context(DiscordStub())
        self._say(f"discord    a local stand-in at {stub.host}")
        recovery = self.folder / "recovery"
        recovery.mkdir()
        self.environment = {
            **postgres.environment, **stub.environment,
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "LAKE_DIR": str(self.folder / "lake"),
            "DASH_HOST": "127.0.0.1", "DASH_PORT": str(self.port), "ALLOWED_LATENESS_SECONDS": _LATENESS,
            "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        made = self._child("store", ["bytewax.recovery", str(recovery), "1"])
        if made.process.wait(60):
            raise Failed(f"the recovery store could not be made:\n{made.tail()}")
        self._child("market", ["connectors.market", "--rate", str(self.rate), *_MARKET])
        broker.await_topic("raw_prices")
        self._say(f"market     mock listings: 45 minutes that went before, then {self.rate:.0f} price events a second")
        self._child("flow", ["bytewax.run", "flows.prices", "-r", str(recovery), "-s", "5", "-b", "60"])
        self._await("flow", postgres, "SELECT 1 FROM pipeline_progress LIMIT 1")
        self._say("flow       reading raw_prices, writing Postgres, Parquet, Kafka and Discord")
        self._child("dashboard", ["dash_app"])
        self._await_page()
        self._say(f"dashboard  ready after {time.monotonic() - _STARTED:.0f} s")
        print(f"\n    open  http://127.0.0.1:{self.port}\n", flush=True)
        self._watch(postgres)
        if self.seconds is None or self.interrupted:
            return 0
        return self._settle(broker, postgres, stub)

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True

    def _say(self, line: str) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        print(f"  {line}", flush=True)

    def _child(self, name: str, arguments: list[str]) -> Child:
        child = Child(arguments, self.environment, self.folder / f"{name}.log", self.folder)
        self.children[name] = child
        self.stack.callback(child.stop)
        return child

    def _check(self) -> None:
        for name in ("flow", "dashboard", "market"):
            child = self.children.get(name)
            if child is not None and not child.running:
                raise Failed(f"the {name} ended with status {child.process.returncode}:\n{child.tail()}")

    def _await(self, name: str, postgres: EmbeddedPostgres, query: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not self.interrupted:
            self._check()
            try:
                with psycopg.connect(postgres.dsn()) as connection:
                    if connection.execute(query.encode()).fetchone():
                        return
            except psycopg.Error:
                pass  # the flow has not made its tables yet
            time.sleep(0.2)
        if not self.interrupted:
            raise Failed(f"the {name} did not come up within a minute:\n{self.children[name].tail()}")

    def _await_page(self) -> None:
        deadline = time.monotonic() + 60
        while not self.interrupted:
            self._check()
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                    return
            except (URLError, OSError):
                if time.monotonic() > deadline:
                    raise Failed(
                        f"the dashboard did not answer within a minute:\n{self.children['dashboard'].tail()}"
                    ) from None
                time.sleep(0.2)

    def _counts(self, postgres: EmbeddedPostgres) -> Counts:
        with psycopg.connect(postgres.dsn()) as connection:
            row = connection.execute(_COUNTS.encode()).fetchone()
        assert row is not None
        return Counts(*map(int, row))

    def _watch(self, postgres: EmbeddedPostgres) -> None:
        live = sys.stdout.isatty()
        until = time.monotonic() + (self.seconds if self.seconds is not None else float("inf"))
        before, then, shown = self._counts(postgres), time.monotonic(), 0.0
        while time.monotonic() < until and not self.interrupted:
            time.sleep(1.0)
            self._check()
            if not live and time.monotonic() - shown < 10:
                continue
            counts, now = self._counts(postgres), time.monotonic()
            rate = (counts.taken - before.taken) / (now - then)
            before, then, shown = counts, now, now
            line = (
                f"  {time.strftime('%H:%M:%S')}  {rate:7,.0f} events/s  {counts.history:,} prices  {counts.changes:,} changes  "
                f"{counts.windows:,} windows  {counts.sent:,} alerts delivered  {counts.dead:,} dead letters  lag {counts.lag}"
            )
            print(f"\r\x1b[2K{line}" if live else line, end="" if live else "\n", flush=True)
        if live:
            print()

    def _settle(self, broker: EmbeddedBroker, postgres: EmbeddedPostgres, stub: DiscordStub) -> int:
        """Stop the market, let everything arrive, and compare."""
        if self.children.pop("market").stop():
            raise Failed("the market could not deliver all its messages")
        log = read({"bootstrap.servers": broker.bootstrap}, "raw_prices")
        published, whole = extent(log)
        deadline = time.monotonic() + 60
        counts = self._counts(postgres)
        while (counts.taken < published or counts.unsent) and time.monotonic() < deadline and not self.interrupted:
            self._check()
            time.sleep(0.5)
            counts = self._counts(postgres)
        flow = self.children.pop("flow").stop()
        oracle = Oracle(log, 1, float(_LATENESS))
        results = oracle.compare(postgres.dsn(), self.folder / "lake")
        counts = self._counts(postgres)
        lake = next(result.actual for result in results if result.table == "lake")
        agrees = all(result.equal for result in results)
        verdict = ("agrees" if agrees else "DIFFERS", "every table computed anew from the log")
        if not whole:  # counts are compared all the same
            agrees, verdict = (
                True,
                ("not asked", "the embedded broker keeps some 5 MB a partition: its log is no longer whole"),
            )
        table = [
            ("published to raw_prices", published, ""),
            (
                "in Postgres",
                counts.taken,
                f"{counts.history} prices, {counts.quarantine} in quarantine, {counts.dead} dead letters",
            ),
            ("in the lake", lake, "prices and quarantine"),
            ("price changes", counts.changes, ""),
            ("windows", counts.windows, "1 minute, 1 hour, 1 day"),
            (
                "alerts",
                counts.alerts,
                f"{stub.alerts} delivered to the Discord stand-in in {len(stub.received)} messages",
            ),
            ("dead letters", counts.dead, ""),
            ("the oracle", *verdict),
        ]
        print()
        for name, value, remark in table:
            print(f"  {name:<24} {value:>9}   {remark}")
        if not agrees:
            print("\n" + report(results))
        good = (
            agrees and not flow and counts.taken == published
            and lake == counts.history + counts.quarantine and counts.alerts == counts.sent == stub.alerts
        )  # fmt: skip
        print(f"\n  {'all equal' if good else 'NOT equal: see above'}\n", flush=True)
        return 0 if good else 1


_STARTED = time.monotonic()


def extent(log: pl.DataFrame) -> tuple[int, bool]:
    """How many messages were ever published to a topic, and whether its log still has all of them."""
    ends = log.group_by("part").agg(first=pl.min("off"), end=pl.max("off") + 1)
    return int(ends["end"].sum()), log.height == int(ends["end"].sum())


def _port(wanted: int) -> int:
    with socket.socket() as probe:
        # A page that was served a minute ago leaves connections in TIME_WAIT, which hinder nobody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
    return wanted


def main() -> int:
    """Parse the command line and run the demo."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument(
        "--for", dest="seconds", type=float, help="run so many seconds, compare with the oracle, and end"
    )
    parser.add_argument("--rate", type=float, default=100.0, help="price events a second (default 100)")
    parser.add_argument("--port", type=int, default=int(os.environ.get("DASH_PORT", "8050")), help="of the dashboard")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="conscope-demo-"))
    print("ConScope demo", flush=True)
    try:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            status = Demo(chosen.seconds, chosen.rate, _port(chosen.port), stack, folder).run()
            print("  stopping", flush=True)
        return status
    except KeyboardInterrupt:
        print("  stopped")
        return 130
    except Failed as error:
        print(f"\nconscope demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
