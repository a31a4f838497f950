"""What keeps the page to itself: where it may listen, who may ask, and the headers on every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from flask import Flask, Response, abort, request

from dash_app.plain import plain_page
from settings import Settings

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN = ("/health", "/mute/")  # a probe has no password, and a link in a mail is its own


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
        SystemExit: `host` is not a loopback address, and there is no log-in, ours or that of a proxy.
    """
    if not allow_remote and not is_loopback(host):
        raise SystemExit(
            f"conscope: the dashboard has no log-in, so it does not listen on {host!r}; set DASH_HOST=127.0.0.1, or "
            "DASH_USER and DASH_PASSWORD (which travel readable, so put TLS in front), or pass --behind-proxy when an "
            "authenticating proxy stands in front of it"
        )


class Patience:
    """How many wrong passwords an address may try: ten at once, then one a second. Each process counts for itself.

    Args:
        clock: seconds that only go forward.
    """

    _AT_ONCE = 10.0
    _KNOWN = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}  # tries left, and as of when

    def left(self, address: str) -> float:
        """Tries that `address` has now; below one, it has to wait."""
        left, then = self._left.get(address, (self._AT_ONCE, self._clock()))
        return min(self._AT_ONCE, left + self._clock() - then)

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        left = self.left(address) - 1
        if len(self._left) >= self._KNOWN:
            self._left.clear()  # whoever has so many addresses is not slowed by counting them
        self._left[address] = (left, self._clock())


class Login:
    """The one name and password that open the dashboard, as HTTP Basic authentication (RFC 7617) gives them."""

    def __init__(self, user: str, password: str, patience: Patience | None = None) -> None:
        self._expected = _digest(user, password)
        self._patience = patience or Patience()

    @classmethod
    def of(cls, settings: Settings) -> Login | None:
        """The log-in that the settings ask for, if any.

        Raises:
            SystemExit: a name without a password, or the other way round.
        """
        user, password = settings.dash_user, settings.dash_password
        if user is None and password is None:
            return None
        if user is None or password is None:
            raise SystemExit("conscope: DASH_USER and DASH_PASSWORD go together; set both, or neither")
        return cls(user, password.get_secret_value())

    def refusal(self) -> Response | None:
        """The answer to the current request if it does not carry them; what was tried is nowhere written down."""
        given = request.authorization
        if given is None or given.type != "basic":
            return self._ask("This dashboard is private", "It opens with a name and a password.")
        address = _network(request.remote_addr)
        if self._patience.left(address) < 1:
            answer = plain_page(429, "Too many wrong passwords", "Please wait some seconds, then try again.")
            answer.headers["Retry-After"] = "2"
            return answer
        if hmac.compare_digest(_digest(given.username or "", given.password or ""), self._expected):
            return None
        self._patience.failed(address)
        return self._ask("That did not open it", "The name or the password is wrong. Load the page again to retry.")

    def _ask(self, title: str, text: str) -> Response:
        answer = plain_page(401, title, text)
        answer.headers["WWW-Authenticate"] = 'Basic realm="ConScope", charset="UTF-8"'
        return answer


def _digest(user: str, password: str) -> bytes:
    """Of one length, so that comparing tells nothing of theirs. Neither is stored, so a slow hash would protect nothing."""
    return hashlib.sha256(f"{user}:{password}".encode(errors="replace")).digest()


def _network(address: str | None) -> str:
    """What one person has: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    return str(parsed) if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


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


def protect(server: Flask, policy: str, *, allow_remote: bool, login: Login | None = None) -> None:
    """Add the headers to every answer, refuse requests that come by way of another site, and ask for the log-in.

    Without a log-in or a proxy in front, a request must name this machine as its host: a foreign name that resolves to
    loopback is how other sites read local pages. (A browser sends a log-in to the name it was given for only.) A write
    must come from this page: by its `Origin`, and by what the browser says of the site that it comes from. A mail
    program's own POST, which mutes a rule, has neither header.
    """
    any_host = allow_remote or login is not None

    def guard() -> Response | None:
        if not any_host and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            abort(403)
        if request.method not in _READS and _foreign(
            request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        ):
            abort(403)
        return None if login is None or request.path.startswith(_OPEN) else login.refusal()

    def seal(response: Response) -> Response:
        for name, value in {**_HEADERS, "Content-Security-Policy": policy}.items():
            response.headers.setdefault(name, value)  # a page may have set its own
        return response

    server.before_request(guard)
    server.after_request(seal)


def _foreign(origin: str | None, site: str | None) -> bool:
    return (origin is not None and urlsplit(origin).netloc != request.host) or site not in {None, "same-origin", "none"}
