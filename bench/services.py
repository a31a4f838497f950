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

import psycopg

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


def cpu_seconds(flows: set[int]) -> dict[str, float]:
    """CPU seconds so far (Linux) of the flow, given its process ids, and of all of this machine's brokers and Postgres."""
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
            "flow" if int(folder.name) in flows
            else "Postgres" if command.startswith("postgres:")
            else "broker" if "kafka.Kafka" in command
            else None
        )  # fmt: skip
        if kind is not None:
            spent = int(fields[11]) + int(fields[12])
            if kind == "flow":
                spent += int(fields[13]) + int(fields[14])  # of its processes that have ended: the lake's joining
            found[kind] += spent / _TICKS
    return found


def committed(dsn: str, known: int = 0) -> tuple[int, float, float]:
    """Of `price_history`: (all its rows, rows/s and seconds after the commit with which there were more than `known`)."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "WITH commits AS (SELECT pg_xact_commit_timestamp(xmin) AS t, count(*) AS n FROM price_history GROUP BY 1), "
            "counted AS (SELECT t, sum(n) OVER (ORDER BY t) AS so_far FROM commits), "
            "begun AS (SELECT min(t) AS t FROM counted WHERE so_far > %s) "
            "SELECT sum(n)::bigint, (sum(n) FILTER (WHERE c.t > begun.t))::bigint, "
            "extract(epoch FROM max(c.t) - begun.t)::float8 FROM commits AS c, begun GROUP BY begun.t",
            (known,),
        ).fetchone()
    if row is None or row[1] is None:
        raise RuntimeError(f"all rows after the first {known:,} came in one commit: too few to tell a rate")
    rows, later, seconds = row
    return rows, later / seconds, seconds


def environment() -> str:
    """On what it was measured, in one line."""
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("bytewax", "polars", "msgspec", "confluent-kafka", "psycopg")
    )
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {packages}"
