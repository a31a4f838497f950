"""The writer thread: order, barrier, errors, back-pressure, stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from sinks.writer import Writer, _Times, timings

PATIENCE = 10.0


class Recorder:
    """What a writer's `write` was called with; it can be held up, and can be made to fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], bool]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.entered = threading.Event()
        self.fail: Exception | None = None

    def __call__(self, items: list[int], barrier: bool) -> None:
        if items or barrier:
            self.entered.set()
        if not self.go_on.wait(PATIENCE):
            raise TimeoutError("the test never let the writer go on")
        if self.fail is not None and (items or barrier):
            raise self.fail
        self.calls.append((list(items), barrier))

    @property
    def written(self) -> list[int]:
        return [item for items, _ in self.calls for item in items]


@pytest.fixture
def record() -> Recorder:
    return Recorder()


@pytest.fixture
def writers(record: Recorder) -> Iterator[list[Writer[int]]]:
    """Writers to stop at the end."""
    made: list[Writer[int]] = []
    yield made
    record.go_on.set()
    for writer in made:
        writer.stop()
        assert not writer._thread.is_alive(), "stop() left the writer's thread running"


def make(writers: list[Writer[int]], record: Recorder, **given: float) -> Writer[int]:
    writers.append(Writer("test-writer", record, **given))  # type: ignore[arg-type]
    return writers[-1]


def until(what: str, condition: object) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.005)


def test_items_are_written_in_the_order_in_which_they_were_handed_over(
    writers: list[Writer[int]], record: Recorder
) -> None:
    writer = make(writers, record, size=3)
    for item in range(2000):
        writer.put(item)
    writer.barrier()
    assert record.written == list(range(2000))


def test_a_barrier_waits_until_everything_before_it_is_written(writers: list[Writer[int]], record: Recorder) -> None:
    record.go_on.clear()
    writer = make(writers, record)
    writer.put(1)
    passed = threading.Event()
    waiting = threading.Thread(target=lambda: (writer.barrier(), passed.set()))
    waiting.start()
    assert not passed.wait(0.3), "the barrier let go although nothing was written"
    record.go_on.set()
    assert passed.wait(PATIENCE), "the barrier never let go"
    waiting.join()
    assert record.written == [1]
    assert record.calls[-1][1], "the last write did not know that a barrier waits for it"


def test_a_barrier_with_nothing_handed_over_still_asks_for_a_write(
    writers: list[Writer[int]], record: Recorder
) -> None:
    """What the sink itself held back must become durable too."""
    writer = make(writers, record)
    writer.barrier()
    assert ([], True) in record.calls


def test_writes_come_now_and_then_although_nothing_is_handed_over(writers: list[Writer[int]], record: Recorder) -> None:
    make(writers, record, every=0.01)
    until("a write without items", lambda: ([], False) in record.calls)


def test_many_items_are_gathered_into_one_write(writers: list[Writer[int]], record: Recorder) -> None:
    record.go_on.clear()
    writer = make(writers, record)
    writer.put(0)
    assert record.entered.wait(PATIENCE)
    for item in range(1, 100):
        writer.put(item)
    record.go_on.set()
    writer.barrier()
    assert record.written == list(range(100))
    assert len([items for items, _ in record.calls if items]) <= 3, "items that waited together were written apart"


@pytest.mark.parametrize("call", ["put", "barrier"])
def test_an_error_in_the_thread_is_raised_at_the_next_call(
    writers: list[Writer[int]], record: Recorder, call: str
) -> None:
    record.fail = OSError("disk full")
    writer = make(writers, record)
    writer.put(1)
    until("the thread ends on the error", lambda: not writer._thread.is_alive())
    for _ in range(2):  # and at every later one
        with pytest.raises(OSError, match="disk full"):
            writer.put(2) if call == "put" else writer.barrier()
    assert record.written == []


def test_a_barrier_that_waits_is_woken_by_an_error(writers: list[Writer[int]], record: Recorder) -> None:
    record.go_on.clear()
    record.fail = OSError("disk full")
    writer = make(writers, record)
    writer.put(1)
    threading.Timer(0.1, record.go_on.set).start()
    with pytest.raises(OSError, match="disk full"):
        writer.barrier()


