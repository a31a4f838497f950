"""What a process does once at its start: the lock on the recovery store, its permissions, the schema."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from flows import start
from sinks import schema
from tests.conftest import Database

ROOT = Path(__file__).resolve().parents[2]
STORE = Path("/var/store")


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ("run flows.prices", {}, None),
        ("run flows.prices -s 5 -b 60", {}, None),
        ("run flows.prices -r /var/store -s 5", {}, (STORE, "0")),
        ("run -r /var/store flows.prices", {}, (STORE, "0")),
        ("run flows.prices -r/var/store", {}, (STORE, "0")),
        ("run flows.prices --recovery-directory /var/store", {}, (STORE, "0")),
        ("run flows.prices --recovery-directory=/var/store", {}, (STORE, "0")),
        ("run flows.prices --recovery-dir /var/store", {}, (STORE, "0")),
        ("run flows.prices -r /var/store -i 3 -a a:1;b:1", {}, (STORE, "3")),
        ("run flows.prices -r /var/store -i3", {}, (STORE, "3")),
        ("run flows.prices -r /var/store --process-id 2", {}, (STORE, "2")),
        ("run flows.prices -r /var/store --process-id=2", {}, (STORE, "2")),
        ("run flows.prices -w 2 -r /var/store -s 5 -b 60", {}, (STORE, "0")),
        ("run flows.prices", {"BYTEWAX_RECOVERY_DIRECTORY": "/var/store"}, (STORE, "0")),
        ("run flows.prices -r /var/store", {"BYTEWAX_RECOVERY_DIRECTORY": "/other"}, (STORE, "0")),
        ("run flows.prices", {"BYTEWAX_RECOVERY_DIRECTORY": "/var/store", "BYTEWAX_PROCESS_ID": "4"}, (STORE, "4")),
        (
            "run flows.prices -i 1",
            {"BYTEWAX_RECOVERY_DIRECTORY": "/var/store", "BYTEWAX_PROCESS_ID": "4"},
            (STORE, "1"),
        ),
        ("run flows.prices", {"BYTEWAX_PROCESS_ID": "4"}, None),
        ("run flows.prices", {"BYTEWAX_RECOVERY_DIRECTORY": ""}, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_store_is_found_wherever_bytewax_would_find_it(
    arguments: str, environment: dict[str, str], expected: tuple[Path, str] | None
) -> None:
    assert start.recovery_store(arguments.split(), environment) == expected


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o700])
def test_the_store_is_closed_to_others(tmp_path: Path, mode: int) -> None:
    """It holds pickles: whoever can write there can run code here."""
    tmp_path.chmod(mode)
    os.close(start._lock((tmp_path, "0")))
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_flow_without_a_store_takes_no_lock() -> None:
    assert start._lock(None) == -1


HOLDER = """
import sys, time
from pathlib import Path
from flows import start
start._lock((Path(sys.argv[1]), sys.argv[2]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of process 0."""
    running = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path), "0"], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline() == "held\n"
    yield running
    running.kill()
    running.communicate()


def test_a_second_process_on_the_store_is_refused_in_one_sentence(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    second = subprocess.run(
        [sys.executable, "-c", HOLDER, str(tmp_path), "0"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert second.stdout == ""
    sentence = f"conscope: another process is running on the recovery store {tmp_path}; stop it first\n"
    assert second.stderr == sentence, "a traceback helps nobody here"


def test_another_process_of_the_same_cluster_may_run(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    os.close(start._lock((tmp_path, "1")))


def test_the_lock_of_a_killed_process_is_free(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    os.close(start._lock((tmp_path, "0")))


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """This process as it was before its flow started; put back afterwards."""
    held: list[int] = []
    monkeypatch.setattr(start, "_held", held)
    monkeypatch.setattr(start, "_done", False)
    monkeypatch.setattr(start.atexit, "register", lambda _: None)  # this process has its own end
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.delenv("BYTEWAX_RECOVERY_DIRECTORY", raising=False)
    threshold = gc.get_threshold()
    yield monkeypatch
    gc.set_threshold(*threshold)
    gc.unfreeze()
    for handle in held:
        if handle >= 0:
            os.close(handle)


def test_a_start_locks_the_store_and_makes_the_tables_once(
    fresh: pytest.MonkeyPatch, database: Database, tmp_path: Path
) -> None:
    fresh.setattr(sys, "argv", ["run", "flows.prices", "-r", str(tmp_path)])
    fresh.setattr(start, "_run_by_bytewax", lambda: True)
    fresh.setattr(start, "stop_on_sigterm", lambda: None)
    start.under_bytewax_run()
    start.once(database.dsn, 5)
    with pytest.raises(SystemExit, match="another process is running on the recovery store"):
        start._lock((tmp_path, "0"))
    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT to_regclass('price_history') IS NOT NULL").fetchone() == (True,)
    fresh.setattr(schema, "migrate", lambda _: pytest.fail("migrated again"))
    start.once(database.dsn, 5)


def test_the_earlier_versions_tables_end_the_start_with_a_sentence(
    fresh: pytest.MonkeyPatch, database: Database
) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute("CREATE TABLE price_history (id serial)")
    with pytest.raises(SystemExit, match=r"^conscope: this database holds the earlier version's tables"):
        start.once(database.dsn, 5)


def test_the_arguments_of_other_programs_are_not_taken_for_a_store(
    fresh: pytest.MonkeyPatch, database: Database, tmp_path: Path
) -> None:
    """As in a test that runs the flow in its own process: `pytest -rA`."""
    fresh.setattr(sys, "argv", ["pytest", "-r", str(tmp_path)])
    start.once(database.dsn, 5)
    assert list(tmp_path.iterdir()) == []


def test_the_store_is_taken_when_the_flow_is_imported_before_bytewax_opens_it(
    fresh: pytest.MonkeyPatch, holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    """A second process that only opened the store would change what the first one resumes from."""
    fresh.setattr(sys, "argv", ["run", "flows.prices", "-r", str(tmp_path)])
    fresh.setattr(start, "_run_by_bytewax", lambda: True)
    with pytest.raises(SystemExit, match="another process is running on the recovery store"):
        start.under_bytewax_run()


def test_a_store_stays_with_the_database_it_was_first_used_with(tmp_path: Path) -> None:
    """Its offsets say what stands in that database; another would lack all that came before."""
    start.bind((tmp_path, "0"), "one")
    start.bind((tmp_path, "1"), "one")
    with pytest.raises(SystemExit, match="belongs to another database"):
        start.bind((tmp_path, "0"), "other")
    start.bind(None, "whatever")


def test_a_store_stays_with_the_flow_it_was_first_used_with(tmp_path: Path) -> None:
    """The state of one says nothing to the other, which would begin anew and then spoil it for the first."""
    start.bind((tmp_path, "0"), "one", "ingest")
    with pytest.raises(SystemExit, match=r"belongs to flows\.ingest: give flows\.prices a folder of its own"):
        start.bind((tmp_path, "0"), "one")
    start.bind((tmp_path, "0"), "one", "ingest")


def test_a_store_from_before_there_were_two_flows_is_the_price_flows(tmp_path: Path) -> None:
    (tmp_path / "database").write_text("one")
    with pytest.raises(SystemExit, match=r"belongs to flows\.prices"):
        start.bind((tmp_path, "0"), "one", "ingest")
    start.bind((tmp_path, "0"), "one")


def test_without_postgres_the_start_ends_with_a_sentence_after_its_patience(fresh: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"^conscope: Postgres: .*") as ended:
        start.once("host=127.0.0.1 port=1 dbname=x user=x password=canary-secret connect_timeout=1", 0.2)
    assert "canary" not in str(ended.value)
