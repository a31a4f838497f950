"""`python -m dash_app`: serve the dashboard until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from types import FrameType

from werkzeug.serving import WSGIRequestHandler, make_server

from dash_app.app import create_app
from settings import load


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, which a page that asks often is glad of


def main() -> None:
    """Serve on `DASH_HOST`:`DASH_PORT`."""
    parser = argparse.ArgumentParser(prog="python -m dash_app", description=main.__doc__)
    parser.add_argument(
        "--behind-proxy", action="store_true",
        help="allow an address that other machines reach; only behind a proxy that asks for a log-in",
    )  # fmt: skip
    parser.add_argument(
        "--published-on-loopback", action="store_true",
        help="allow any address, for a container whose port is published on 127.0.0.1 only",
    )  # fmt: skip
    chosen = parser.parse_args()
    settings = load()
    app = create_app(settings, allow_remote=chosen.behind_proxy, published_on_loopback=chosen.published_on_loopback)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for every tick says nothing
    try:
        server = make_server(
            settings.dash_host, settings.dash_port, app.server, threaded=True, request_handler=_Handler
        )  # fmt: skip
    except OSError as error:
        raise SystemExit(f"conscope: cannot listen on {settings.dash_host}:{settings.dash_port}: {error}") from None

    def stop(_signal: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()  # shutdown waits for the loop that we interrupt here

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    shown = "localhost" if settings.dash_host == "127.0.0.1" else settings.dash_host
    print(f"ConScope dashboard: http://{shown}:{settings.dash_port}", flush=True)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
