"""What every sender has in common: it brings notices to one place and says what became of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from sinks.words import Notice


class Outcome(Enum):
    """What became of a message."""

    SENT = "sent"
    AGAIN = "again"  # not taken; send it again after `wait`
    LOST = "lost"  # perhaps taken: the answer did not come
    REFUSED = "refused"  # the message is found wrong: our fault, sending it again is no use
    BARRED = "barred"  # we are refused, whatever the message: try again, but not for ever
    GONE = "gone"  # there is nobody at this address any more


@dataclass(frozen=True)
class Answer:
    """What became of one message.

    Args:
        outcome: see `Outcome`.
        wait: seconds to leave the channel alone; 0 leaves the pause after a failure to the caller.
        message_id: what the other side calls the message.
        error: for the outbox and the log; names no address.
        everywhere: `wait` is meant for the whole service, not only for this channel.
    """

    outcome: Outcome
    wait: float = 0.0
    message_id: str | None = None
    error: str | None = None
    everywhere: bool = False


class Sender(Protocol):
    """One address that notices can be brought to. Its address is in no representation, error or log line."""

    @property
    def service(self) -> str:
        """Senders of one service share its limits."""

    @property
    def fingerprint(self) -> str:
        """Tells this address from another without giving it away."""

    @property
    def mutes(self) -> bool:
        """Whether its messages carry a link that mutes the rules they tell of."""

    def send(self, notices: Sequence[Notice], mute: str | None) -> Answer:
        """Bring them, joined in one message; `mute` is the link. Never raises for what the other side does."""


class BadAddress(ValueError):
    """An address that cannot be used; the message says how it should look and never repeats it."""


@dataclass(frozen=True)
class Nobody:
    """Stands where there is no usable address, and says why."""

    reason: str
    fingerprint: str
    service: str = "none"
    mutes: bool = False

    def send(self, notices: Sequence[Notice], mute: str | None) -> Answer:
        """Nothing is sent."""
        return Answer(Outcome.GONE, error=self.reason)


def fingerprint(address: str) -> str:
    """The fingerprint of an address."""
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def printable(value: object) -> str:
    """What the other side said, as Postgres can keep it."""
    return str(value)[:200].encode(errors="replace").decode().replace("\x00", "")
