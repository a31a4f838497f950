"""What a process does once, when its flow starts to run: lock the recovery store, bring the schema up, tune the GC."""

from __future__ import annotations

import argparse
import fcntl
import gc
import logging
import os
import sys
import threading
from pathlib import Path

from connectors.kafka import stop_on_sigterm
from sinks import schema

log = logging.getLogger(__name__)

_held: list[int] = []
_once = threading.Lock()


def once(dsn: str) -> None:
    """Prepare this process; does nothing when it is called again.

    Raises:
        SystemExit: another process runs on the same recovery store, or the database cannot be used.
    """
    with _once:
        if not _held:
            _prepare(dsn)


def _prepare(dsn: str) -> None:
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    lock = _lock(recovery_store(sys.argv if _run_by_bytewax() else [], dict(os.environ)))
    try:
        schema.migrate(dsn)
    except schema.SchemaConflict as error:
        raise SystemExit(f"conscope: {error}") from None
    # Most objects that live at start live for ever; looking them over again and again took 40 % of the CPU.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    _held.append(lock)


def drain_on_signals() -> None:
    """Let SIGTERM and SIGINT end the input of a flow that `python -m bytewax.run` runs.

    Only there: it is called while the flow's module is imported, the one moment that is on the main thread however
    many workers there are, and an importer that is not `bytewax.run` keeps its own signals.
    """
    if _run_by_bytewax():
        stop_on_sigterm()


def _run_by_bytewax() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name == "bytewax.run"


def recovery_store(arguments: list[str], environment: dict[str, str]) -> tuple[Path, str] | None:
    """(folder, process id) that `bytewax.run` was given, if it was given a recovery store; `arguments` as in argv."""
    # Parsed as bytewax.run does, so that every spelling it takes (-rDIR, --recovery-dir=DIR) is seen here too.
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-r", "--recovery-directory", default=environment.get("BYTEWAX_RECOVERY_DIRECTORY"))
    parser.add_argument("-i", "--process-id", default=environment.get("BYTEWAX_PROCESS_ID", "0"))
    given, _ = parser.parse_known_args(arguments[1:])
    return (Path(given.recovery_directory), given.process_id) if given.recovery_directory else None


def _lock(store: tuple[Path, str] | None) -> int:
    """Take the store for this process: two processes on one store both run in Bytewax, and write nonsense."""
    if store is None:
        return -1
    folder, process = store
    folder.chmod(0o700)  # the store holds pickles: whoever can write there can run code here
    handle = os.open(folder / f"lock-{process}", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(
            f"conscope: another process is running on the recovery store {folder}; stop it first"
        ) from None
    return handle
