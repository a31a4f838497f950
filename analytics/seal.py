"""A checksum on what is kept between runs: a state that has changed on the disk must not be taken for a true one."""

from __future__ import annotations

from zlib import crc32


class Damaged(ValueError):
    """What was kept is not what was written."""

    def __init__(self) -> None:
        super().__init__(
            "conscope: the recovery store is damaged (a state's checksum differs), or was written by an earlier version. "
            "Start with a new one: the tables are then rebuilt from the topic, and nothing is lost or sent twice."
        )


def seal(data: bytes) -> bytes:
    """The bytes with their CRC-32 behind them."""
    return data + crc32(data).to_bytes(4, "big")


def unseal(sealed: bytes) -> bytes:
    """The bytes that `seal` was given.

    Raises:
        Damaged: a bit has changed, or some are missing.
    """
    data, checksum = sealed[:-4], sealed[-4:]
    if crc32(data).to_bytes(4, "big") != checksum:
        raise Damaged
    return data
