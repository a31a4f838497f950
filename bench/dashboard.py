"""`python -m bench.dashboard --rows 10m --viewers 20`: how fast the dashboard is with that many prices and viewers.

Fills an embedded Postgres (without fsync) and a lake, serves them with `python -m dash_app`, and lets viewers look at
all pages while new prices come. Bench, Postgres, dashboard and viewers share this machine: say how busy it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg

from bench.filled import Market, add, fill
from bench.kept import keep
from bench.viewers import Figures, Viewer
from local.postgres import EmbeddedPostgres, free_port
from local.processes import ROOT, die_with_parent

_PATHS = ("/", "/event", "/event?basis=base", "/alerts", "/sources", "/pipeline")  # the third looks into the lake
_SLOW = """
SELECT mean_exec_time, max_exec_time, calls, total_exec_time, regexp_replace(query, '\\s+', ' ', 'g')
FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid AND d.datname = current_database()
WHERE query ILIKE '%%select%%' AND query NOT ILIKE '%%pg_stat%%' AND query NOT ILIKE 'copy%%'
ORDER BY total_exec_time DESC LIMIT %s
"""


def serve(stack: ExitStack, environment: dict[str, str], port: int, workers: int) -> psutil.Process:
    """The dashboard, as one would run it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dash_app"], cwd=ROOT, preexec_fn=die_with_parent(),
        env={**os.environ, **environment, "DASH_HOST": "127.0.0.1", "DASH_PORT": str(port), "DASH_WORKERS": str(workers)},
    )  # fmt: skip
    stack.callback(lambda: (process.terminate(), process.wait(30)))
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60):
                return psutil.Process(process.pid)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the dashboard did not start")


def memory(master: psutil.Process, peak: bool = False) -> list[int]:
    """The resident megabytes of the processes that serve, now or at most so far (Linux)."""
    name = "VmHWM" if peak else "VmRSS"
    said = [Path(f"/proc/{child.pid}/status").read_text() for child in master.children()]
    return sorted(int(status.split(f"{name}:")[1].split()[0]) >> 10 for status in said)


def spent(master: psutil.Process) -> float:
    """Seconds of processor time that they have used; waiting for a busy machine is not among them."""
    return sum(sum(child.cpu_times()[:2]) for child in master.children())


def write(dsn: str, market: Market, stop: threading.Event) -> None:
    """New prices twice a second, as the flow writes them."""
    with psycopg.connect(dsn) as connection:
        while not stop.wait(0.5):
            add(connection, market, 2)


async def look(base: str, viewers: int, seconds: float, events: int) -> Figures:
    """The viewers' figures; they come one after the other, and the first one alone."""
    figures = Figures()
    people = [Viewer(base, _PATHS[n % len(_PATHS)], figures, n) for n in range(viewers)]
    await people[0].visit()
    alone = figures.cold.pop()
    await people[0].visit()
    print(f"  the first page, alone: {alone:.0f} ms with an empty cache ({figures.bytes_cold[0] / 1024:,.0f} KiB), "
          f"{figures.warm.pop():.0f} ms with a full one ({figures.bytes_warm[0] / 1024:,.0f} KiB)")  # fmt: skip
    until = time.perf_counter() + seconds

    async def live(number: int, viewer: Viewer) -> None:
        await asyncio.sleep(number * 0.4)
        await viewer.visit()
        await viewer.watch(until, events)
        await viewer.close()

    await asyncio.gather(*(live(number, viewer) for number, viewer in enumerate(people)))
    return figures


