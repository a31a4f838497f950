"""Delivery of alerts from the outbox, beside the flow on a thread of its own or by `python -m sinks.delivery`.

**Delivery**: at least once. An alert is marked before it is sent and recorded after; it is sent again only when the
answer was lost (a crash, a broken connection), and `outbox.maybe_repeats` counts those. An advisory lock in Postgres
keeps deliveries one at a time, whoever runs them.

One thread asks and answers Postgres; each message goes out on a thread of its own, one at a time for each channel. So
every channel keeps its order and its pauses, none waits for another, and no price waits for any.
"""

from __future__ import annotations

import argparse
import logging
import random
import selectors
import signal
import socket
import sys
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

import settings as configuration
from sinks import channels, outbox, words
from sinks.channels import Channels
from sinks.postgres import OUTBOX_CHANNEL, first_line
from sinks.quiet import digest_minutes, digest_until, quiet_until
from sinks.sender import Answer, BadAddress, Outcome, Sender
from sinks.words import Alert

log = logging.getLogger(__name__)


_LOCK = 7_262_839_402
_LOOK_AGAIN = 2.0
_CHORES_EVERY = 30.0
_LONGEST_PAUSE = 300.0
_AFTER_DIGEST = 2.0  # a burst goes on for a moment: its rest makes the next digest
_GIVE_UP = 86_400.0  # a channel that does nothing but refuse for so long is given up
_DEAD_LOOK = 60.0  # how often a dead channel is looked at for another address
_LAST_POST = 5.0
_WORTH_A_LINE = 5  # failures in a row


@dataclass
class _Line:
    """How things stand with one channel."""

    fingerprint: str = ""
    service: str = ""
    busy: list[str] = field(default_factory=list)  # alerts on their way
    free_at: float = 0.0  # not before
    failures: int = 0  # in a row
    most: int = field(default_factory=lambda: outbox.MOST)  # for the next message; fewer, to find one that is refused
    refusing: bool = True  # perhaps: its row may say so
    dead: bool = False


