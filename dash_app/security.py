"""What keeps the page to itself: where it may listen, who may ask, and the headers on every answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, no port) can only be reached from this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_bind(host: str, *, allow_remote: bool) -> None:
    """Refuse to listen where others can reach a page that asks no password.

    Raises:
        SystemExit: `host` is not a loopback address and no authenticating proxy was promised.
    """
    if not allow_remote and not is_loopback(host):
        raise SystemExit(
            f"conscope: the dashboard has no log-in, so it does not listen on {host!r}; set DASH_HOST=127.0.0.1, or "
            "pass --behind-proxy when an authenticating proxy stands in front of it"
        )


def content_policy(script_hashes: Sequence[str]) -> str:
    """A content security policy: only our own scripts, and the inline ones with these hashes.

    Styles may be inline, because Mantine and Plotly set them from their scripts.
    """
    return "; ".join(
        [
            "default-src 'self'",
            f"script-src 'self' {' '.join(script_hashes)}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def protect(server: Flask, policy: str, *, allow_remote: bool) -> None:
    """Add the headers to every answer, and refuse requests that come by way of another site.

    Without a proxy in front, a request must name this machine as its host (a foreign name that resolves to loopback
    is how other sites read local pages), and a POST must come from this page.
    """

    def guard() -> None:
        if not allow_remote and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            abort(403)
        origin = request.headers.get("Origin")
        if request.method == "POST" and origin and urlsplit(origin).netloc != request.host:
            abort(403)

    def seal(response: Response) -> Response:
        for name, value in {**_HEADERS, "Content-Security-Policy": policy}.items():
            response.headers.setdefault(name, value)  # a page may have set its own
        return response

    server.before_request(guard)
    server.after_request(seal)
