"""The real services that faults are played on, and one run of the flow over topics and a database of its own."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from local.discord_stub import DiscordStub
from local.postgres import EmbeddedPostgres
from local.processes import Child
from oracle.compare import Result
from tests.conftest import new_database
from tests.support.kafka import Kafka
from tests.support.load import Stream
from tests.support.pipeline import Pipeline, make_topics


class CannotPlayError(Exception):
    """A fault needs what is not here; the message says what."""


@dataclass
class Ground:
    """A broker and a Postgres that many runs share. What a run breaks in them it mends."""

    kafka: Kafka
    postgres: EmbeddedPostgres

    @contextmanager
    def run(self, dice: random.Random, name: str, rate: float = 1500, **settings: object) -> Iterator[Run]:
        """A run under load, with Discord's stand-in; all of it is gone afterwards."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conscope-chaos-")))
            prefix, topic = make_topics(self.kafka.bootstrap, name.replace(" ", "-"))
            discord = stack.enter_context(DiscordStub())
            database = stack.enter_context(new_database(self.postgres))
            environment = {**discord.environment, **settings}
            pipeline = stack.enter_context(
                Pipeline(self.kafka.bootstrap, prefix, database.environment, database.dsn, folder, **environment)
            )
            yield Run(self, dice, topic, pipeline, discord, rate)


@dataclass
class Run:
    """One flow, what feeds it, and what it is measured by."""

    ground: Ground
    dice: random.Random
    topic: str
    pipeline: Pipeline
    discord: DiscordStub
    rate: float
    kills: int = 0
    _load: Stream | None = field(default=None, repr=False)

    @property
    def store(self) -> Path:
        """The recovery store."""
        return self.pipeline.folder / "recovery"

    @contextmanager
    def loaded(self, **options: Any) -> Iterator[Stream]:
        """Prices come for as long as this lasts; `options` are those of `Stream`."""
        load = Stream(self.ground.kafka.bootstrap, self.topic, self.dice.randrange(1 << 30), self.rate, **options)
        load.start()
        try:
            yield load
        finally:
            load.stop()

    def start(self, *runner: str, interval: int = 1) -> Child:
        """Start the flow on its store, committed every `interval` seconds; `runner` stands in for `bytewax.run`."""
        return self.pipeline.start(recovery=1, interval=interval, runner=runner or ("bytewax.run",))

    def wait(self, least: float, most: float) -> None:
        """Let it work for a random time."""
        time.sleep(self.dice.uniform(least, most))

    def at_work(self, patience: float = 60) -> None:
        """Return when the flow has committed something new."""
        before, deadline = self.pipeline.progress(), time.monotonic() + patience
        while self.pipeline.progress() == before:
            flow = self.pipeline.flows[-1]
            assert flow.running, f"the flow ended by itself:\n{flow.tail(30)}"
            assert time.monotonic() < deadline, f"nothing was committed in {patience:.0f} s:\n{flow.tail(30)}"
            time.sleep(0.1)

    def kill(self, flow: Child) -> None:
        """SIGKILL a flow that must still be running."""
        assert flow.running, f"the flow ended by itself:\n{flow.tail(30)}"
        flow.kill()
        self.kills += 1

    def ends(self, flow: Child, saying: str, patience: float = 60) -> None:
        """See that a flow ends by itself, with a status that is not 0 and a sentence that says why."""
        try:
            status = flow.process.wait(patience)
        except Exception:
            raise AssertionError(
                f"the flow went on; it should have ended saying {saying!r}:\n{flow.tail(20)}"
            ) from None
        said = flow.log.read_text(errors="replace")
        assert status != 0, f"the flow ended with status 0; it should have said {saying!r}"
        assert saying in said, f"the flow ended without saying {saying!r}:\n{flow.tail(30)}"

    def finish(self) -> list[Result]:
        """Let the flow come to the end of the log, stop it, and compare every table, the lake and the alerts."""
        pipeline = self.pipeline
        pipeline.settle(300)
        self._await_delivery()
        pipeline.drain()
        results = pipeline.check()
        self._check_alerts({result.table: result for result in results})
        return results

    def _await_delivery(self) -> None:
        deadline = time.monotonic() + 120
        while self.pipeline.scalar("SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'expired')"):
            assert time.monotonic() < deadline, "the outbox did not empty in 120 s"
            time.sleep(0.3)

    def _check_alerts(self, results: dict[str, Result]) -> None:
        with psycopg.connect(self.pipeline.dsn) as connection:
            row = connection.execute(
                "SELECT count(*) FILTER (WHERE state = 'sent'), coalesce(sum(maybe_repeats), 0) FROM outbox"
            ).fetchone()
        assert row is not None
        sent, repeats = row
        assert sent == results["price_drop_alerts"].actual, f"{results['price_drop_alerts'].actual} alerts, {sent} sent"
        assert sent <= self.discord.alerts <= sent + repeats, (
            f"{sent} alerts arrived {self.discord.alerts} times; {repeats} may have been repeated"
        )

    def lose_store(self) -> None:
        """Remove the recovery store."""
        shutil.rmtree(self.store)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A connection to the run's database that commits by itself."""
        return psycopg.connect(self.pipeline.dsn, autocommit=True, **options)