class Delivery:
    """Sends what the outbox holds until `stop()`.

    Args:
        dsn: libpq connection string.
        channels: where to send.
        max_age_seconds: alerts that have waited longer are set aside instead of sent.
    """

    def __init__(self, dsn: str, channels: Channels, max_age_seconds: int) -> None:
        self._dsn = dsn
        self._channels = channels
        self._max_age = max_age_seconds
        self._stopped = threading.Event()
        self._bell = _Bell()
        self._lines: dict[str, _Line] = {}
        self._services: dict[str, float] = {}  # those that asked to be left alone, and until when
        self._answers: deque[tuple[str, Answer]] = deque()
        self._chores_at = 0.0

    def run(self) -> None:
        """Deliver until stopped; comes back from every fault of Postgres or of a channel."""
        while not self._stopped.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True, connect_timeout=10) as connection:
                    self._serve(connection)
            except psycopg.Error as error:
                log.warning("delivery: Postgres: %s", first_line(error))
                self._stopped.wait(1.0)
            except Exception as error:
                # Alerts must not end for good because of one that nobody foresaw. Its text may quote an address: leave it out.
                log.error("delivery: %s; starting again", type(error).__name__)
                self._stopped.wait(_LOOK_AGAIN)
        self._bell.close()

    def stop(self) -> None:
        """End soon; what is on its way has a few seconds to be answered."""
        self._stopped.set()
        self._bell.ring()

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {OUTBOX_CHANNEL}")
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone() != (True,):
            if self._stopped.wait(_LOOK_AGAIN):
                return
        outbox.resume(connection, [channel for channel, line in self._lines.items() if line.busy])
        while not self._stopped.is_set():
            self._record(connection)
            self._wait(connection, self._round(connection))
        deadline = time.monotonic() + _LAST_POST
        while any(line.busy for line in self._lines.values()) and time.monotonic() < deadline:
            self._bell.wait(deadline - time.monotonic())
            self._record(connection)

    def _wait(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        """For a notification, an answer, or the time."""
        if seconds > 0 and not self._answers and not list(connection.notifies(timeout=0)):
            self._bell.wait(seconds, connection)

    def _round(self, connection: psycopg.Connection[Any]) -> float:
        """Begin whatever can begin; returns the seconds until there may be more to do."""
        now = time.monotonic()
        if now >= self._chores_at:
            self._chores_at = now + _CHORES_EVERY
            if old := outbox.expire(connection, self._max_age):
                log.info("delivery: %d alerts were too old to be sent", old)
            outbox.announce_expired(connection, self._max_age)
            outbox.drop_old_links(connection)
        outbox.release(connection)
        pause = _LOOK_AGAIN
        for channel in outbox.channels_waiting(connection):
            line = self._lines.setdefault(channel, _Line())
            if not line.busy and line.free_at <= now:
                line = self._begin(connection, channel, line)
            if not line.busy:
                pause = min(pause, line.free_at - now)
        return pause

    def _begin(self, connection: psycopg.Connection[Any], channel: str, line: _Line) -> _Line:
        """Send what waits for a channel, as far as it may go now."""
        sender = self._channels.sender(channel, outbox.target(connection, channel))
        if sender.fingerprint != line.fingerprint:
            line = self._lines[channel] = _Line(sender.fingerprint, sender.service)
            if reason := outbox.disabled(connection, channel, sender.fingerprint):
                line.dead = True
                where = channels.variable(channel)
                log.error("delivery: channel %s is disabled (%s); set another %s", channel, reason, where)
        if line.dead:
            line.free_at = time.monotonic() + _DEAD_LOOK
            return line
        if (alone_until := self._services.get(line.service, 0.0)) > time.monotonic():
            line.free_at = alone_until
            return line
        due = self._due(connection, channel, outbox.ready(connection, channel, line.most))
        if not due:
            return line
        alerts = [alert.alert_id for alert in due]
        paths = outbox.paths(connection, alerts) if len(due) <= words.EACH_UP_TO else {}
        mute = self._mute_link(connection, sender, due)
        outbox.mark(connection, channel, alerts)
        line.busy = alerts
        try:
            threading.Thread(
                target=self._send, args=(channel, sender, due, paths, mute), name=f"delivery {channel}", daemon=True
            ).start()
        except RuntimeError:  # the machine has no more threads
            self._answers.append((channel, Answer(Outcome.AGAIN, error="no thread could be started")))
        return line

    def _due(self, connection: psycopg.Connection[Any], channel: str, alerts: Sequence[Alert]) -> list[Alert]:
        """Those that may go now. The others are set aside, or told until when they wait."""
        now = datetime.now(UTC)
        young = [alert for alert in alerts if (now - (alert.waits_since or now)).total_seconds() <= self._max_age]
        if len(young) < len(alerts):
            log.info("delivery: %d alerts were too old to be sent", outbox.expire(connection, self._max_age, channel))
        digests: dict[int | None, float] = {
            alert.rule_id: minutes
            for alert in young
            if alert.rule_id is not None and alert.notice is None and (minutes := digest_minutes(alert.plan or {}))
        }
        rules = [rule for rule in digests if rule is not None]
        last = outbox.last_sent(connection, channel, rules, max(digests.values())) if digests else {}
        due, held = [], defaultdict(list)
        for alert in young:
            if hold := _hold(alert, now, digests.get(alert.rule_id), last.get(alert.rule_id or 0)):
                held[hold].append(alert.alert_id)
            else:
                due.append(alert)
        for (until, reason), ids in held.items():
            outbox.hold(connection, channel, ids, until, reason)
        return due

    def _mute_link(self, connection: psycopg.Connection[Any], sender: Sender, due: Sequence[Alert]) -> str | None:
        rules = {alert.rule_id for alert in due if alert.rule_id is not None and alert.notice is None}
        if not (sender.mutes and rules and self._channels.public_url):
            return None
        return outbox.mute_link(connection, self._channels.public_url, rules)

    def _send(
        self,
        channel: str,
        sender: Sender,
        due: Sequence[Alert],
        paths: Mapping[str, Sequence[Decimal]],
        mute: str | None,
    ) -> None:
        """On a thread of its own: bring the message, and hand the answer back."""
        try:
            answer = sender.send([words.notice(alert, paths.get(alert.alert_id, ())) for alert in due], mute)
        except Exception as error:  # a mistake of ours in making the message; its text may quote an address
            answer = Answer(Outcome.REFUSED, error=type(error).__name__)
        self._answers.append((channel, answer))
        self._bell.ring()

    def _record(self, connection: psycopg.Connection[Any]) -> None:
        """Write down the answers that have come. One that cannot be written is kept for the next connection."""
        while self._answers:
            channel, answer = self._answers[0]
            line = self._lines[channel]
            outbox.record(connection, channel, line.busy, answer)
            self._heed(connection, channel, line, answer)
            self._answers.popleft()
            line.busy = []

    def _heed(self, connection: psycopg.Connection[Any], channel: str, line: _Line, answer: Answer) -> None:
        """Draw the conclusions: when the channel is used next, and for how much."""
        told, pause = len(line.busy), answer.wait
        if answer.outcome is Outcome.SENT:
            if line.refusing:
                outbox.well(connection, channel)
            line.failures, line.refusing, line.most = 0, False, min(outbox.MOST, 2 * line.most)
            if told > words.EACH_UP_TO:
                pause = max(pause, _AFTER_DIGEST)
        elif answer.outcome is Outcome.REFUSED and told > 1:
            line.most = told // 2  # one of them is the bad one
        elif answer.outcome is Outcome.GONE:
            self._give_up(connection, channel, line, "is gone", answer)
        else:
            if answer.outcome in (Outcome.REFUSED, Outcome.BARRED):
                line.refusing = True
                if outbox.failing(connection, channel) > _GIVE_UP:
                    self._give_up(connection, channel, line, "has refused everything for a day", answer)
            if answer.outcome is Outcome.REFUSED:
                log.error("delivery: channel %s refused a message: %s", channel, answer.error)
            else:
                line.failures += 1
                if line.failures == _WORTH_A_LINE:
                    log.warning(
                        "delivery: channel %s does not take its messages (%s); they wait", channel, answer.error
                    )
                pause = pause or min(_LONGEST_PAUSE, 2.0 ** min(line.failures, 16)) * random.uniform(0.5, 1.0)
        now = time.monotonic()
        line.free_at = now + pause
        if answer.everywhere:
            self._services[line.service] = line.free_at

    def _give_up(
        self, connection: psycopg.Connection[Any], channel: str, line: _Line, why: str, answer: Answer
    ) -> None:
        outbox.disable(connection, channel, answer.error or why)
        line.dead = True
        log.error(
            "delivery: channel %s %s (%s); it is left alone until %s changes",
            channel, why, answer.error, channels.variable(channel),
        )  # fmt: skip


def _hold(
    alert: Alert, now: datetime, minutes: float | None, last_sent: datetime | None
) -> tuple[datetime, str] | None:
    """Until when an alert waits, and why; None when it may go. `minutes`: its rule's digest; `last_sent`: by its rule."""
    if isinstance(quiet := (alert.plan or {}).get("quiet"), dict):
        with suppress(ValueError):  # what makes no sense holds nothing back
            if until := quiet_until(now, quiet):
                return until, f"quiet hours until {quiet['to']} {quiet.get('time_zone') or 'UTC'}"
    if minutes is None or alert.notice is not None:
        return None
    until = digest_until(now, minutes, last_sent)
    return (until, f"joined with others, one message in {minutes:g} minutes") if until else None


class _Bell:
    """Wakes the thread that waits for Postgres."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._there.setblocking(False)

    def ring(self) -> None:
        with suppress(OSError):  # full: it rings already; closed: nobody waits any more
            self._there.send(b"!")

    def wait(self, seconds: float, connection: psycopg.Connection[Any] | None = None) -> None:
        """Until it rings, something comes from Postgres, or the time is over."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._here, selectors.EVENT_READ)
            if connection is not None:
                selector.register(connection.fileno(), selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        with suppress(BlockingIOError):
            self._here.recv(4096)

    def close(self) -> None:
        self._here.close()
        self._there.close()


@dataclass(frozen=True)
class DeliverySink(FixedPartitionedSink[Any, None]):
    """Runs a `Delivery` for as long as the flow runs. It is given nothing: alerts reach it through the outbox."""

    dsn: str = field(repr=False)
    channels: Channels = field(repr=False)
    max_age_seconds: int

    def list_parts(self) -> list[str]:
        """One partition, on whichever process; the advisory lock guards against a second."""
        return ["delivery"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        """Start the thread."""
        return _Partition(self)


class _Partition(StatefulSinkPartition[Any, None]):
    def __init__(self, sink: DeliverySink) -> None:
        self._channels = sink.channels
        self._delivery = Delivery(sink.dsn, sink.channels, sink.max_age_seconds)
        self._thread = threading.Thread(target=self._delivery.run, name="delivery", daemon=True)
        self._thread.start()

    def write_batch(self, values: list[Any]) -> None:
        pass

    def snapshot(self) -> None:
        return None

    def close(self) -> None:
        self._delivery.stop()
        self._thread.join(_LAST_POST + 1)  # a post on its way may still be answered, and then need not be repeated
        self._channels.close()


def send_test(dsn: str, channels: Channels, name: str) -> Answer:
    """Send a channel a test at once, past the outbox, and say what became of it.

    Raises:
        psycopg.OperationalError: Postgres, which knows the channel of a `rule:<id>`, is out of reach.
    """
    target = None
    if name.startswith("rule:"):
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            target = outbox.target(connection, name)
    return channels.sender(name, target).send([words.test_notice(str(uuid.uuid4()), datetime.now(UTC))], None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Deliver until interrupted, or test a channel."""
    parser = argparse.ArgumentParser(prog="python -m sinks.delivery", description=main.__doc__)
    parser.add_argument("--test", metavar="NAME", help="send a test to this channel, say what became of it, and end")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = configuration.load()
    try:
        channels = Channels.of(settings)
    except BadAddress as error:
        sys.exit(str(error))
    try:
        if chosen.test is not None:
            return _test(settings.postgres_dsn, channels, chosen.test)
        _run(Delivery(settings.postgres_dsn, channels, settings.alert_max_age_seconds))
    finally:
        channels.close()
    return 0


def _test(dsn: str, channels: Channels, name: str) -> int:
    try:
        answer = send_test(dsn, channels, name)
    except psycopg.OperationalError as error:
        sys.exit(f"Postgres: {first_line(error)}")
    if answer.outcome is not Outcome.SENT:
        known = f"; there are {', '.join(channels.names) or 'none'}" if answer.outcome is Outcome.GONE else ""
        sys.exit(f"{name}: not sent: {answer.error}{known}")
    log.info("%s: sent", name)
    return 0


def _run(delivery: Delivery) -> None:
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # for the threads too: they are told by `stop`
    thread = threading.Thread(target=delivery.run, name="delivery", daemon=True)
    thread.start()
    signal.sigwait(ends)
    delivery.stop()
    thread.join(2 * _LAST_POST)


if __name__ == "__main__":
    sys.exit(main())
