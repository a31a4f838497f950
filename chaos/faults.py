"""The faults, by name. Each is played on a run of its own and returns a line on what it did; a difference is raised."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from confluent_kafka import TopicPartition
from confluent_kafka.cimpl import NewPartitions, NewTopic

from chaos.crash import POINTS
from chaos.ground import CannotPlayError, Ground, Run
from chaos.proxy import Proxy
from local.postgres import free_port
from tests.support.kafka import JavaKafka, jars
from tests.support.pipeline import log_ends

Fault = Callable[[Ground, random.Random], str]


# --- the flow's own processes


def kills(ground: Ground, dice: random.Random) -> str:
    """SIGKILL three times at random, some while it starts or recovers."""
    with ground.run(dice, "kills") as run:
        with run.loaded():
            for _ in range(3):
                flow = run.start()
                run.wait(0.3, 5)
                run.kill(flow)
            run.start()
            run.wait(0.5, 2)
        return _told(run, f"{run.kills} kills")


def crash_points(ground: Ground, dice: random.Random, points: Sequence[str] = POINTS) -> str:
    """SIGKILL at each named point of the work, each after a start that made the one before whole."""
    with ground.run(dice, "crash") as run:
        with run.loaded():
            for point in dice.sample(points, len(points)):
                _die_at(run, point)
            run.start()
            run.wait(0.5, 2)
        return _told(run, f"killed at: {'; '.join(points)}")


def _die_at(run: Run, point: str) -> None:
    for passings in (run.dice.randrange(1, 12), 1):  # a rare point may not come often enough
        flow = run.start("chaos.crash", point, str(passings))
        with suppress(subprocess.TimeoutExpired):
            flow.process.wait(60)  # a busy machine is slow to start, and Discord is posted to only now and then
            assert flow.process.returncode == -signal.SIGKILL, f"the flow ended by itself:\n{flow.tail(30)}"
            run.kills += 1
            return
        run.kill(flow)
    raise AssertionError(f"the flow never came to the point {point!r}:\n{flow.tail(20)}")


def stops(ground: Ground, dice: random.Random, pause: float = 60.0) -> str:
    """SIGSTOP for a minute; SIGTERM, which must drain in ten seconds; a start that goes on."""
    with ground.run(dice, "stops") as run:
        with run.loaded():
            flow = run.start()
            run.at_work()
            flow.process.send_signal(signal.SIGSTOP)
            time.sleep(pause)
            flow.process.send_signal(signal.SIGCONT)
            run.at_work()
            flow.process.send_signal(signal.SIGTERM)
            status = flow.process.wait(10)
            assert status == 0, f"SIGTERM ended the flow with status {status}:\n{flow.tail(30)}"
            run.start()
            run.at_work()
        return _told(run, f"stopped for {pause:.0f} s, drained, started")


def rescaled(ground: Ground, dice: random.Random) -> str:
    """More and fewer processes and workers from one run to the next, on one store."""
    with ground.run(dice, "rescaled") as run:
        with run.loaded():
            shapes: list[list[tuple[str, ...]]] = [[()], [("-w", "2")], [()], _cluster(), [("-w", "3")]]
            dice.shuffle(shapes)
            for number, shape in enumerate(shapes):
                flows = [
                    run.pipeline.start(*arguments, recovery=2, name=f"flow-{number}-{process}")
                    for process, arguments in enumerate(shape)
                ]
                run.at_work()
                run.wait(0, 2)
                if dice.random() < 0.5:
                    for flow in flows:
                        run.kill(flow)
                else:
                    run.pipeline.drain()
            run.pipeline.start(recovery=2)
            run.at_work()
        return _told(run, " then ".join(" + ".join(" ".join(a[:2]) or "one" for a in shape) for shape in shapes))


def _cluster() -> list[tuple[str, ...]]:
    addresses = f"127.0.0.1:{free_port()};127.0.0.1:{free_port()}"
    return [("-i", number, "-a", addresses) for number in ("0", "1")]


# --- the recovery store


def store_lost(ground: Ground, dice: random.Random) -> str:
    """The recovery store is gone: all is made again from the topic."""
    with ground.run(dice, "lost") as run:
        with run.loaded():
            flow = run.start()
            run.at_work()
            run.wait(0, 3)
            run.kill(flow)
            run.lose_store()
            run.start()
            run.at_work()
        return _told(run, "store removed")


def store_damaged(ground: Ground, dice: random.Random) -> str:
    """The store is cut short or has flipped bits: the right tables, or a refusal in a sentence. Never silence."""
    with ground.run(dice, "damaged") as run:
        with run.loaded():
            flow = run.start()
            run.at_work()
            run.wait(1, 3)
            run.kill(flow)
            what = _damage(run.store, dice)
            flow = run.start()
            refused = False
            try:
                run.at_work(40)
            except AssertionError:
                if flow.running:
                    raise
                said = flow.log.read_text(errors="replace")
                assert flow.process.returncode != 0, f"{what}: the flow ended with status 0:\n{flow.tail(30)}"
                assert "conscope: the recovery store" in said, (
                    f"{what}: no sentence says why it ended:\n{flow.tail(30)}"
                )
                refused = True
                run.lose_store()  # what the sentence advises
                run.start()
                run.at_work()
        return _told(run, f"{what}: {'refused, then rebuilt' if refused else 'went on'}")


def _damage(store: Path, dice: random.Random) -> str:
    for path in sorted(store.glob("*.sqlite3")):
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
    path = dice.choice([p for p in store.glob("*.sqlite3") if p.stat().st_size])
    size = path.stat().st_size
    if dice.random() < 0.3:
        os.truncate(path, size * dice.randrange(0, 100) // 100)
        return "cut short"
    flips = dice.choice((1, 8, 64))
    with path.open("r+b") as file:
        for _ in range(flips):
            at = dice.randrange(size)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << dice.randrange(8))]))
    return f"{flips} bits flipped"


def two_flows(ground: Ground, dice: random.Random) -> str:
    """A second flow on the store of a running one is refused, and does it no harm."""
    with ground.run(dice, "twice") as run:
        with run.loaded():
            run.start()
            run.at_work()
            second = run.pipeline.start(recovery=1, name="second")
            run.ends(second, "conscope: another process")
            run.pipeline.flows.remove(second)
            run.at_work()
        return _told(run, "the second was refused")


# --- the topic


def topic_made_again(ground: Ground, dice: random.Random, stopped: bool | None = None) -> str:
    """The topic is deleted and made again under its name, so that offsets start at 0: noticed, and all of it read."""
    stopped = dice.random() < 0.5 if stopped is None else stopped
    with ground.run(dice, "again") as run:
        with run.loaded():
            flow = run.start()
            run.at_work()
        run.pipeline.await_caught_up()
        if stopped:
            run.pipeline.drain()
        admin = ground.kafka.admin
        partitions = len(log_ends(ground.kafka.bootstrap, run.topic))
        admin.delete_topics([run.topic])[run.topic].result(30)
        time.sleep(1)
        admin.create_topics([NewTopic(run.topic, partitions, 1)])[run.topic].result(30)
        if not stopped:
            run.ends(flow, "conscope: the flow ended: the topic")
        first = run.pipeline.scalar("SELECT count(*) FROM price_history")
        with run.loaded():
            run.start()
            run.at_work()
        run.pipeline.settle()
        run.pipeline.drain()
        _nothing_missed(run)
        kept = run.pipeline.scalar("SELECT count(*) FROM price_history WHERE stream_of(id) = 1")
        assert isinstance(kept, int)
        assert isinstance(first, int)
        assert kept >= first, f"{first} rows of the first topic were there, now {kept}"
        return f"made again {'while stopped' if stopped else 'while running'}: both kept apart"


def _nothing_missed(run: Run) -> None:
    """Every message is a row. Which is doubted, and what changed, hangs here on more than the newest topic's order."""
    found = {result.table: result for result in run.pipeline.results()}
    for tables in (("price_history", "quarantine"), ("dead_letters",)):
        wanted, there = (sum(getattr(found[t], side) for t in tables) for side in ("expected", "actual"))
        assert wanted == there, f"{' and '.join(tables)}: {wanted} rows expected, {there} found"


