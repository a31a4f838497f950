"""How the full job grows: with listings, rules, partitions, processes and the size of batches. Each point is one run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bench import job
from bench.services import Services

LISTINGS = {1_000: job.EPOCH_SECONDS, 20_000: job.EPOCH_SECONDS, 200_000: 60, 1_000_000: 60}
"""How many, and the seconds from snapshot to snapshot that the runbook advises for so many."""
RULES = (0, 1_000, 10_000, 100_000)
PARTITIONS = (4, 8, 16)
PROCESSES = (1, 2)
BATCHES = (100, 500, 2_000, 5_000)


class Point(NamedTuple):
    """One run: the value `at` of what the `curve` is named after, and what came of it. The rest as in `job.Run`."""

    curve: str
    at: int
    rate: float
    flow: float
    postgres: float
    broker: float
    peak: float
    back: float | None


def measure(on: Services, messages: int, listings: int, batch: int) -> Iterator[Point]:
    """All curves, each point told as it is known; what is not varied is as given.

    Raises:
        AssertionError: a run's tables differ from the oracle's.
    """
    for at, epoch in LISTINGS.items():
        # Measured once all are known: a first sight costs more than a look, and there is one of each listing.
        filled = job.fill(on.kafka, "listings", at + max(messages, at), at)
        yield _point("listings", at, job.run(on, filled, batch, back=True, known=at, epoch=epoch))
    filled = job.fill(on.kafka, "curve", messages, listings)
    for at in RULES:
        yield _point("rules", at, job.run(on, filled, batch, rules=at))
    for at in PROCESSES:
        yield _point("processes", at, job.run(on, filled, batch, processes=at))
    for at in BATCHES:
        yield _point("batch", at, job.run(on, filled, at))
    for at in PARTITIONS:
        filled = job.fill(on.kafka, "partitions", messages, listings, partitions=at)
        yield _point("partitions", at, job.run(on, filled, batch))


def _point(curve: str, at: int, found: job.Run) -> Point:
    costs = (found.cpu[kind] for kind in ("flow", "Postgres", "broker"))
    point = Point(curve, at, found.rate, *costs, found.peak, found.back)
    print(f"  {at:,} {curve}: {found.rate:,.0f} events/s, peak memory {found.peak:.0f} MB, oracle equal", flush=True)
    return point


def table(points: list[Point]) -> list[str]:
    """The points in Markdown."""
    lines = [
        "| | events/s | flow | Postgres | broker | peak memory | back after a kill |",
        "|---|---|---|---|---|---|---|",
    ]
    for point in points:
        costs = " | ".join(f"{cost:.1f}" for cost in (point.flow, point.postgres, point.broker))
        back = "" if point.back is None else f"{point.back:.1f} s"
        name = f"{point.at:,} {point.curve}" if point.curve != "batch" else f"batches of {point.at:,}"
        lines.append(f"| {name} | {point.rate:,.0f} | {costs} | {point.peak:.0f} MB | {back} |")
    return lines
