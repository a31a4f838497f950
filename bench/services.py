"""What every measurement runs on, and what its processes cost."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from local.postgres import EmbeddedPostgres
from tests.support.kafka import Kafka, make_kafka

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Services:
    """A real Kafka, a Postgres with fsync on that keeps the time of each commit, and a folder that goes at the end."""

    kafka: Kafka
    postgres: EmbeddedPostgres
    folder: Path


@contextmanager
def services() -> Iterator[Services]:
    """Started for the measurements, and stopped after them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="conscope-bench-")))
        kafka = stack.enter_context(make_kafka())
        yield Services(kafka, stack.enter_context(EmbeddedPostgres(track_commit_timestamp="on")), folder)


def cpu_seconds(flow: int) -> dict[str, float]:
    """CPU seconds so far (Linux) of the flow, given its process id, and of all of this machine's brokers and Postgres."""
    found = {"flow": 0.0, "Postgres": 0.0, "broker": 0.0}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        kind = (
            "flow" if int(folder.name) == flow
            else "Postgres" if command.startswith("postgres:")
            else "broker" if "kafka.Kafka" in command
            else None
        )  # fmt: skip
        if kind is not None:
            found[kind] += (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def environment() -> str:
    """On what it was measured, in one line."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("bytewax", "polars", "msgspec", "confluent-kafka", "psycopg")
    )
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}"
