"""What a process does once, when its flow starts to run: lock the recovery store, bring the schema up, tune Python."""

from __future__ import annotations

import argparse
import atexit
import ctypes
import fcntl
import gc
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg
from bytewax.errors import BytewaxRuntimeError

from connectors.kafka import stop_on_sigterm, stopping
from sinks import schema
from sinks.postgres import Database, first_line

log = logging.getLogger(__name__)

_held: list[int] = []
_once = threading.Lock()
_done = False


def once(dsn: str, retry_seconds: float, flow: str = "prices") -> None:
    """Bring the database up, bind the recovery store, tune the process; does nothing when it is called again.

    Raises:
        SystemExit: the database cannot be used, or was not there for `retry_seconds`; or the recovery store is that of
            another database or of another flow.
    """
    global _done
    with _once:
        if not _done:
            _prepare(dsn, retry_seconds, flow)
            _done = True


def _prepare(dsn: str, retry_seconds: float, flow: str) -> None:
    database = Database(dsn, retry_seconds)
    try:
        database.run(lambda _: schema.migrate(dsn))
    except schema.SchemaConflict as error:
        raise SystemExit(f"conscope: {error}") from None
    except psycopg.Error as error:
        raise SystemExit(f"conscope: Postgres: {first_line(error)}") from None
    finally:
        database.close()
    bind(store(), schema.database_id(dsn), flow)
    # Most objects that live at start live for ever; looking them over again and again took 40 % of the CPU.
    gc.collect()
    gc.freeze()
    # Above what a few batches hold, or the youngest are looked over ten times a batch, which took 1.8 us an event.
    gc.set_threshold(500_000, 20, 50)
    # A sink's thread waits some ten times in a commit, and after each for the interpreter: up to 5 ms, by default.
    sys.setswitchinterval(0.001)


def under_bytewax_run(check: Callable[[], None] = lambda: None) -> None:
    """Run `check`, take the recovery store for this process, and let SIGTERM and SIGINT end its input.

    Only when `python -m bytewax.run` imports the flow's module, which is the one moment that is on the main thread
    however many workers there are, and before Bytewax opens the store: already by opening it, a second process would
    ruin what the first one resumes from.

    Raises:
        SystemExit: another process runs on the same recovery store; or the check says so. (Raised later, inside the
            flow, it would come in the midst of Bytewax's own traceback.)
    """
    if not _run_by_bytewax():
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _return_memory()
    sys.excepthook = last_words
    atexit.register(leave)
    check()
    _held.append(_lock(store()))
    verify(store())
    stop_on_sigterm()


def _return_memory() -> None:
    """Let glibc give memory back. Elsewhere than on glibc there are no such knobs.

    All threads allocate from two heaps: most have one of their own by default, there are some forty (each partition's
    consumer has several), and these held 70 MB that nothing used. What is large (librdkafka's answers) is mapped, and
    unmapped when it is free. That is glibc's way from 128 KiB on, but unless it is told so it raises the limit as it goes,
    and 30 to 50 MB stayed in the heaps. Their ends go back from 4 MB on, not at every batch.
    """
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # of malloc.h
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(arena_max, 2)
        libc.mallopt(mmap_threshold, 128 << 10)
        libc.mallopt(trim_threshold, 4 << 20)


def last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """After Bytewax's traceback, what it was about, in a sentence: the last line is the one that is read.

    Bytewax wraps what a step raised in its own errors; what that had for a cause is told by the traceback.
    """
    sys.__excepthook__(kind, error, trace)
    first = error
    while isinstance(first, BytewaxRuntimeError) and first.__cause__ is not None:
        first = first.__cause__
    said = str(first).strip() or type(first).__name__
    print(said if said.startswith("conscope: ") else f"conscope: the flow ended: {said}", file=sys.stderr)  # noqa: T201


def leave() -> None:
    """End the process here when it was asked to stop and has drained: all is committed and closed by then.

    To take the interpreter and the libraries apart would have no use, and a danger: threads of librdkafka and libpq may
    still be at work, whose ground that pulls away. It ended in glibc's "double free" once in some hundred drains on a
    busy machine, with status -6 where all was well.
    """
    if stopping.is_set() and not hasattr(sys, "last_value"):  # which an error that nobody caught leaves behind
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _run_by_bytewax() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == "bytewax.run"


def store() -> tuple[Path, str] | None:
    """(folder, process id) of this process's recovery store, if `bytewax.run` was given one."""
    return recovery_store(sys.argv, dict(os.environ)) if _run_by_bytewax() else None


def recovery_store(arguments: list[str], environment: dict[str, str]) -> tuple[Path, str] | None:
    """(folder, process id) that `bytewax.run` was given, if it was given a recovery store; `arguments` as in argv."""
    # Parsed as bytewax.run does, so that every spelling it takes (-rDIR, --recovery-dir=DIR) is seen here too.
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-r", "--recovery-directory", default=environment.get("BYTEWAX_RECOVERY_DIRECTORY"))
    parser.add_argument("-i", "--process-id", default=environment.get("BYTEWAX_PROCESS_ID", "0"))
    given, _ = parser.parse_known_args(arguments[1:])
    return (Path(given.recovery_directory), given.process_id) if given.recovery_directory else None


def bind(store: tuple[Path, str] | None, database: str, flow: str = "prices") -> None:
    """Tie a recovery store to the database and the flow that it was first used with: its offsets are what stands there.

    Raises:
        SystemExit: the store belongs to another database or to another flow.
    """
    if store is None:
        return
    of_database, of_flow = store[0] / "database", store[0] / "flow"
    # A store that was bound before there was a second flow is the price flow's.
    owner = of_flow.read_text() if of_flow.exists() else "prices" if of_database.exists() else flow
    if owner != flow:
        raise SystemExit(
            f"conscope: the recovery store {store[0]} belongs to flows.{owner}: give flows.{flow} a folder of its own"
        )
    of_flow.write_text(flow)
    if not of_database.exists():
        of_database.write_text(database)
    elif of_database.read_text() != database:
        raise SystemExit(
            f"conscope: the recovery store {store[0]} belongs to another database: going on from it would leave out all "
            "that it has already read. Start with a new store: this database is then filled from the topic."
        )


def verify(store: tuple[Path, str] | None) -> None:
    """See that the files of a recovery store are whole; what is in the states has checksums of its own (analytics.seal).

    Raises:
        SystemExit: a file is cut short or has been written over.
    """
    for file in sorted(store[0].glob("*.sqlite3")) if store is not None else []:
        try:
            with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True)) as database:
                found = [row[0] for row in database.execute("PRAGMA integrity_check(1)")]
                found += [] if database.execute("SELECT 1 FROM parts").fetchone() else ["it holds nothing"]
        except sqlite3.Error as error:
            found = [str(error)]
        if found != ["ok"]:
            raise SystemExit(
                f"conscope: the recovery store {file.parent} is damaged ({file.name}: {found[-1]}). Start with a new one: "
                "the tables are then rebuilt from the topic, and nothing is lost or sent twice."
            )


def _lock(store: tuple[Path, str] | None) -> int:
    """Take the store for this process: two processes on one store both run in Bytewax, and write nonsense."""
    if store is None:
        return -1
    folder, process = store
    try:
        folder.chmod(0o700)  # the store holds pickles: whoever can write there can run code here
    except PermissionError:
        log.warning("the recovery store %s is another user's: see to it that only ConScope can write there", folder)
    handle = os.open(folder / f"lock-{process}", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(
            f"conscope: another process is running on the recovery store {folder}; stop it first"
        ) from None
    return handle
