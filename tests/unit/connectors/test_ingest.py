"""The Bytewax source of what is polled: what a snapshot and a journal hold, and how it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import ingest
from connectors.budget import Ledger
from connectors.ingest import Journal, PollingSource, WatchFile
from connectors.poller import Outcome
from connectors.source import Answer, Budget
from connectors.watchlist import Entry, Synced
from tests.support.polled import FakeSource, FakeWatch, price

PATIENCE = 20.0


class Clock:
    def __call__(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def fake(name: str = "fake", calls_a_day: int = 10**8) -> FakeSource:
    return FakeSource(Clock(), name, Budget(calls_a_day, 100.0, 4))  # type: ignore[arg-type]


Start = Callable[..., Any]


@pytest.fixture
def start() -> Iterator[Start]:
    """Opens the partition; closed at the end."""
    opened: list[Any] = []

    def make(*sources: FakeSource, state: bytes | None = None, interval: float = 0.05, **given: Any) -> Any:
        watch = given.pop("watch", None) or FakeWatch()
        opened.append(PollingSource(lambda: sources, watch, interval, **given).build_part("s", "sources", state))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def watching(*ids: str) -> FakeWatch:
    watch = FakeWatch()
    watch.follow(*ids)
    return watch


def until(what: str, partition: Any, enough: Callable[[list[Outcome]], bool]) -> list[Outcome]:
    """Take batches as Bytewax does, within one epoch, until there is enough."""
    taken: list[Outcome] = []
    deadline = time.monotonic() + PATIENCE
    while not enough(taken):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        taken += partition.next_batch()
        time.sleep(0.01)
    return taken


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain"
        time.sleep(0.01)


def priced(count: int) -> Callable[[list[Outcome]], bool]:
    return lambda taken: sum(len(outcome.events) for outcome in taken) >= count


def test_a_snapshot_has_what_was_handed_out_and_nothing_after_it(start: Start) -> None:
    source, watch = fake(), watching("a", "b")
    partition = start(source, watch=watch, interval=3600.0)
    wait_for(lambda: len(source.looks) > 0)
    early = partition.snapshot()  # both were looked at, and nothing was handed out yet
    until("both", partition, priced(2))
    late = partition.snapshot()

    again = fake()
    partition = start(again, state=early, watch=watch, interval=3600.0)
    until("both once more", partition, priced(2))

    done = fake()
    partition = start(done, state=late, watch=watch, interval=3600.0)
    until("a word", partition, lambda taken: any(outcome.status.state == "polling" for outcome in taken))
    assert done.looks == [], "what was handed out before the snapshot was looked at again"


# --- the journal


def test_after_a_kill_every_call_is_known_and_none_is_invented(tmp_path: Path) -> None:
    source = fake()
    journal = Journal(tmp_path / "calls-fake", source.ledger)
    assert journal.restore() is False
    for _ in range(7):
        journal.note(True)
        source.ledger.take()
        journal.note(False)
    time.sleep(0.1)
    after = fake()
    assert Journal(tmp_path / "calls-fake", after.ledger).restore() is True
    assert after.ledger.spent == 7


def test_after_a_kill_in_the_midst_of_a_question_what_it_can_have_asked_is_counted(tmp_path: Path) -> None:
    source = fake()
    Journal(tmp_path / "calls-fake", source.ledger).note(True)
    time.sleep(0.2)
    after = fake()
    Journal(tmp_path / "calls-fake", after.ledger).restore()
    assert after.ledger.spent >= 20, "100 a second for at least 0.2 s"


def test_a_journal_of_another_version_is_left_alone(tmp_path: Path) -> None:
    source, path = fake(), tmp_path / "calls-fake"
    journal = Journal(path, source.ledger)
    source.ledger.take()
    journal.note(False)
    path.write_bytes(path.read_bytes()[:1] + bytes([99]) + path.read_bytes()[2:])
    after = fake()
    assert Journal(path, after.ledger).restore() is False
    assert after.ledger.spent == 0


def test_the_source_keeps_a_journal_of_each_ledger(start: Start, tmp_path: Path) -> None:
    source = fake()
    until("a price", start(source, watch=watching("a"), interval=3600.0, folder=tmp_path), priced(1))
    wait_for(lambda: (tmp_path / "calls-fake").exists())
    after = fake()
    start(after, folder=tmp_path, spent=lambda name: 1234)
    assert after.ledger.spent == 1, "the journal knows better than the database"


def test_without_a_journal_the_calls_are_those_that_the_database_knows_of(start: Start, tmp_path: Path) -> None:
    one, other = fake("one"), fake("other")
    start(one, other, folder=tmp_path, spent=lambda name: {"one": 1234}.get(name, 0))
    assert (one.ledger.spent, other.ledger.spent) == (1234, 0)


# --- the end


def iter_batches(partition: Any) -> Iterator[list[Outcome]]:
    """The partition's batches until it says that it is at its end."""
    while True:
        try:
            batch = partition.next_batch()
        except StopIteration:
            return
        yield batch


class Stopped:
    def is_set(self) -> bool:
        return True


