"""Delivery of alerts from the outbox, beside the flow on a thread of its own or by `python -m sinks.delivery`.

**Delivery**: at least once. An alert is marked before it is posted and recorded after; it is posted again only when the
answer to a post was lost (a crash, a broken connection), and `outbox.maybe_repeats` counts those. An advisory lock in
Postgres keeps deliveries one at a time, whoever runs them. No webhook can slow a price: nothing waits for this thread.
"""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

import settings as configuration
from sinks import discord, outbox
from sinks.discord import Answer, Outcome, Webhook
from sinks.postgres import OUTBOX_CHANNEL, first_line

log = logging.getLogger(__name__)

DEFAULT_CHANNEL = "discord:default"

_LOCK = 7_262_839_402
_LONGEST_PAUSE = 60.0
_LOOK_AGAIN = 2.0
_LAST_POST = 5.0


class Delivery:
    """Sends what the outbox holds for the default Discord webhook until `stop()`.

    Args:
        dsn: libpq connection string.
        webhook: where to post.
        max_age_seconds: alerts on older prices are set aside instead of sent.
    """

    def __init__(self, dsn: str, webhook: Webhook, max_age_seconds: int) -> None:
        self._dsn = dsn
        self._webhook = webhook
        self._max_age = max_age_seconds
        self._stopped = threading.Event()
        self._failures = 0

    def run(self) -> None:
        """Deliver until stopped; comes back from every fault of Postgres or Discord."""
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

    def stop(self) -> None:
        """End soon; a post on its way is not waited for."""
        self._stopped.set()

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {OUTBOX_CHANNEL}")
        while not self._stopped.is_set():
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            if row == (True,):
                break
            self._stopped.wait(_LOOK_AGAIN)
        else:
            return
        outbox.resume(connection, DEFAULT_CHANNEL)
        if outbox.is_disabled(connection, DEFAULT_CHANNEL, self._webhook.fingerprint):
            log.error("delivery: the Discord webhook is disabled because it was gone; set another DISCORD_WEBHOOK_URL")
            self._stopped.wait()
            return
        while not self._stopped.is_set():
            if not self._deliver_some(connection):
                for _ in connection.notifies(timeout=_LOOK_AGAIN, stop_after=1):
                    pass

    def _deliver_some(self, connection: psycopg.Connection[Any]) -> bool:
        if old := outbox.expire(connection, DEFAULT_CHANNEL, self._max_age):
            log.info("delivery: %d alerts were too old to be sent", old)
        alerts = outbox.take(connection, DEFAULT_CHANNEL)
        if not alerts:
            return False
        answer = self._webhook.send(discord.message(alerts))
        self._record(connection, alerts, answer)
        self._stopped.wait(self._pause(answer))
        return True

    def _record(self, connection: psycopg.Connection[Any], alerts: list[discord.Alert], answer: Answer) -> None:
        state = {Outcome.SENT: "sent", Outcome.REFUSED: "failed"}.get(answer.outcome, "pending")
        outbox.record(
            connection, DEFAULT_CHANNEL, alerts, state,
            message_id=answer.message_id, error=answer.error, maybe_delivered=answer.outcome is Outcome.LOST,
        )  # fmt: skip
        if answer.outcome is Outcome.REFUSED:
            log.error("delivery: Discord refused a message: %s", answer.error)
        if answer.outcome is Outcome.GONE:
            outbox.disable(connection, DEFAULT_CHANNEL, answer.error or "gone")
            log.error("delivery: the Discord webhook is gone (%s) and will not be used again", answer.error)
            self._stopped.wait()

    def _pause(self, answer: Answer) -> float:
        if answer.outcome in (Outcome.SENT, Outcome.REFUSED):
            self._failures = 0
            return answer.wait
        self._failures += 1
        backoff = min(_LONGEST_PAUSE, 2.0 ** min(self._failures, 6)) * random.uniform(0.5, 1.0)
        return answer.wait or backoff


@dataclass(frozen=True)
class DeliverySink(FixedPartitionedSink[Any, None]):
    """Runs a `Delivery` for as long as the flow runs. It is given nothing: alerts reach it through the outbox."""

    dsn: str = field(repr=False)
    webhook: Webhook | None = field(repr=False)
    max_age_seconds: int

    def list_parts(self) -> list[str]:
        """One partition, on whichever process; the advisory lock guards against a second."""
        return ["delivery"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        """Start the thread, unless no webhook is configured."""
        return _Partition(self)


class _Partition(StatefulSinkPartition[Any, None]):
    def __init__(self, sink: DeliverySink) -> None:
        self._delivery = None
        if sink.webhook is not None:
            self._delivery = Delivery(sink.dsn, sink.webhook, sink.max_age_seconds)
            self._thread = threading.Thread(target=self._delivery.run, name="delivery", daemon=True)
            self._thread.start()

    def write_batch(self, values: list[Any]) -> None:
        pass

    def snapshot(self) -> None:
        return None

    def close(self) -> None:
        if self._delivery is not None:
            self._delivery.stop()
            self._thread.join(_LAST_POST)  # a post on its way may still be answered, and then need not be repeated


def webhook_of(settings: configuration.Settings) -> Webhook | None:
    """The configured webhook, if there is one.

    Raises:
        discord.BadWebhook: what is configured is not a Discord webhook.
    """
    if settings.discord_webhook_url is None:
        return None
    return Webhook(settings.discord_webhook_url.get_secret_value(), settings.discord_test_host)


def main() -> int:
    """Deliver until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = configuration.load()
    try:
        webhook = webhook_of(settings)
    except discord.BadWebhook as error:
        sys.exit(str(error))
    if webhook is None:
        sys.exit("DISCORD_WEBHOOK_URL is not set: there is nowhere to deliver to")
    delivery = Delivery(settings.postgres_dsn, webhook, settings.alert_max_age_seconds)
    threading.Thread(target=delivery.run, daemon=True).start()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        delivery.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
