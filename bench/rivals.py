"""Others' ways to do the job, on the same topic and the same servers: Quix Streams, and the earlier version's stack.

Each runs in a process and a virtual environment of its own, made here from its lock file, and writes the flow's own
tables with their indexes. What it wrote is compared with what the topic holds. docs/performance.md says what they leave out.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import uuid
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from analytics.decode import decode
from analytics.schema import MICROS
from bench import reading
from bench.services import committed
from local.postgres import EmbeddedPostgres
from local.processes import ROOT, die_with_parent
from sinks import schema
from tests.conftest import new_database
from tests.support.pipeline import log_ends

_HERE = Path(__file__).parent
_CACHE = ROOT / ".cache" / "bench"
_STREAM = 1  # the topic's number in row ids
_SIZES = 3  # windows that a price is in, of its section and of its event


class Rival(NamedTuple):
    """What one rival did.

    Args:
        name: of the rival.
        messages: that it read.
        rows: in `price_history`.
        rate: rows/s from the first commit in Postgres to the last, as the flow's is measured.
        seconds: between the two.
        cpu: microseconds of its process an event, from the first message to the end.
        peak: most memory of its process, in MB.
        equal: whether it wrote what the topic holds.
    """

    name: str
    messages: int
    rows: int
    rate: float
    seconds: float
    cpu: float
    peak: float
    equal: bool


class Written(NamedTuple):
    """What is compared: prices and their sum, enriched messages, and observations summed over all windows."""

    rows: int
    total: Decimal
    processed: int
    observations: int


def quix(bootstrap: str, topic: str, server: EmbeddedPostgres, limit: int | None = None) -> Rival:
    """Quix Streams: changes, windows, `price_history`, `price_changes`, `price_windows`, enriched messages.

    Args:
        bootstrap: Kafka's address.
        topic: filled, with price events that are all well.
        server: with `track_commit_timestamp`; gets a database for the run.
        limit: messages to do; all of them when not given.
    """
    return _run("Quix Streams", "quix", bootstrap, topic, server, limit, windows=True)


def earlier(bootstrap: str, topic: str, server: EmbeddedPostgres, limit: int = 5000) -> Rival:
    """The earlier version's stack: changes, `price_history`, enriched messages; slow, so some messages must do."""
    return _run("the earlier version's way", "earlier", bootstrap, topic, server, limit, windows=False)


def environment(name: str) -> Path:
    """The Python of a rival's environment, with what `bench/<name>.txt` pins; made anew when that has changed."""
    lock, folder = _HERE / f"{name}.txt", _CACHE / name
    python, stamp = folder / "bin" / "python", folder / "lock"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"  making {folder.relative_to(ROOT)}", flush=True)
        uv = [str(Path(sys.executable).with_name("uv"))]
        settings = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), **os.environ}
        for command in (
            ["venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            ["pip", "install", "--quiet", "--system-certs", "--python", str(python), "--require-hashes", "-r", str(lock)],
        ):  # fmt: skip
            subprocess.run(uv + command, check=True, env=settings, timeout=600)
        stamp.write_text(wanted)
    return python


def report(rival: Rival) -> None:
    """Print one figure."""
    print(
        f"  {rival.rate:>9,.0f} events/s   {rival.name}: {rival.rows:,} rows in {rival.seconds:.1f} s, "
        f"{rival.cpu:.0f} µs of CPU an event, peak memory {rival.peak:.0f} MB, "
        f"{'equal to' if rival.equal else 'DIFFERENT FROM'} what the topic holds",
        flush=True,
    )


def _run(
    name: str, kind: str, bootstrap: str, topic: str, server: EmbeddedPostgres, limit: int | None, *, windows: bool
) -> Rival:
    python, group = environment(kind), f"bench-{kind}-{uuid.uuid4().hex[:8]}"
    processed, all_of_it = f"{group}-processed", sum(log_ends(bootstrap, topic).values())
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(processed, 3, 1)])[processed].result(30)
    try:
        with new_database(server) as database, TemporaryDirectory(prefix="conscope-bench-") as state:
            schema.migrate(database.dsn)
            arguments = {"bootstrap": bootstrap, "topic": topic, "processed": processed, "group": group, "state": state,
                         "stream": _STREAM, "limit": min(limit or all_of_it, all_of_it)}  # fmt: skip
            told = _job(python, f"rival_{kind}.py", arguments, database.dsn)
            ends = {int(partition): end for partition, end in told["offsets"].items()}
            messages, (rows, rate, seconds) = told["messages"], committed(database.dsn)
            there = written(database.dsn, sum(log_ends(bootstrap, processed).values()))
            equal = there == expected(bootstrap, topic, ends, windows=windows)
    finally:
        _forget(admin, group)
    peak = told["peak_memory"] / 2**20
    return Rival(name, messages, rows, rate, seconds, told["cpu_seconds"] / messages * 1e6, peak, equal)


def _job(python: Path, script: str, arguments: dict[str, object], dsn: str) -> dict[str, Any]:
    """Run a rival's script to its end; its last line tells what it did. It shows its progress by itself."""
    # -P: what lies beside the script is none of its business.
    command = [str(python), "-P", "-W", "ignore", str(_HERE / script)]
    command += [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    process = subprocess.Popen(
        command, env={**os.environ, "RIVAL_DSN": dsn}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        preexec_fn=die_with_parent(), cwd=str(arguments["state"]),
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=3600)
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        raise RuntimeError(f"{script} ended with status {process.returncode}")
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def written(dsn: str, processed: int) -> Written:
    """What stands in the tables."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM price_history), (SELECT sum(total_price) FROM price_history), %s::bigint, "
            "(SELECT coalesce(sum(observations), 0)::bigint FROM price_windows)",
            (processed,),
        ).fetchone()
    assert row is not None
    return Written(*row)


def expected(bootstrap: str, topic: str, ends: dict[int, int], *, windows: bool) -> Written:
    """What ought to stand there when each partition was read up to these offsets, as our own decoder has it."""
    rows = total = observations = 0
    for batch in reading.messages(bootstrap, topic, ends):
        frame = decode(*reading.unpack(batch)).rows
        rows += frame.height
        total += int(frame["total_price"].sum())
        of_listings = int((frame["level"] == "listing").sum())
        observations += _SIZES * (frame.height + of_listings)
    return Written(rows, Decimal(total) / MICROS, rows, observations if windows else 0)


def _forget(admin: AdminClient, group: str) -> None:
    """Remove the topics of a run, changelogs included: the broker may be somebody's."""
    names = [name for name in admin.list_topics(timeout=15).topics if group in name]
    for removed in admin.delete_topics(names).values():
        with suppress(KafkaException):
            removed.result(30)
