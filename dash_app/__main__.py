"""`python -m dash_app`: serve the dashboard until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
from typing import Any

from dash_app import security
from dash_app.server import listen, serve
from settings import load


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
    login = security.Login.of(settings)  # said once, here, rather than by every process
    promised = chosen.behind_proxy or chosen.published_on_loopback
    security.check_bind(settings.dash_host, allow_remote=promised or login is not None)

    def make() -> Any:
        from dash_app.app import create_app  # in the process that serves: what it imports does not outlive a fork

        app = create_app(
            settings, allow_remote=chosen.behind_proxy, published_on_loopback=chosen.published_on_loopback
        )  # fmt: skip
        return app.server

    host, port = settings.dash_host, settings.dash_port
    listener = listen(host, port)
    shown = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    print(f"ConScope dashboard: http://{shown}:{port}", flush=True)
    serve(make, listener, settings.dash_workers)


if __name__ == "__main__":
    main()