def partitions_added(ground: Ground, dice: random.Random) -> str:
    """Partitions are added under the running flow: it says so and ends, and the next start reads them all.

    As the runbook has it, producers are quiet meanwhile: an event's key leads to another partition afterwards, and nothing in
    the log says which came first, the last price in the old one or the first in the new.
    """
    with ground.run(dice, "partitions") as run:
        flow = run.start()
        with run.loaded():
            run.at_work()
            run.wait(1, 4)
        run.pipeline.settle()
        more = len(log_ends(ground.kafka.bootstrap, run.topic)) + dice.randrange(1, 4)
        admin = ground.kafka.admin  # collected while a call is under way, a client fails the call
        admin.create_partitions([NewPartitions(run.topic, more)])[run.topic].result(30)
        run.ends(flow, "start again to read them all")
        run.start()
        with run.loaded():
            run.at_work()
        run.pipeline.settle()
        run.pipeline.drain()
        _nothing_missed(run)
        return f"announced; now {more} partitions, every message is a row"


def retention_passed(ground: Ground, dice: random.Random) -> str:
    """Retention removes messages that were not read: a refusal that counts them, and going on when that is asked for."""
    with ground.run(dice, "retention") as run:
        with run.loaded():
            flow = run.start()
            run.at_work()
            run.wait(3, 4)  # until an epoch is in the store: without one there is no offset to miss
            run.kill(flow)
            run.wait(2, 3)
        ends = log_ends(ground.kafka.bootstrap, run.topic)
        cut = [TopicPartition(run.topic, p, end) for p, end in ends.items() if end]
        admin = ground.kafka.admin
        for answer in admin.delete_records(cut).values():
            answer.result(30)
        run.ends(run.start(), "KAFKA_ON_LOST_OFFSETS=earliest")
        run.pipeline.environment["KAFKA_ON_LOST_OFFSETS"] = "earliest"
        with run.loaded():
            run.start()
            run.at_work()
        run.pipeline.settle()
        run.pipeline.drain()
        lost = "were removed by retention before they were read"
        assert any(lost in flow.log.read_text() for flow in run.pipeline.flows), "the loss was not announced"
        return "refused, announced, went on"