def report(figures: Figures) -> None:
    """Print the table."""
    rows = sorted(figures.callbacks.items(), key=lambda item: -sum(item[1]))
    print(
        f"\n  {'callback (by its first output)':<42} {'calls':>6} {'p50 ms':>8} {'p95 ms':>8} {'worst':>8} {'KiB':>7}"
    )
    for name, spends in [("all of them", figures.everything), *rows]:
        size = statistics.fmean(figures.sizes[name]) / 1024 if name in figures.sizes else float("nan")
        p50, p95 = _percentile(spends, 50), _percentile(spends, 95)
        print(f"  {name:<42} {len(spends):>6,} {p50:>8.0f} {p95:>8.0f} {max(spends):>8.0f} {size:>7.1f}")
    for name, spends in (("first page, empty cache", figures.cold), ("first page, full cache", figures.warm)):
        if spends:
            print(f"  {name:<42} {len(spends):>6,} {_percentile(spends, 50):>8.0f} {_percentile(spends, 95):>8.0f} "
                  f"{max(spends):>8.0f}")  # fmt: skip
    if figures.left_out:
        print(f"  left out, as their parts are named by patterns: {', '.join(sorted(figures.left_out))}")
    for failure in sorted(set(figures.failures)):
        print(f"  FAILED {figures.failures.count(failure)} times: {failure}")


def _percentile(values: list[float], which: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[which - 1] if len(values) > 1 else values[0]


def _count(words: str) -> int:
    number = words.lower().replace(",", "").replace("_", "")
    scale = {"k": 1_000, "m": 1_000_000}.get(number[-1], 1)
    return round(float(number.rstrip("km")) * scale)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--rows", type=_count, default=1_000_000, help="prices: 500k, 10m")
    parser.add_argument("--days", type=int, default=60, help="over which they were seen")
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--queries", type=int, default=8, help="of Postgres to list, by the time that they took in all")
    parser.add_argument("--save", type=Path, help="where p50 and p95 go as JSON; python -m bench.chart draws them")
    parser.add_argument("--pause", action="store_true", help="keep everything there afterwards, until Enter")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conscope-bench-")))
        server = stack.enter_context(
            EmbeddedPostgres(
                fsync=False, synchronous_commit="off", maintenance_work_mem="512MB", max_wal_size="8GB",
                wal_level="minimal", max_wal_senders="0",
                shared_preload_libraries="pg_stat_statements",
            )
        )  # fmt: skip
        market = Market(chosen.rows, chosen.days, datetime.now(UTC))
        fill(server.dsn(), folder / "lake", market)
        port = free_port()
        environment = {**server.environment, "LAKE_DIR": str(folder / "lake")}
        master = serve(stack, environment, port, chosen.workers)
        before, load, used = memory(master), os.getloadavg()[0], spent(master)
        stop = threading.Event()
        writer = threading.Thread(target=write, args=(server.dsn(), market, stop))
        writer.start()
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_stat_statements_reset()")
            figures = asyncio.run(look(f"http://127.0.0.1:{port}", chosen.viewers, chosen.seconds, market.count))
            stop.set()
            writer.join()
            report(figures)
            middle, slow = (_percentile(figures.everything, which) for which in (50, 95))
            keep(chosen.save, "dashboards", [{"rows": chosen.rows, "p50": middle, "p95": slow}], by=("rows",))
            print(
                f"\n  load of this machine before {load:.1f}, at the end {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores"
            )
            answers = len(figures.everything)
            used = spent(master) - used
            print(
                f"  processor time of the processes that serve: {used:.1f} s, {used / answers * 1000:.0f} ms for a callback"
            )
            print(
                f"  resident MB of the {chosen.workers} processes: {before} before, {memory(master)} after, "
                f"{memory(master, peak=True)} at most"
            )
            print(f"\n  {'mean ms':>9} {'worst ms':>9} {'calls':>7}  query")
            for mean, worst, calls, _, query in connection.execute(_SLOW.encode(), (chosen.queries,)):
                print(f"  {mean:>9.1f} {worst:>9.1f} {calls:>7,}  {query.strip()[:400]}")
        if chosen.pause:
            print(f"\n  http://127.0.0.1:{port}, {server.dsn()}, {folder / 'lake'}")
            input("  Enter ends it ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
