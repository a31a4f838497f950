"""A sender for one Discord webhook: messages within Discord's limits, and what each answer means.

Source of limits and headers: Discord's developer documentation (webhooks, rate limits). The webhook's address is a
credential: it is in no log line, error or representation made here.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import httpx

# httpx logs every request's address at INFO, and ours is a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

DIGEST_ABOVE = 10
"""Up to so many alerts go as an embed each (Discord's limit for a message); more are joined in a digest."""

_HOSTS = {"discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"}
_ADDRESS = re.compile(r"(https?)://([^/]+)/api/webhooks/[0-9]+/[A-Za-z0-9_-]+(?:\?[A-Za-z0-9_=&-]*)?")
# Discord refuses a whole message for one link that it does not find well-formed.
_LINK = re.compile(r"https?://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]{1,5})?(?:[/?#][!-~]{0,900})?")
_GREEN = 0x2F9E68
_LISTED = 15


class Outcome(Enum):
    """What became of a message."""

    SENT = "sent"
    AGAIN = "again"  # not taken; send it again after `wait`
    LOST = "lost"  # perhaps taken: the answer did not come
    REFUSED = "refused"  # Discord finds the message wrong: our fault, sending it again is no use
    GONE = "gone"  # the webhook exists no more


@dataclass(frozen=True)
class Answer:
    """`wait`: seconds to leave the webhook alone; `error`: for the outbox, without the address."""

    outcome: Outcome
    wait: float = 0.0
    message_id: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Alert:
    """What a message says of one alert. Prices are all-in, per ticket."""

    alert_id: str
    event_id: str
    event_name: str | None
    venue: str | None
    old_price: Decimal
    new_price: Decimal
    drop_percent: Decimal
    currency: str
    section: str | None
    row: str | None
    source: str
    listing_url: str | None
    alert_timestamp: datetime


class BadWebhook(ValueError):
    """The configured webhook address is not one to post to."""


class Webhook:
    """One Discord webhook.

    Args:
        url: `https://discord.com/api/webhooks/<id>/<token>`.
        test_host: a host:port that may be posted to besides Discord's, over plain HTTP; for tests.

    Raises:
        BadWebhook: another host, scheme, port, path or user information.
    """

    def __init__(self, url: str, test_host: str | None = None) -> None:
        parts = _ADDRESS.fullmatch(url)
        place = parts.groups() if parts else None
        if place is None or not ((place[0] == "https" and place[1] in _HOSTS) or place == ("http", test_host)):
            raise BadWebhook("DISCORD_WEBHOOK_URL must look like https://discord.com/api/webhooks/<id>/<token>")
        self._url = url
        self._post_to = httpx.URL(url).copy_merge_params({"wait": "true"})  # `?thread_id=` stays
        # A dead or stuck webhook must not be mistaken for a slow one: an answer that is lost may mean a repeat.
        self._client = httpx.Client(timeout=httpx.Timeout(90, connect=10), follow_redirects=False)

    @property
    def fingerprint(self) -> str:
        """Tells this webhook from another without giving it away."""
        return hashlib.sha256(self._url.encode()).hexdigest()[:16]

    def close(self) -> None:
        """Give up the connection."""
        self._client.close()

    def send(self, message: dict[str, Any]) -> Answer:
        """Post one message and wait for the answer. Never raises for what the other side does."""
        try:
            reply = self._client.post(self._post_to, json=message)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Answer(Outcome.AGAIN, error=type(error).__name__)
        except httpx.HTTPError as error:
            return Answer(Outcome.LOST, error=type(error).__name__)
        return _answer(reply)


def _answer(reply: httpx.Response) -> Answer:
    status, body = reply.status_code, _body(reply)
    error = f"HTTP {status} {_text(body.get('message', ''))}".strip()
    if status < 300:
        spent = reply.headers.get("X-RateLimit-Remaining") == "0"
        wait = _seconds(reply.headers.get("X-RateLimit-Reset-After")) if spent else 0.0
        return Answer(Outcome.SENT, wait, message_id=_text(body["id"]) if body.get("id") else None)
    if status == 429:
        wait = _seconds(body.get("retry_after")) or _seconds(reply.headers.get("Retry-After")) or 5.0
        # Without Via it is the edge that refuses, for a whole address: stay away longer.
        return Answer(Outcome.AGAIN, wait if "Via" in reply.headers else max(wait, 600.0), error=error)
    if status in (401, 404):
        return Answer(Outcome.GONE, error=error)
    if status in (502, 504):
        return Answer(Outcome.LOST, error=error)  # the gateway's words: whoever stands behind it may have taken it
    if status >= 500:
        return Answer(Outcome.AGAIN, error=error)
    return Answer(Outcome.REFUSED, error=error)


def _body(reply: httpx.Response) -> dict[str, Any]:
    try:
        body = reply.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _text(value: Any) -> str:
    """What the other side said, as Postgres can keep it."""
    return str(value)[:200].encode(errors="replace").decode().replace("\x00", "")


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(0.0, seconds), 3600.0)  # in this order, not-a-number counts as 0