# --- the broker and the line to it


def broker_restarts(ground: Ground, dice: random.Random) -> str:
    """The broker is killed, or shut down, and is away for some seconds."""
    with ground.run(dice, "broker") as run:
        run.start()
        with run.loaded():
            run.at_work()
        for _ in range(2):
            (ground.kafka.kill if dice.random() < 0.5 else ground.kafka.stop)()
            run.wait(1, 8)
            ground.kafka.start()
            with run.loaded():
                run.at_work(90)
        return _told(run, "two restarts of the broker")


def slow_line(ground: Ground, dice: random.Random) -> str:
    """The line to the broker is slow, then half open, then cut."""
    with Proxy(("127.0.0.1", 1)) as proxy, _broker_behind(proxy) as broker:
        there = Ground(broker, ground.postgres)
        with there.run(dice, "line", KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{proxy.port}") as run:
            with run.loaded():
                run.start()
                run.at_work()
                for _ in range(3):
                    what = dice.choice(("slow", "half open", "cut"))
                    proxy.delay, proxy.dead = (0.3 if what == "slow" else 0.0), what == "half open"
                    if what == "cut":
                        proxy.cut()
                    run.wait(2, 6)
                    proxy.delay, proxy.dead = 0.0, False
                    run.at_work(120)
            return _told(run, "slow, half open, cut")


@contextmanager
def _broker_behind(proxy: Proxy) -> Iterator[JavaKafka]:
    with JavaKafka(jars(), proxy.port) as broker:
        proxy.target = ("127.0.0.1", broker.behind)
        yield broker


# --- Postgres


def postgres_faults(ground: Ground, dice: random.Random, faults: int = 20) -> str:
    """Backends terminated in the middle of transactions, tables locked, the server stopped at once."""
    with ground.run(dice, "postgres") as run:
        counts = dict.fromkeys(("terminated", "locked", "stopped"), 0)
        with run.loaded():
            flow = run.start()
            run.at_work()
            while sum(counts.values()) < faults:
                what = dice.choices(("terminated", "locked", "stopped"), (20, 3, 1))[0]
                with suppress(psycopg.OperationalError):
                    counts[what] += _POSTGRES[what](run)
                run.wait(0.05, 0.6)
            run.at_work(90)
            assert flow.running, f"the flow ended:\n{flow.tail(30)}"
        return _told(run, ", ".join(f"{count} {what}" for what, count in counts.items()))


def _terminate(run: Run) -> int:
    """End a backend that is in a transaction; 0 when none was."""
    query = (
        "SELECT coalesce(sum(pg_terminate_backend(pid)::int), 0) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND query !~ 'pg_stat_activity'"
    )
    with run.connect() as connection:
        for _ in range(400):
            row = connection.execute(query).fetchone()
            if row and row[0]:
                return 1
    return 0


def _lock(run: Run) -> int:
    with run.connect() as connection, connection.transaction():
        table = run.dice.choice(("price_history", "price_windows", "pipeline_progress"))
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        run.wait(0.5, 3)
    return 1


def _stop(run: Run) -> int:
    server = run.ground.postgres
    server.crash()
    run.wait(0.5, 3)
    server.start()
    return 1


_POSTGRES: dict[str, Callable[[Run], int]] = {"terminated": _terminate, "locked": _lock, "stopped": _stop}


# --- the disk


def lake_disk_full(ground: Ground, dice: random.Random) -> str:
    """The lake's disk is full: no torn file, a sentence, and all of it whole when there is room again."""
    with ground.run(dice, "disk") as run, _small_disk(run.pipeline.folder / "small", 64) as small:
        run.pipeline.lake = small / "lake"
        run.pipeline.environment["LAKE_DIR"] = str(run.pipeline.lake)
        with run.loaded():
            flow = run.start()
            run.at_work()
            filler = small / "filler"
            with suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(1 << 16))
            run.ends(flow, "conscope: the flow ended: [Errno 28] No space left on device", 90)
            filler.unlink()
            run.start()
            run.at_work()
        return _told(run, "ended with a sentence, then went on")


