"""Rules made, changed and deleted while the flow runs, is killed, and reads everything again."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import psycopg
import pytest

from analytics.rules import RuleError
from analytics.rulestore import Rules
from local.discord_stub import DiscordStub
from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.load import Stream
from tests.support.pipeline import Pipeline, make_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

SECONDS = float(os.environ.get("CONSCOPE_RULES_SECONDS", "25"))
RATE = float(os.environ.get("CONSCOPE_RULES_RATE", "1500"))
PATIENCE = 120 + 4 * SECONDS  # for a longer run by hand
SEED = int(os.environ.get("CONSCOPE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)

Fired = set[tuple[str, int | None, int | None, int, str]]


def change_rules(rules: Rules, dice: random.Random) -> None:
    """Make a rule, or change one."""
    made = [kept.rule["id"] for kept in rules.all()]
    if made and dice.random() < 0.4:
        number = dice.choice(made)
        dice.choice((rules.mute, rules.unmute, rules.remove, lambda n: rules.change(n, {"section": "101"})))(number)
        return
    scope = {"event_id": f"event_{dice.randrange(20)}"} if dice.random() < 0.8 else {}
    condition = dice.choice((
        {"target_price": dice.randrange(30, 150)},
        {"definition": {"condition": "drop", "percent": dice.choice((3, 10))}},
        {"definition": {"condition": "drop", "percent": 10, "reference": "previous", "watch": "each"}},
        {"definition": {"condition": "new_low", "days": 1, "observations": 2}},
        {"definition": {"condition": "rise", "amount": 5, "rearm": "cooldown", "cooldown_minutes": 1}},
        {"definition": {"condition": "deal", "percentile": 10, "watch": "each", "rearm": "once"}},
    ))  # fmt: skip
    try:
        rules.add({**scope, **condition})
    except RuleError as error:
        pytest.fail(f"the test made a rule that means nothing: {error}")


def at_work(pipeline: Pipeline) -> None:
    """Return when the flow has written its first prices."""
    deadline = time.monotonic() + 60
    while not pipeline.progress():
        assert time.monotonic() < deadline, f"no price in 60 s:\n{pipeline.flows[-1].tail(30)}"
        time.sleep(0.2)


def fired(pipeline: Pipeline) -> Fired:
    """Every alert: (id, rule, version, the price that caused it, its event)."""
    with psycopg.connect(pipeline.dsn) as connection:
        return set(
            connection.execute(
                "SELECT alert_id::text, rule_id, rule_version, price_id, event_id FROM price_drop_alerts"
            ).fetchall()
        )


def await_sent(pipeline: Pipeline, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while pipeline.scalar("SELECT count(*) FROM outbox WHERE state NOT IN ('sent', 'expired')"):
        assert time.monotonic() < deadline, "the outbox did not empty"
        time.sleep(0.5)


def test_kills_and_a_replay_with_an_empty_state_give_the_same_alerts_and_send_none_twice(
    kafka: Kafka, database: Database, tmp_path: Path
) -> None:
    print(f"seed {SEED} (CONSCOPE_SEED={SEED} plays it again)")
    dice = random.Random(SEED)
    prefix, topic = make_topics(kafka.bootstrap, "rules")
    with (
        DiscordStub() as discord,
        Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path / "first", **discord.environment
        ) as pipeline,
    ):
        load = Stream(kafka.bootstrap, topic, SEED, rate=RATE)
        flow = pipeline.start(recovery=1)
        load.start()
        at_work(pipeline)
        rules = Rules(database.dsn)
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            for _ in range(4):
                change_rules(rules, dice)
                time.sleep(dice.uniform(0.1, 1.0))
            if dice.random() < 0.4:
                flow.kill()
                flow = pipeline.start(recovery=1)
        load.stop()
        pipeline.settle(PATIENCE)
        await_sent(pipeline, PATIENCE)
        pipeline.drain()
        pipeline.check()
        first = fired(pipeline)
        of_rules = {alert for alert in first if alert[1] is not None}
        assert len(of_rules) > 50, f"{len(of_rules)} alerts of rules are too few to prove anything"
        repeats = pipeline.scalar("SELECT coalesce(sum(maybe_repeats), 0) FROM outbox")
        assert isinstance(repeats, int)
        queued = pipeline.scalar("SELECT count(*) FROM outbox WHERE state = 'sent'")
        assert isinstance(queued, int)
        assert queued <= discord.alerts <= queued + repeats
        arrived = discord.alerts

        # A second flow with nothing remembered reads the topic from its beginning, over the same database.
        with Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path / "second", **discord.environment
        ) as again:
            with psycopg.connect(database.dsn) as connection:
                connection.execute("TRUNCATE pipeline_progress, price_drop_alerts, rule_decisions, rule_states CASCADE")
            again.start(recovery=1)
            again.settle(PATIENCE)
            again.drain()
            second = fired(again)
        missing, more = sorted(first - second)[:5], sorted(second - first)[:5]
        assert not missing, f"{len(first - second)} alerts did not come again, the first: {missing}"
        assert not more, f"{len(second - first)} alerts came that were not there the first time: {more}"
        print(
            f"{load.count} messages, {len(first)} alerts ({len(of_rules)} of rules), {arrived} arrived, {repeats} maybe twice"
        )


def test_a_replay_over_what_is_there_delivers_nothing_again(kafka: Kafka, database: Database, tmp_path: Path) -> None:
    prefix, topic = make_topics(kafka.bootstrap, "again")
    with (
        DiscordStub() as discord,
        Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path / "first", **discord.environment
        ) as pipeline,
    ):
        pipeline.start(recovery=1)
        load = Stream(kafka.bootstrap, topic, 5, rate=500)
        load.start()
        at_work(pipeline)
        rules = Rules(database.dsn)
        for number in range(20):
            rules.add({"event_id": f"event_{number}", "target_price": 150})
        time.sleep(5)
        load.stop()
        pipeline.settle()
        await_sent(pipeline)
        pipeline.drain()
        before, arrived = fired(pipeline), discord.alerts
        assert any(alert[1] is not None for alert in before)
        with Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path / "second", **discord.environment
        ) as again:
            with psycopg.connect(database.dsn) as connection:
                connection.execute("TRUNCATE pipeline_progress")
            again.start(recovery=1)
            again.settle()
            await_sent(again)
            again.drain()
            assert fired(again) == before
        assert discord.alerts == arrived, "an alert was delivered again"
