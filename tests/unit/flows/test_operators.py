"""The steps between the pure functions: who is told what, and what a restart keeps. The rest is in test_determinism."""

from __future__ import annotations

from random import Random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from analytics.decode import decode
from analytics.schema import row_id
from flows import operators
from flows.operators import Clocked, Decoded, _ClockLogic, _decode, _join_compared, _MeterLogic, _ShardLogic, _to_shards
from sinks.tables import Progress
from sinks.writer import Timing
from tests.support.logs import LATENESS, NOON, RELEASE_AFTER, STREAM, Message, at, batch, message, micros, random_log

T = micros(NOON)


def decoded(*values: bytes | None, first: int = 0, partition: int = 0, idle_since: int | None = None) -> Decoded:
    messages = [Message(partition, first + i, b"e1", v, T // 1000 + 600_000, None) for i, v in enumerate(values)]
    raw = batch(messages, partition, 4, idle_since)
    found = decode(raw.values, raw.keys, raw.log_times, [row_id(STREAM, partition, o) for o in raw.offsets])
    return Decoded(raw, found.rows, [], found.tombstones)


def clocked(*values: bytes | None, **where: Any) -> Clocked:
    [made], _ = _ClockLogic(LATENESS, None).on_batch([decoded(*values, **where)])
    return made


def test_every_shard_is_told_a_partition_s_watermark_with_rows_or_without() -> None:
    """A shard that none of a partition's rows go to would wait for ever."""
    told = dict(_to_shards(clocked(message(timestamp=at(90))), 16, {}))
    assert sorted(told, key=int) == [str(n) for n in range(16)]
    assert {news.watermark for news in told.values()} == {T + 30_000_000}
    assert sum(news.rows is not None for news in told.values()) == 1
    empty = dict(_to_shards(clocked(idle_since=5), 3, {}))
    assert [(n.idle_since, n.rows) for n in empty.values()] == [(5, None)] * 3


def test_the_rows_of_an_event_go_to_one_shard() -> None:
    values = [message(event_id=f"e{i % 9}", event_name="N") for i in range(40)]
    for shard, news in _to_shards(clocked(*values), 7, cache := {}):
        events = set() if news.rows is None else {fact[1] for fact in news.rows.facts}
        assert {str(cache[event]) for event in events} <= {shard}


def test_late_and_quarantined_rows_are_in_no_window() -> None:
    found = clocked(message(timestamp=at(90)), message(timestamp=at(29)), message(price=0), message(timestamp=at(30)))
    assert (found.rows["late"].to_list(), found.held["reason"].to_list()) == ([False, True, False], ["zero_price"])
    [(_, news)] = _to_shards(found, 1, {})
    assert news.rows is not None
    assert len(news.rows) == 3
    shard = _ShardLogic(LATENESS, RELEASE_AFTER, None)
    told = [window for output in (*shard.on_batch([news])[0], *shard.on_notify()[0]) for window in output.windows]
    assert [w.observations for w in told if w.seconds == 86400 and w.source] == [2]


def test_open_windows_wait_a_moment_for_their_next_row_and_survive_a_restart() -> None:
    """What has not left the shard yet is in its snapshot, and leaves it after a restart by itself."""
    shard = _ShardLogic(LATENESS, RELEASE_AFTER, None)
    assert shard.notify_at() is None
    [(_, news)] = _to_shards(clocked(message(timestamp=at(90))), 1, {})
    [output] = shard.on_batch([news])[0]
    assert output.windows == []
    assert shard.notify_at() is not None
    again = _ShardLogic(LATENESS, RELEASE_AFTER, shard.snapshot())
    assert again.notify_at() is not None
    for logic in (shard, again):
        [output] = logic.on_notify()[0]
        assert len(output.windows) == 6
        assert logic.notify_at() is None
        assert [o.windows for o in logic.on_eof()[0]] == [[]]


def test_quarantined_prices_still_move_the_clock() -> None:
    """Whether a row is late is a fact of the log, whatever becomes of its price."""
    assert clocked(message(price=0, timestamp=at(90)), message(timestamp=at(29))).rows["late"].to_list() == [True]


def test_the_clock_goes_on_after_a_restart() -> None:
    before = _ClockLogic(LATENESS, None)
    before.on_batch([decoded(message(timestamp=at(90)), b"{", None)])
    [after], _ = _ClockLogic(LATENESS, before.snapshot()).on_batch([decoded(message(timestamp=at(29)), first=3)])
    assert after.rows["late"].to_list() == [True]
    assert after.progress is not None
    assert (after.progress.accepted, after.progress.late, after.progress.tombstones) == (2, 1, 1)


def test_progress_says_how_far_a_partition_is_read() -> None:
    first = clocked(message(), None, first=7).progress
    assert first is not None
    assert (first.next_offset, first.watermark, first.tombstones) == (9, T - LATENESS, 1)


def test_a_partition_that_starts_claims_no_progress() -> None:
    """Its greeting knows the end of the log, not where it was read to: a lag of zero would be a lie."""
    assert clocked().progress is None
    at_its_end = clocked(idle_since=T).progress
    assert at_its_end is not None
    assert (at_its_end.next_offset, at_its_end.watermark) == (at_its_end.log_end, None)


def test_what_shards_compared_is_joined_in_one_frame() -> None:
    shards = [_ShardLogic(LATENESS, RELEASE_AFTER, None) for _ in range(4)]
    prices = [message(event_id=f"e{i % 5}", price=100 - i) for i in range(20)]
    found = clocked(*prices)
    outputs = [o for name, news in _to_shards(found, 4, {}) for o in shards[int(name)].on_batch([news])[0]]
    assert [f.height for f in _join_compared(outputs)] == [4], "those of e1 are keyed; the others wait"
    assert _join_compared([]) == []
    rest = [o for i, s in enumerate(shards) for p in range(4)
            for o in s.on_batch([dict(_to_shards(clocked(idle_since=T + 10**9, partition=p), 4, {}))[str(i)]])[0]]  # fmt: skip
    [joined] = _join_compared(rest)
    assert joined.height + 4 == 20
    assert set(joined["change"].drop_nulls()) == {-5_000_000}


def test_two_batches_in_one_activation_are_taken_one_after_the_other() -> None:
    logic = _ClockLogic(LATENESS, None)
    made, _ = logic.on_batch([decoded(message(timestamp=at(90))), decoded(message(timestamp=at(29)), first=1)])
    assert [c.rows["late"].to_list() for c in made] == [[False], [True]]


def test_the_meter_counts_what_was_taken_since_the_last_reading() -> None:
    meter = _MeterLogic()

    def progress(partition: int, accepted: int, end: int) -> Progress:
        return Progress(1, partition, accepted, end, T, accepted, 0, 0, 0, 0)

    meter.on_batch([progress(0, 1000, 1200), progress(1, 10, 10)])
    [[*readings]], _ = meter.on_notify()
    found = {r.metric_name: r.metric_value for r in readings}
    assert (found["events_per_second"], found["consumer_lag"]) == (0, 200), "what a restart finds was read before it"
    meter.on_batch([progress(0, 1100, 1200)])
    [[*readings]], _ = meter.on_notify()
    found = {r.metric_name: r.metric_value for r in readings}
    assert found["events_per_second"] > 0
    assert found["consumer_lag"] == 100
    assert found["watermark_delay_seconds"] == pytest.approx((readings[0].timestamp - T) / 1e6)


def test_frames_of_shards_keep_their_types() -> None:
    [news] = [n for _, n in _to_shards(clocked(message()), 1, {})]
    assert news.rows is not None
    assert news.rows.taken().schema["timestamp"] == pl.Datetime("us", "UTC")
    assert "shard" not in news.rows.taken().columns


def test_the_meter_counts_what_is_held_by_reason_and_keeps_its_counts() -> None:
    meter = _MeterLogic()
    meter.on_batch([pl.DataFrame({"reason": ["hundredth", "zero_price", "hundredth"]})])
    again = _MeterLogic(meter.snapshot())
    again.on_batch([pl.DataFrame({"reason": ["hundredth"]})])
    [[*readings]], _ = again.on_notify()
    found = {r.metric_name: r.metric_value for r in readings if r.metric_name.startswith("quarantined")}
    assert found == {"quarantined_total": 4, "quarantined_hundredth_total": 3, "quarantined_zero_price_total": 1}


def test_the_meter_tells_how_the_sinks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "postgres": Timing(0.2, 3.0),
        "lake": Timing(None, 4.0),
        "kafka": Timing(0.1, 2.0),
        "status": Timing(9.0, 99.0),
    }
    monkeypatch.setattr(operators, "timings", lambda: told)
    meter = _MeterLogic()
    [[*readings]], _ = meter.on_notify()
    found = {r.metric_name: r.metric_value for r in readings}
    assert {name: value for name, value in found.items() if name.startswith("sink_")} == {
        "sink_write_seconds_postgres": 0.2, "sink_write_seconds_kafka": 0.1,
    }, "only what was written, by this flow's sinks"  # fmt: skip
    assert found["recovery_age_seconds"] == 4.0, "the flow goes on from what all of them have"
    told["kafka"] = Timing(0.1, None)
    [[*readings]], _ = meter.on_notify()
    assert "recovery_age_seconds" not in {r.metric_name for r in readings}, "nothing is known before the first barrier"


@pytest.mark.parametrize("seed", range(20))
def test_batches_that_are_decoded_together_are_what_each_is_by_itself(seed: int) -> None:
    """With everything in them that a topic may hold, and empty ones between."""
    dice = Random(seed)
    log = random_log(dice)
    batches = [batch([], 0, log.partitions)]
    for partition in range(log.partitions):
        messages = log.of(partition)
        cut = dice.randint(0, len(messages))
        batches += [batch(part, partition, log.partitions) for part in (messages[:cut], messages[cut:])]
    dice.shuffle(batches)
    together = list(_decode("raw_prices", batches))
    alone = [found for one in batches for found in _decode("raw_prices", [one])]
    for one, other in zip(together, alone, strict=True):
        assert (one.raw, one.dead, one.tombstones) == (other.raw, other.dead, other.tombstones)
        assert_frame_equal(one.rows, other.rows)
    assert sum(found.rows.height + len(found.dead) + found.tombstones for found in together) == len(log.messages)