@contextmanager
def _small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own of that size; needs root.

    Raises:
        CannotPlayError: this process may not mount.
    """
    folder.mkdir()
    if os.geteuid() or shutil.which("mount") is None:
        raise CannotPlayError("a small disk needs root: it is a tmpfs that is mounted")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


# --- all at once


def recovery_time(ground: Ground, dice: random.Random) -> str:
    """A kill at 10,000 events a second, of prices that move as often as a market's: how long until the lag is nothing.

    With the epochs that the README starts with; of one second, a fifth of the flow's time goes into snapshots.
    """
    with ground.run(dice, "recovery", rate=10_000, BATCH_SIZE=5000) as run:
        with run.loaded(events=200, moving=0.1, ahead=500_000):
            flow = run.start(interval=5)
            run.at_work()
            time.sleep(15)
            run.kill(flow)
            began = time.monotonic()
            run.start(interval=5)
            run.at_work()
            first = time.monotonic() - began
            while (lag := _lag(run)) > 10_000 * 0.5 and time.monotonic() - began < 60:
                time.sleep(0.3)  # to ask costs some of what is measured
            took = time.monotonic() - began
        return _told(
            run, f"a first commit after {first:.1f} s, lag under half a second after {took:.1f} s (left: {lag})"
        )


def _lag(run: Run) -> int:
    progress = run.pipeline.progress()
    return sum(end - progress.get(p, 0) for p, end in log_ends(run.ground.kafka.bootstrap, run.topic).items())


def soak(ground: Ground, dice: random.Random, seconds: float = 3600, rate: float = 5000) -> str:
    """Random faults under a steady load, of prices that move as often as a market's: equal at the end, and memory flat.

    Kills come seldom, so that a flow lives long enough to show whether its memory grows. Flat is: the median of what flows
    past their first minute hold is in the last third of the time at most a quarter more than in the second third. (What
    they hold at most hangs on how much had to be caught up with after a fault.)
    """
    held: list[tuple[float, float]] = []  # seconds since the start, MB
    lags: list[int] = []
    with ground.run(dice, "soak", rate=rate) as run:
        with run.loaded(events=200, moving=0.1):
            began = born = spoke = time.monotonic()
            flow = run.start(interval=5)
            while (now := time.monotonic()) < began + seconds:
                run.at_work(90)
                lags.append(_lag(run))
                if now > born + min(60, seconds / 20):
                    held.append((now - began, run.pipeline.memory() / 2**20))
                if now > spoke + 300:
                    spoke = now
                    memory = run.pipeline.memory() / 2**20
                    print(f"      {(now - began) / 60:.0f} min: {memory:.0f} MB, lag {lags[-1]:,}", flush=True)
                run.wait(2, 20)
                match dice.choices(("kill", "stop", "terminate", "lock", "nothing"), (1, 9, 9, 9, 30))[0]:
                    case "kill":
                        run.kill(flow)
                        flow, born = run.start(interval=5), time.monotonic()
                    case "stop":
                        flow.process.send_signal(signal.SIGSTOP)
                        run.wait(1, 10)
                        flow.process.send_signal(signal.SIGCONT)
                    case "terminate":
                        _terminate(run)
                    case "lock":
                        _lock(run)
        shown = ", ".join(f"{memory:.0f}" for _, memory in held[:: max(1, len(held) // 12)])
        lag = sorted(lags)
        told = _told(
            run, f"{run.kills} kills, lag p50 {lag[len(lag) // 2]:,}, most {lag[-1]:,}; memory over time in MB: {shown}"
        )
        early, late = (
            statistics.median(memory for at, memory in held if seconds * part / 3 <= at < seconds * (part + 1) / 3)
            for part in (1, 2)
        )
        assert late <= early * 1.25, f"memory grows: {early:.0f} MB in the second third, {late:.0f} in the last. {told}"
        return told


def _told(run: Run, what: str) -> str:
    """Compare, and say what was played on how much."""
    results = {result.table: result for result in run.finish()}
    prices, alerts = results["price_history"].actual, results["price_drop_alerts"].actual
    assert prices > 500, f"{prices} prices are too few to prove anything"
    return f"{what}; {prices:,} prices, {alerts:,} alerts, {run.discord.alerts - alerts} repeated: equal"


FAULTS: dict[str, Fault] = {
    "kills": kills,
    "crash-points": crash_points,
    "stops": stops,
    "rescaled": rescaled,
    "store-lost": store_lost,
    "store-damaged": store_damaged,
    "two-flows": two_flows,
    "topic-made-again": topic_made_again,
    "partitions-added": partitions_added,
    "retention-passed": retention_passed,
    "broker-restarts": broker_restarts,
    "slow-line": slow_line,
    "postgres": postgres_faults,
    "lake-disk-full": lake_disk_full,
    "recovery-time": recovery_time,
    "soak": soak,
}
