"""The content of every table is a function of the log alone: not of batch cuts, interleaving, crashes or shards.

CONSCOPE_SEEDS=1000 pytest -s tests/unit/analytics/test_determinism.py     tries more seeds (-n 2: on two cores)
CONSCOPE_SEED=17    pytest -s tests/unit/analytics/test_determinism.py     tries that one
"""

from __future__ import annotations

import os
import time
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analytics import quality
from tests.support import naive
from tests.support.core import Core, random_run
from tests.support.logs import LATENESS, Log, random_log

CHUNKS = 4
TABLES = ("history", "quarantine", "releases", "dead", "windows", "changes", "alerts", "events")

IMPOSSIBLE = {
    "negative_price", "zero_price", "negative_fees", "total_not_positive", "implausibly_high", "not_a_ticket",
}  # fmt: skip
"""Reasons of the row alone, judged before the shards."""


def check(core: Core, log: Log) -> None:
    expected = naive.tables(log, LATENESS)
    for name in TABLES:
        assert core.tables[name] == expected[name], name
    impossible = sum(row[-1] in IMPOSSIBLE for row in expected["quarantine"].values())
    doubted = len(expected["quarantine"]) - impossible
    counted = Counter[str]()
    for progress in core.progress.values():
        counted.update(
            {name: getattr(progress, name) for name in ("accepted", "quarantined", "dead", "late", "tombstones")}
        )
    assert counted == {
        "accepted": len(expected["history"]) + doubted,
        "quarantined": impossible,
        "dead": len(expected["dead"]),
        "late": sum(row[-1] for row in expected["history"].values())
        + sum(late for _, _, late, reason in expected["quarantine"].values() if reason not in IMPOSSIBLE),
        "tombstones": sum(m.value is None for m in log.messages),
    }


def try_seed(seed: int) -> None:
    draw = Random(seed)
    log = random_log(draw)
    check(random_run(log, draw, draw.randint(1, 16)), log)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_tables_equal_the_naive_oracle_whatever_the_run(chunk: int) -> None:
    """Random logs x batch cuts x interleaving x crash and restore x shard counts."""
    only = os.environ.get("CONSCOPE_SEED")
    seeds = [int(only)] if only else range(chunk, int(os.environ.get("CONSCOPE_SEEDS", "200")), CHUNKS)
    began = time.monotonic()
    for seed in seeds:
        try:
            try_seed(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}: run it alone with CONSCOPE_SEED={seed}")
            raise
    print(f"\n{len(seeds)} seeds, {len(seeds) / (time.monotonic() - began):.1f} a second")


@settings(
    max_examples=int(os.environ.get("CONSCOPE_EXAMPLES", "15")),
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(draw=st.randoms(use_true_random=False), shards=st.integers(1, 16))
def test_hypothesis_finds_no_smaller_counterexample(draw: Random, shards: int) -> None:
    """The same property with Hypothesis at the dice: what fails here comes back as small as it can be."""
    log = random_log(draw, length=draw.randint(1, 25))
    check(random_run(log, draw, shards), log)


def test_an_event_with_too_many_listings_is_the_same_whatever_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "MOST_LISTINGS", 3)
    met = Counter[str]()
    for seed in range(40):
        try_seed(seed)
        met.update(row[-1] for row in naive.tables(random_log(Random(seed)), LATENESS)["quarantine"].values())
    assert met["too_many_listings"] > 20, "no event had too many: nothing was tried"


def test_all_shard_counts_give_equal_tables() -> None:
    """One log with keys and without, through 1, 2, 7 and 16 shards."""
    log = next(log for log in map(random_log, map(Random, range(100))) if not log.keyed and log.partitions > 2)
    runs = [random_run(log, Random(shards), shards).tables for shards in (1, 2, 7, 16)]
    assert all(tables == runs[0] for tables in runs)


def test_random_logs_hold_what_they_are_made_for() -> None:
    """A generator that never makes a late row, say, would make the tests above pass for nothing."""
    met = Counter[str]()
    for seed in range(80):
        log = random_log(Random(seed))
        tables = naive.tables(log, LATENESS)
        times = [(m.part, m.says["timestamp"]) for m in log.messages if isinstance(m.says, dict)]
        met += Counter(
            {
                **{name: len(tables[name]) for name in TABLES},
                "late": sum(row[-1] for row in tables["history"].values()),
                "equal times": len(times) - len(set(times)),
                "event level": sum(row[10] == "event" for row in tables["history"].values()),
                "other currency": sum(row[9] == "EUR" for row in tables["history"].values()),
                "tombstones": sum(m.value is None for m in log.messages),
                "several partitions": log.partitions > 1,
                "keyed logs": log.keyed,
                "unkeyed logs": not log.keyed,
                **Counter(row[-1] for row in tables["quarantine"].values()),
                "hours": len({row[-2] // naive.HOUR for row in tables["history"].values()}) > 1,
                "whole days": sum(key[5] == 86400 and row[5] > 5 for key, row in tables["windows"].items()),
            }
        )
    assert {name: count for name, count in met.items() if count < 20} == {}
