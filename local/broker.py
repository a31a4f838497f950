"""An in-process Kafka broker for the demo and quick tests: librdkafka's mock cluster.

Other processes connect to it over TCP as to any Kafka. It has no admin calls and no transactions, makes a topic with
four partitions at first use, keeps about 5 MB a partition, and ends with the process that made it.
"""

from __future__ import annotations

import logging
import time
from types import TracebackType

from confluent_kafka import Producer


class EmbeddedBroker:
    """A broker that lives as long as this object, or to the end of a `with` block, whichever is sooner."""

    def __init__(self) -> None:
        # librdkafka says on stderr that a test feature is in use; here that is the point.
        quiet = logging.Logger("embedded-broker", logging.CRITICAL)
        self._owner = Producer({"bootstrap.servers": "unused:1", "test.mock.num.brokers": 1}, logger=quiet)
        (broker,) = self._owner.list_topics(timeout=10).brokers.values()
        self.bootstrap = f"{broker.host}:{broker.port}"

    def __enter__(self) -> EmbeddedBroker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self._owner

    def await_topic(self, name: str, patience: float = 30.0) -> None:
        """Return when somebody has produced to `name`, which is what makes a topic here.

        Raises:
            TimeoutError: nobody has.
        """
        deadline = time.monotonic() + patience
        while not self._owner.list_topics(name, timeout=10).topics[name].partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing was published to {name} within {patience:.0f} s")
            time.sleep(0.1)
