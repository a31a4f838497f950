"""The whole price flow in this process: a log in memory instead of Kafka in front, everything else as it is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from bytewax.testing import TestingSource, run_main

from connectors.kafka import RawBatch
from flows import prices
from settings import Settings
from tests.support.logs import NOON, Log, batch, micros

LATER = micros(NOON) + 30 * 86_400 * 1_000_000


def batches(log: Log, draw: Random) -> list[RawBatch]:
    """The log cut at random and in a random interleaving; at the end, every partition says that it is idle."""
    left = {p: log.of(p) for p in range(log.partitions)}
    cut = []
    while any(left.values()):
        partition = draw.choice([p for p in left if left[p]])
        size = draw.randint(1, 40)
        cut.append(batch(left[partition][:size], partition, log.partitions))
        left[partition] = left[partition][size:]
    return cut + [batch([], p, log.partitions, LATER) for p in left]


def run_prices(
    log: Log, environment: dict[str, str], bootstrap: str, lake: Path, patch: pytest.MonkeyPatch, **more: object
) -> None:
    """Run the flow over the log into the database of `environment`, the lake and the topics of `bootstrap`."""
    names = {name.lower(): value for name, value in environment.items()}
    settings = Settings(_env_file=None, kafka_bootstrap_servers=bootstrap, lake_dir=lake, **{**names, **more})  # type: ignore[call-arg, arg-type]
    patch.setattr(prices, "source", lambda _: TestingSource(batches(log, Random(1))))
    run_main(prices.build(settings))
