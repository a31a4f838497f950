"""The sender for everything else, by apprise (BSD-2-Clause): ntfy, Slack, Telegram, Matrix and a hundred more.

An optional extra (requirements-extra.txt), imported only when a channel needs it.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Sequence
from typing import Any

from sinks.sender import Answer, BadAddress, Outcome, fingerprint
from sinks.words import EACH_UP_TO, Notice, headline, selected, sparkline

SHAPE = "is no address that apprise knows, such as ntfys://ntfy.sh/my-topic"

_MISSING = "needs apprise, which is not installed: pip install --require-hashes -r requirements-extra.txt"
_LISTED = 15
_AT_MOST_EVERY = 5.0  # seconds: apprise does not tell what a service allows


class Service:
    """One address of apprise's.

    Args:
        url: as in apprise's documentation.

    Raises:
        BadAddress: apprise does not know it, or is not installed.
    """

    mutes = False

    def __init__(self, url: str) -> None:
        try:
            apprise: Any = importlib.import_module("apprise")
        except ImportError:
            raise BadAddress(_MISSING) from None
        _hear(logging.getLogger("apprise"))
        self.fingerprint = fingerprint(url)
        self.service = f"apprise {url.partition(':')[0].lower()}"
        asset = apprise.AppriseAsset(app_id="ConScope", app_desc="ConScope", app_url="")
        # The service itself: `Apprise.notify` runs all on one small pool, where one that hangs delays the others.
        self._plugin = apprise.Apprise.instantiate(url, asset=asset)
        if self._plugin is None:
            raise BadAddress(SHAPE)

    def send(self, notices: Sequence[Notice], mute: str | None = None) -> Answer:
        """Hand one message to the service. Never raises for what the other side does."""
        title, body = message(notices)
        _heard.status, _heard.broken = None, False
        try:
            taken = self._plugin.notify(body=body, title=title, body_format="text")
        except Exception as error:  # a plugin's own mistake, whose text may quote the address
            return Answer(Outcome.LOST, error=type(error).__name__)
        if taken:
            return Answer(Outcome.SENT, _AT_MOST_EVERY)
        return _answer(_heard.status, broken=_heard.broken)


def _answer(status: int | None, *, broken: bool) -> Answer:
    """What a failure means. Apprise says only that there was one; its log has the HTTP status."""
    if status is None:
        return Answer(Outcome.LOST if broken else Outcome.AGAIN, error="no connection" if broken else "not taken")
    error = f"HTTP {status}"
    if status == 429:
        return Answer(Outcome.AGAIN, 60.0, error=error, everywhere=True)
    if status in (401, 403, 404, 410):
        return Answer(Outcome.BARRED, error=error)  # no service means the same by these: give it up only after a while
    if status in (502, 504):
        return Answer(Outcome.LOST, error=error)
    return Answer(Outcome.REFUSED if 400 <= status < 500 and status != 408 else Outcome.AGAIN, error=error)


def message(notices: Sequence[Notice]) -> tuple[str, str]:
    """Title and text for some notices."""
    if len(notices) == 1:
        (one,) = notices
        return one.title, "\n".join(filter(None, (*one.lines, sparkline(one.path), one.origin, one.link)))
    told = selected(notices, _LISTED) if len(notices) > EACH_UP_TO else list(notices)
    lines = [" ".join(filter(None, (one.change, one.short))) for one in told]
    if len(notices) > len(told):
        lines.append(f"… and {len(notices) - len(told):,} more")
    return headline(notices), "\n".join(lines)


_heard = threading.local()  # of the send that runs in this thread


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if found := re.search(r"error=([1-5][0-9]{2})\b", text):
            _heard.status = int(found[1])
        elif "onnection error" in text:
            _heard.broken = True


_listener = _Listener()


def _hear(log: logging.Logger) -> None:
    """Apprise's log names addresses: it is heard here, and goes nowhere else."""
    log.setLevel(logging.WARNING)
    log.propagate = False
    log.handlers = [_listener]
    for name in ("urllib3", "requests_oauthlib", "oauthlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