def message(alerts: list[Alert]) -> dict[str, Any]:
    """The message for some alerts: an embed each, or one digest when they are many."""
    embeds = [_embed(alert) for alert in alerts] if len(alerts) <= DIGEST_ABOVE else [_digest(alerts)]
    return {"username": "ConScope", "embeds": embeds, "allowed_mentions": {"parse": []}}


def _embed(alert: Alert) -> dict[str, Any]:
    place = " · ".join(
        part for part in (alert.section and f"Section {alert.section}", alert.row and f"Row {alert.row}") if part
    )
    name = alert.event_name or alert.event_id
    # The sum over all embeds of a message may not pass 6,000 characters: ten of these stay below 600 each.
    embed: dict[str, Any] = {
        "title": _cut(f"{name}: {_money(alert.new_price, alert.currency)} (−{alert.drop_percent:.1f} %)", 160),
        "description": _cut(
            f"All-in price per ticket fell from **{_money(alert.old_price, alert.currency)}** to "
            f"**{_money(alert.new_price, alert.currency)}**, against this listing's previous price.\n{_plain(place)}",
            300,
        ),
        "footer": {"text": _cut(f"{alert.source}" + (f" · {alert.venue}" if alert.venue else ""), 100)},
        "timestamp": alert.alert_timestamp.isoformat(),
        "color": _GREEN,
    }
    if alert.listing_url and _LINK.fullmatch(alert.listing_url):
        # Discord merges embeds of one address and shows the first only: each gets its own.
        separator = "&" if "#" in alert.listing_url else "#"
        embed["url"] = f"{alert.listing_url}{separator}conscope={alert.alert_id[:8]}"
    return embed


def _digest(alerts: list[Alert]) -> dict[str, Any]:
    biggest = sorted(alerts, key=lambda alert: (-alert.drop_percent, alert.alert_id))[:_LISTED]
    lines = [
        _cut(
            f"**−{a.drop_percent:.1f} %** {_plain(a.event_name or a.event_id)}"
            + (f", section {_plain(a.section)}" if a.section else "")
            + f": {_money(a.old_price, a.currency)} → {_money(a.new_price, a.currency)} ({_plain(a.source)})",
            200,
        )
        for a in biggest
    ]
    events = len({alert.event_id for alert in alerts})
    return {
        "title": f"{len(alerts)} price drops at {events} event{'s' if events > 1 else ''}",
        "description": "\n".join(lines) + f"\n… and {len(alerts) - len(lines)} more" * (len(alerts) > len(lines)),
        "timestamp": max(alert.alert_timestamp for alert in alerts).isoformat(),
        "color": _GREEN,
    }


def _money(amount: Decimal, currency: str) -> str:
    symbol = {"USD": "$", "EUR": "€", "GBP": "£"}.get(currency)
    return f"{symbol}{amount:,.2f}" if symbol else f"{amount:,.2f} {currency}"


def _plain(text: str) -> str:
    """Text from outside, so that none of it is taken for Markdown."""
    return "".join("\\" + c if c in "\\*_~`|>[]()#-" else c for c in text)


def _cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units, the narrowest way in which a limit of characters can be meant."""
    if len(text.encode("utf-16-le")) <= 2 * limit:
        return text
    return text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", "ignore") + "…"