def test_at_the_end_everything_that_was_seen_is_handed_out(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fake()
    partition = start(source, watch=watching("a", "b"), interval=3600.0)
    wait_for(lambda: len(source.looks) > 0)
    monkeypatch.setattr(ingest, "stopping", Stopped())
    taken = [outcome for batch in iter_batches(partition) for outcome in batch]
    assert sum(len(outcome.events) for outcome in taken) == 2
    partition.close()
    assert source.closed


# --- several sources, and mistakes


def test_each_source_has_its_own_thread_and_state(start: Start) -> None:
    one, other = fake("one"), fake("other")

    def stuck(targets: object) -> Answer:
        time.sleep(0.6)
        return Answer()

    other.answers = {None: stuck}
    partition = start(one, other, watch=watching("a"))
    taken = until("prices of the one", partition, priced(3))
    assert {outcome.status.source for outcome in taken if outcome.events} == {"one"}
    assert len(other.looks) <= 1


def test_the_state_of_a_source_without_its_key_is_kept_for_the_day_it_is_back(start: Start) -> None:
    one, other, watch = fake("one"), fake("other"), watching("a")
    partition = start(one, other, watch=watch, interval=3600.0)
    until("prices of both", partition, priced(2))
    without = start(fake("one"), watch=watch, interval=3600.0, state=partition.snapshot())
    back = fake("other")
    partition = start(back, watch=watch, interval=3600.0, state=without.snapshot())
    until("a word", partition, lambda taken: any(outcome.status.state == "polling" for outcome in taken))
    assert back.looks == []


def test_a_snapshot_of_another_version_is_left_alone(start: Start) -> None:
    partition, watch = start(fake(), watch=watching("a"), interval=3600.0), watching("a")
    until("a price", partition, priced(1))
    state = partition.snapshot()
    source = fake()
    partition = start(source, watch=watch, interval=3600.0, state=state[:1] + bytes([99]) + state[2:])
    until("a price", partition, priced(1))


def test_a_mistake_of_ours_ends_the_flow_with_its_reason(start: Start) -> None:
    watch = FakeWatch()
    watch.targets = lambda source, now: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    partition = start(fake(), watch=watch)
    with pytest.raises(ZeroDivisionError):
        until("the error", partition, lambda taken: False)


def test_a_full_queue_makes_the_sources_wait_and_loses_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_WAITING_OUTCOMES", 2)
    source = fake()
    amounts = iter(range(1, 1000))
    source.answers = {None: lambda targets: Answer([price("a", next(amounts))])}
    partition = start(source, watch=watching("a"), interval=0.001)
    time.sleep(0.4)
    assert len(source.looks) < 8
    taken = until("prices", partition, priced(20))
    seen = [event["price"] for outcome in taken for event in outcome.events]
    assert seen == list(range(1, len(seen) + 1))


# --- the watchlist's file


class Synchronised:
    """A watchlist that keeps what it was given."""

    def __init__(self) -> None:
        self.taken: list[list[Entry]] = []
        self.away = False

    def sync(self, entries: list[Entry]) -> Synced:
        if self.away:
            raise psycopg.OperationalError("the server is away")
        self.taken.append(entries)
        return Synced(len(entries), 0)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, Synchronised, WatchFile]:
    path, watchlist = tmp_path / "watchlist.toml", Synchronised()
    return path, watchlist, WatchFile(path, watchlist)  # type: ignore[arg-type]


def test_the_file_is_taken_over_when_it_changes_and_only_then(file: Any) -> None:
    path, watchlist, look = file
    look()
    assert watchlist.taken == [], "a file that is not there takes nothing away"
    path.write_text('[[follow]]\nartist = "Nora Vale"\n')
    look()
    look()
    assert [len(entries) for entries in watchlist.taken] == [1]
    path.write_text("")
    look()
    assert [len(entries) for entries in watchlist.taken] == [1, 0]


def test_a_file_with_a_mistake_changes_nothing_and_is_complained_of_once(
    file: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path, watchlist, look = file
    path.write_text('[[follow]]\nartits = "Nora Vale"\n')
    look()
    look()
    assert watchlist.taken == []
    assert len(caplog.records) == 1
    assert "artist" in caplog.text


def test_a_file_waits_for_postgres(file: Any) -> None:
    path, watchlist, look = file
    path.write_text('[[follow]]\nartist = "Nora Vale"\n')
    watchlist.away = True
    look()
    watchlist.away = False
    look()
    assert len(watchlist.taken) == 1


def test_a_question_of_many_calls_is_kept_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_BEAT", 0.0)
    now = [1_800_000_000.0]
    asked = Ledger(Budget(2000, 1.0), lambda: now[0], lambda seconds: now.__setitem__(0, now[0] + seconds))
    Journal(tmp_path / "calls", asked).note(asking=True)
    for _ in range(600):
        asked.take()
    after = Ledger(Budget(2000, 1.0), lambda: now[0])
    assert Journal(tmp_path / "calls", after).restore()
    assert after.spent >= 600, "a crash in a look of ten minutes forgets no call"
