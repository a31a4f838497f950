"""`make bench`: events/s of the full job beside rivals and limits, latency, and how both grow.

Real Kafka, an embedded Postgres with fsync on, recovery on. A run whose tables differ from the oracle's does not count.
Ends with tables in Markdown, as they stand in docs/performance.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from bench import curves, job, latency, limits, rivals
from bench.kept import keep, measured
from bench.services import Services, services

WHAT = ("throughput", "latency", "sustained", "curves")


def throughput(on: Services, chosen: argparse.Namespace) -> list[str]:
    """The full job, several runs over one topic, beside rivals and limits on the same topic."""
    filled = job.fill(on.kafka, "bench", chosen.messages, chosen.listings)
    runs = []
    for _ in range(chosen.runs):
        runs.append(one := job.run(on, filled, chosen.batch))
        print(f"  {one.rate:>9,.0f} events/s, peak memory {one.peak:.0f} MB, oracle equal", flush=True)
    lines = ["| run | events/s | flow | Postgres | broker | peak memory |", "|---|---|---|---|---|---|"]
    for number, one in enumerate(runs, 1):
        lines.append(f"| {number} | {one.rate:,.0f} | {_costs(one)} | {one.peak:.0f} MB |")
    middle = statistics.median(one.rate for one in runs)
    lines += [f"| **median** | **{middle:,.0f}** | | | | |", "", "Costs are microseconds of CPU an event."]
    return lines + _beside(on, filled.topic, middle, chosen)


def _beside(on: Services, topic: str, ours: float, chosen: argparse.Namespace) -> list[str]:
    """What else can be done with this topic on this machine, and ours as a multiple of it."""
    if chosen.alone:
        return []
    found = [(limit.name, limit.events, limit.rate) for limit in limits.measure(
        on.kafka.bootstrap, topic, on.postgres, events=min(chosen.messages, 300_000))]  # fmt: skip
    for rival in (
        rivals.quix(on.kafka.bootstrap, topic, on.postgres, limit=min(chosen.messages, 100_000)),
        rivals.earlier(on.kafka.bootstrap, topic, on.postgres, limit=5000),
    ):
        rivals.report(rival)
        assert rival.equal, f"{rival.name} did not write what the topic holds: its figure says nothing"
        found.append((rival.name, rival.messages, rival.rate))
    lines = ["", "| on the same topic, in the same run | events | events/s | ours is |", "|---|---|---|---|"]
    return lines + [f"| {name} | {events:,} | {rate:,.0f} | {ours / rate:.2f} x |" for name, events, rate in found]


def _costs(one: job.Run) -> str:
    return " | ".join(f"{one.cpu[kind]:.1f}" for kind in ("flow", "Postgres", "broker"))


def latencies(on: Services, chosen: argparse.Namespace) -> list[str]:
    """Open loops at several rates."""
    lines = ["| | | p50 | p99 | worst |", "|---|---|---|---|---|"]
    for rate in chosen.rates:
        found = latency.measure(on, rate, chosen.seconds, chosen.rules)
        keep(chosen.save, "latencies", [{"rate": rate, **found.committed._asdict()}], by=("rate",))
        for name, spread in (("Postgres", found.committed), ("Discord's POST", found.posted)):
            told = ["too few"] * 3 if spread is None else [f"{value:,.1f} ms" for value in spread[1:]]
            count = 0 if spread is None else spread.count
            lines.append(
                f"| {rate:,.0f}/s, {chosen.rules:,} rules | publish -> {name} ({count:,}) | {' | '.join(told)} |"
            )
    return lines


def sustained(on: Services, chosen: argparse.Namespace) -> list[str]:
    """One rate for long: whether lag and memory stay flat."""
    rate = max(chosen.rates)
    found = latency.measure(on, rate, chosen.seconds, chosen.rules, chosen.listings)
    lines = [
        f"{rate:,.0f}/s for {chosen.seconds:.0f} s, {chosen.listings:,} listings: publish -> Postgres {found.committed}"
    ]
    lines += ["", "| after | lag | memory |", "|---|---|---|"]
    step = max(1, len(found.lag) // 6)
    for number in range(0, len(found.lag), step):
        lines.append(f"| {number * 10} s | {found.lag[number]:,} | {found.memory[number]:.0f} MB |")
    return lines


def grown(on: Services, chosen: argparse.Namespace) -> list[str]:
    """Events/s, memory and the way back after a kill over what may grow; kept in a file from which a chart is drawn."""
    points = []
    for point in curves.measure(on, chosen.messages, chosen.listings, chosen.batch):
        points.append(point)
        keep(chosen.save, "points", [point._asdict()], by=("curve", "at"))
    return curves.table(points)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", nargs="*", choices=[*WHAT, []], default=["throughput", "latency"], help="what to measure"
    )
    parser.add_argument("--messages", type=int, default=500_000, help="in the topic of the throughput runs")
    parser.add_argument("--listings", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=2000, help="BATCH_SIZE of the throughput runs and the curves")
    parser.add_argument("--alone", action="store_true", help="leave rivals and limits out of the throughput runs")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[100, 10_000], help="prices a second, of latency runs"
    )
    parser.add_argument("--seconds", type=float, default=60, help="of each latency run")
    parser.add_argument("--rules", type=int, default=0, help="people's rules in latency runs; 0: the default rule")
    parser.add_argument(
        "--save", type=Path, help="where latencies and curves go as JSON; python -m bench.chart draws them"
    )
    chosen = parser.parse_args()
    told = [measured()]
    measure = {"throughput": throughput, "latency": latencies, "sustained": sustained, "curves": grown}
    with services() as on:
        for what in chosen.what:
            print(what)
            told += ["", f"### {what.capitalize()}", "", *measure[what](on, chosen)]
    print("\n" + "\n".join(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
