"""The smallest part of `make chaos`: one run each of the faults that no other test plays."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from chaos.crash import POINTS
from chaos.faults import crash_points, postgres_faults, store_damaged, topic_made_again
from chaos.ground import Ground
from local.postgres import EmbeddedPostgres
from tests.support.kafka import Kafka

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

SEED = int(os.environ.get("CONSCOPE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


@pytest.fixture(scope="module")
def ground(kafka: Kafka) -> Iterator[Ground]:
    with EmbeddedPostgres() as server:
        yield Ground(kafka, server)


@pytest.fixture
def dice() -> random.Random:
    print(f"seed {SEED} (CONSCOPE_SEED={SEED} plays it again)")
    return random.Random(SEED)


def test_kills_at_named_points_are_made_whole(ground: Ground, dice: random.Random) -> None:
    print(crash_points(ground, dice, dice.sample(POINTS, 2)))


def test_a_damaged_store_is_refused_or_harmless(ground: Ground, dice: random.Random) -> None:
    print(store_damaged(ground, dice))


def test_a_topic_made_again_is_noticed(ground: Ground, dice: random.Random) -> None:
    print(topic_made_again(ground, dice))


def test_postgres_may_fail_in_mid_transaction(ground: Ground, dice: random.Random) -> None:
    print(postgres_faults(ground, dice, faults=8))