def test_a_put_that_waits_for_room_is_woken_by_an_error(writers: list[Writer[int]], record: Recorder) -> None:
    record.go_on.clear()
    record.fail = OSError("disk full")
    writer = make(writers, record, size=1)
    writer.put(1)
    assert record.entered.wait(PATIENCE)
    writer.put(2)
    threading.Timer(0.1, record.go_on.set).start()
    with pytest.raises(OSError, match="disk full"):
        writer.put(3)


def test_a_full_queue_makes_the_flow_wait(writers: list[Writer[int]], record: Recorder) -> None:
    """Back-pressure: with `size` items waiting and one write under way, the next put waits until there is room."""
    record.go_on.clear()
    writer = make(writers, record, size=4)
    writer.put(0)
    assert record.entered.wait(PATIENCE)
    accepted: list[int] = []

    def hand_over() -> None:
        for item in range(1, 20):
            writer.put(item)
            accepted.append(item)

    thread = threading.Thread(target=hand_over)
    thread.start()
    until("the queue takes its four items", lambda: len(accepted) >= 4)
    time.sleep(0.2)
    assert accepted == [1, 2, 3, 4], "more items were taken than the queue may hold"
    record.go_on.set()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "the flow was never let go on"
    writer.barrier()
    assert record.written == list(range(20))


def test_stop_writes_nothing_of_what_waits(writers: list[Writer[int]], record: Recorder) -> None:
    record.go_on.clear()
    writer = make(writers, record)
    writer.put(1)
    assert record.entered.wait(PATIENCE)
    for item in range(2, 10):
        writer.put(item)
    threading.Timer(0.1, record.go_on.set).start()
    writer.stop()
    assert record.written == [1], "stop() wrote what was still waiting"


def test_stop_after_an_error_returns(writers: list[Writer[int]], record: Recorder) -> None:
    record.fail = OSError("disk full")
    writer = make(writers, record, size=1)
    writer.put(1)
    until("the thread ends on the error", lambda: not writer._thread.is_alive())
    began = time.monotonic()
    writer.stop()
    assert time.monotonic() - began < 1


def test_a_writer_tells_how_long_it_took_and_since_when_all_is_durable(
    writers: list[Writer[int]], record: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"now": 100.0}
    monkeypatch.setattr("sinks.writer.time.monotonic", lambda: seconds["now"])
    writer = make(writers, record)
    assert timings()["test-writer"] == (None, None), "it has written nothing yet"
    record.go_on.clear()
    writer.put(1)
    assert record.entered.wait(PATIENCE)
    seconds["now"] = 100.7  # while it writes
    record.go_on.set()
    writer.barrier()
    longest, since = timings()["test-writer"]
    assert longest == pytest.approx(0.7)
    assert since == 0
    seconds["now"] = 104.7
    assert timings()["test-writer"] == (None, pytest.approx(4.0)), "nothing was written since, and the barrier stands"


def test_writers_of_one_sink_are_told_as_one_by_what_is_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"postgres": _Times(0.2, 95.0), "postgres/windows": _Times(0.7, 97.0), "kafka": _Times()}
    monkeypatch.setattr("sinks.writer._TIMES", times)
    monkeypatch.setattr("sinks.writer.time", SimpleNamespace(monotonic=lambda: 100.0))
    assert timings() == {"postgres": (0.7, 5.0), "kafka": (None, None)}
    times["postgres/windows"].barrier = None
    assert timings()["postgres"] == (None, None), "nothing was written since, and one has had no barrier yet"


def test_a_barrier_lets_the_other_writers_begin(
    writers: list[Writer[int]], record: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sinks are asked one after the other, and the slowest should not begin when all the others are done."""
    monkeypatch.setattr("sinks.writer.time", SimpleNamespace(monotonic=lambda: 100.0))  # all of it within a second
    other = Recorder()
    first = make(writers, record)
    writers.append(second := Writer("second", other))
    second.put(1)
    first.barrier()
    until("the second writer was told of the barrier", lambda: ([], True) in other.calls or ([1], True) in other.calls)
    calls = len(other.calls)
    first.barrier()
    second.barrier()
    assert sum(barrier for _, barrier in other.calls[calls:]) == 1, "told once, not at every barrier of its neighbours"
