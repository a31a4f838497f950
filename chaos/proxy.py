"""A TCP proxy on loopback whose line can be slow, cut or dead: what a network does to a client that has done no wrong."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class Proxy:
    """Passes bytes between whoever connects to `port` and `target`, as the line allows.

    `delay` holds each piece back for so many seconds; `dead` keeps connections open and passes nothing (a half-open
    line); `cut()` resets every connection.

    Args:
        target: (host, port) behind it; may be changed while it runs.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.delay = 0.0
        self.dead = False
        self._pairs: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def cut(self) -> None:
        """Reset every connection; new ones are accepted."""
        with self._lock:
            cut, self._pairs = self._pairs, set()
        for side in cut:
            _reset(side)

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _reset(self._listening)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, 5)
            except OSError:
                _reset(near)
                continue
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), name="proxy-line", daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while piece := one.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                while self.dead:
                    time.sleep(0.05)
                other.sendall(piece)
        except OSError:
            pass
        _reset(one)
        _reset(other)
        with self._lock:
            self._pairs -= {one, other}


def _reset(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
    side.close()
