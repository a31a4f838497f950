"""The production server: gunicorn with several processes of several threads, set up here and nowhere else."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]

_THREADS = 8
_OPTIONS: dict[str, Any] = {
    "worker_class": "gthread",
    "threads": _THREADS,
    # Each process makes the application itself: Polars, DuckDB and libpq do not outlive a fork.
    "preload_app": False,
    "keepalive": 30,  # a page asks every second and a half
    "timeout": 120,  # a process that gives no sign of life for so long is replaced; a busy machine starts slowly
    "graceful_timeout": 15,  # what is being answered when the end comes may take so long
    "loglevel": "warning",
    "accesslog": None,  # a line for every tick says nothing
    "control_socket_disable": True,
}


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, make: Callable[[], Any], options: dict[str, Any]) -> None:
        self._make, self._options = make, options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on a name or an address.

    Raises:
        SystemExit: the port is taken, or the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # Python adds the address, which stands there already
        raise SystemExit(f"conscope: cannot listen on {host}:{port}: {why}") from None


def serve(make: Callable[[], Any], listener: socket.socket, workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        make: makes the WSGI application, in each process for itself.
        listener: where requests come; taken over.
        workers: processes.

    Raises:
        SystemExit: always; with status 0 unless a process could not start.
    """
    _Server(make, {**_OPTIONS, "bind": f"fd://{listener.detach()}", "workers": workers}).run()
