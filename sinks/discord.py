"""The sender for a Discord webhook: messages within Discord's limits, and what each answer means.

Source of limits and headers: Discord's developer documentation (webhooks, rate limits). The webhook's address is a
credential: it is in no log line, error or representation made here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from sinks.sender import Answer, BadAddress, Outcome, fingerprint, printable
from sinks.words import EACH_UP_TO, Notice, cut, headline, selected, sparkline

# httpx logs every request's address at INFO, and ours is a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

SHAPE = "must look like https://discord.com/api/webhooks/<id>/<token>"

_HOSTS = {"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"}
_ADDRESS = re.compile(r"(https?)://([^/]+)/api(?:/v[0-9]{1,2})?/webhooks/[0-9]+/[A-Za-z0-9_-]+(?:\?[A-Za-z0-9_=&-]*)?")
_GREEN, _GREY = 0x2F9E68, 0x667085
_LISTED = 15


def client() -> httpx.Client:
    """What webhooks post with; one serves them all.

    A stuck webhook must not be mistaken for a slow one (an answer that is lost may mean a repeat), hence the long
    timeout; and no number of stuck ones may hold up another, hence no limit of connections.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=60)
    return httpx.Client(timeout=httpx.Timeout(90, connect=10), limits=limits, follow_redirects=False)


class Webhook:
    """One Discord webhook.

    Args:
        url: `https://discord.com/api/webhooks/<id>/<token>`.
        client: gives what to post with.
        test_host: a host:port that may be posted to besides Discord's, over plain HTTP; for tests.

    Raises:
        BadAddress: another host, scheme, port, path or user information.
    """

    service = "discord"
    mutes = False  # a link that mutes somebody's rule is not for a whole channel of readers

    def __init__(self, url: str, client: Callable[[], httpx.Client], test_host: str | None = None) -> None:
        parts = _ADDRESS.fullmatch(url)
        place = parts.groups() if parts else None
        if place is None or not ((place[0] == "https" and place[1] in _HOSTS) or place == ("http", test_host)):
            raise BadAddress(SHAPE)
        self.fingerprint = fingerprint(url)
        self._post_to = httpx.URL(url).copy_merge_params({"wait": "true"})  # `?thread_id=` stays
        self._client = client

    def send(self, notices: Sequence[Notice], mute: str | None = None) -> Answer:
        """Post one message and wait for the answer. Never raises for what the other side does."""
        body = message(notices)
        try:
            return _answer(self._client().post(self._post_to, json=body))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Answer(Outcome.AGAIN, error=type(error).__name__)
        except httpx.HTTPError as error:
            return Answer(Outcome.LOST, error=type(error).__name__)


def _answer(reply: httpx.Response) -> Answer:
    status, body = reply.status_code, _body(reply)
    error = f"HTTP {status} {printable(body.get('message', ''))}".strip()
    spent = reply.headers.get("X-RateLimit-Remaining") == "0"
    next_one = _seconds(reply.headers.get("X-RateLimit-Reset-After")) if spent else 0.0
    if status < 300:
        return Answer(Outcome.SENT, next_one, message_id=printable(body["id"]) if body.get("id") else None)
    asked = _seconds(body.get("retry_after")) or _seconds(reply.headers.get("Retry-After"))
    if status == 429:
        # Without Via it is the edge that refuses, for all that comes from here: stay away longer.
        edge = "Via" not in reply.headers
        wait = max(asked, 600.0) if edge else asked or 5.0
        return Answer(Outcome.AGAIN, wait, error=error, everywhere=edge or body.get("global") is True)
    if status in (401, 404):
        return Answer(Outcome.GONE, error=error)
    if status == 403:
        return Answer(Outcome.BARRED, error=error)  # it is we who are unwelcome, not the message; it may pass
    if status in (502, 504, 520, 524):
        return Answer(
            Outcome.LOST, asked, error=error
        )  # the gateway's words: whoever stands behind it may have taken it
    if status >= 500 or status in (408, 425):
        return Answer(Outcome.AGAIN, asked, error=error)  # 408: the request did not come whole, so it was not taken
    return Answer(Outcome.REFUSED, next_one, error=error)


def _body(reply: httpx.Response) -> dict[str, Any]:
    try:
        body = reply.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), 3600.0)  # in this order, not-a-number counts as 0


def message(notices: Sequence[Notice]) -> dict[str, Any]:
    """The message for some notices: an embed each, or one digest when they are many."""
    embeds = [_embed(one) for one in notices] if len(notices) <= EACH_UP_TO else [_digest(notices)]
    return {"username": "ConScope", "embeds": embeds, "allowed_mentions": {"parse": []}}


def _embed(one: Notice) -> dict[str, Any]:
    first, *rest = map(_plain, one.lines or ("",))
    lines = [f"**{first}**" if one.group else first, *rest]
    if spark := sparkline(one.path):
        lines.append(spark)
    # The sum over all embeds of a message may not pass 6,000 characters: ten of these stay below 600 each.
    embed: dict[str, Any] = {
        "title": cut(_plain(one.title), 160),
        "description": cut("\n".join(lines), 330),
        "footer": {"text": cut(one.origin, 100)},
        "timestamp": one.when.isoformat(),
        "color": _GREEN if one.weight > 0 else _GREY,
    }
    if one.link:
        # Discord merges embeds of one address and shows the first only: each gets its own.
        embed["url"] = f"{one.link}{'&' if '#' in one.link else '#'}conscope={one.id[:8]}"
    return embed


def _digest(notices: Sequence[Notice]) -> dict[str, Any]:
    told = selected(notices, _LISTED)
    lines = [cut(f"**{one.change}** {_plain(one.short)}" if one.change else _plain(one.short), 200) for one in told]
    if len(notices) > len(told):
        lines.append(f"… and {len(notices) - len(told):,} more")
    return {
        "title": headline(notices),
        "description": "\n".join(lines),
        "timestamp": max(one.when for one in notices).isoformat(),
        "color": _GREEN,
    }


def _plain(text: str) -> str:
    """Text of which none is taken for Markdown."""
    return "".join("\\" + c if c in "\\*_~`|<>[]()#-" else c for c in text)
