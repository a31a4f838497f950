"""`python -m dash_app` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from local.postgres import free_port
from local.processes import die_with_parent

_ROOT = Path(__file__).parents[3]


@contextmanager
def dashboard(port: int, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """A dashboard without a database, in a process of its own."""
    environment = {**os.environ, "POSTGRES_PORT": "1", "DASH_HOST": "127.0.0.1", "DASH_PORT": str(port), **settings}
    with subprocess.Popen(
        [sys.executable, "-m", "dash_app", *arguments], cwd=_ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent(),
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _await_health(port: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:  # the test's own time limit ends this
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the dashboard ended:\n{process.communicate()[0]}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_in_several_processes_and_ends_cleanly(number: signal.Signals) -> None:
    port = free_port()
    with dashboard(port, DASH_WORKERS="3") as process:
        _await_health(port, process)
        children = psutil.Process(process.pid).children()
        while len(children) < 3:  # they start one after the other
            time.sleep(0.05)
            children = psutil.Process(process.pid).children()
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert said == f"ConScope dashboard: http://localhost:{port}\n"
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    port = free_port()
    with dashboard(port) as first:
        assert first.stdout is not None
        assert str(port) in first.stdout.readline()  # it listens
        with dashboard(port) as second:
            said, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert said == f"conscope: cannot listen on 127.0.0.1:{port}: Address already in use\n"


@pytest.mark.parametrize(
    ("settings", "arguments", "listens"),
    [({}, [], False), ({}, ["--behind-proxy"], True), ({}, ["--published-on-loopback"], True),
     ({"DASH_USER": "nora", "DASH_PASSWORD": "hunter2"}, [], True), ({"DASH_USER": "nora"}, [], False)],
)  # fmt: skip
def test_other_machines_are_let_in_only_with_a_log_in(
    settings: dict[str, str], arguments: list[str], listens: bool
) -> None:
    with dashboard(free_port(), *arguments, DASH_HOST="0.0.0.0", **settings) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
    assert line.startswith("ConScope dashboard: ") == listens
    assert listens or "DASH_PASSWORD" in line
