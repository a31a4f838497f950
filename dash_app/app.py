"""The application, made but not started."""

from __future__ import annotations

from typing import Any

from dash import Dash, html
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from dash_app import delivery, exports, mute, security
from dash_app.page import Services, View
from dash_app.pages import PAGES
from dash_app.shell import client, live, router
from dash_app.shell.layout import layout
from settings import Settings

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<title>{%title%}</title>
<link rel="icon" type="image/svg+xml" href="assets/mark.svg">
{%css%}
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""


def create_app(settings: Settings, *, allow_remote: bool = False, published_on_loopback: bool = False) -> Dash:
    """The dashboard over the database that the settings name. Nothing connects before the first request.

    Args:
        settings: where it listens, its log-in, and where Postgres and the lake are.
        allow_remote: an authenticating proxy stands in front, so other machines may reach it.
        published_on_loopback: it listens inside a container, whose port only this machine's loopback reaches.

    Raises:
        SystemExit: `dash_host` is not a loopback address, and there is neither a log-in nor one of the two promises.
    """
    login = security.Login.of(settings)
    security.check_bind(settings.dash_host, allow_remote=allow_remote or published_on_loopback or login is not None)
    app = Dash(
        "dash_app", title="ConScope", update_title="", index_string=_PAGE, serve_locally=True,
        enable_mcp=False, compress=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"},
                   {"name": "color-scheme", "content": "light dark"}],
    )  # fmt: skip
    server: Flask = app.server
    services = Services.of(settings)
    app.layout = layout(PAGES)
    everything: Any = html.Div([app.layout, *(page.layout(View()) for page in PAGES)])
    app.validation_layout = everything  # so that a callback which names no part fails at start
    client.register(app)
    router.register(app, PAGES)
    live.register(app, services.database)
    for page in PAGES:
        page.register(app, services)
    server.add_url_rule("/health", "health", lambda: ("ok", {"Content-Type": "text/plain; charset=utf-8"}))
    mute.register(server, settings)
    exports.register(server, PAGES, services)
    delivery.register(server)
    security.protect(server, security.content_policy(app.csp_hashes()), allow_remote=allow_remote, login=login)
    if allow_remote:  # the last address that the proxy wrote is that of who asks
        server.wsgi_app = ProxyFix(server.wsgi_app, x_for=1, x_proto=0, x_host=0)  # type: ignore[method-assign]
    # Dash prepares itself inside the first request, and answers a second one that comes meanwhile half prepared: with
    # several processes and threads, a script it does not know yet.
    server.test_client().get("/health")
    return app
