"""StubHub and viagogo, the Catalog for partners: one price an event, one event a call.

Sources: the Catalog's OpenAPI document 1.0.0.75 (tests/data/stubhub) and developer.stubhub.com.

- `min_ticket_price` is the event's price, in the currency that stands with it; its `amount` may be null. Whether fees are
  in it is not documented (a user measured it 15-20 % below the site's own lowest), so none are claimed: compare it with
  itself, not with an all-in price of another site.
- An application's token lasts a day and cannot be refreshed; a new one is asked for in its place.
- Events are merged: asked for one that has become part of another, the Catalog answers with the other.
- `PUT /catalog/events` would take many ids a call. It is not used: what it says of ids that it does not find is not told.
- Times are documented as of UTC, and so leave the date at the venue open; one with an offset tells it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from connectors.budget import Ledger
from connectors.http import Http, Reply
from connectors.source import (
    Answer,
    Budget,
    Listed,
    Missing,
    Query,
    Refused,
    SourceError,
    Target,
    Unavailable,
)
from connectors.sources._common import day, dig, items, link, moment, money, observed, says, text, utcnow
from settings import Settings

NAME = "stubhub"

_GONE = ("Cancelled", "Deleted")
_MOST_PAGES = 20
_MARGIN = timedelta(minutes=5)


def from_settings(settings: Settings) -> StubHubSource | None:
    """The source as configured; None without a client id and its secret."""
    if settings.stubhub_client_id is None or settings.stubhub_client_secret is None:
        return None
    return StubHubSource(
        settings.stubhub_client_id,
        settings.stubhub_client_secret.get_secret_value(),
        settings.stubhub_url,
        settings.stubhub_token_url,
        calls_a_day=settings.stubhub_calls_a_day,
    )


class _Stale(SourceError):
    """The token was refused; never leaves this module."""


class StubHubSource:
    """StubHub's Catalog, or viagogo's; see `Source`. Price events are of `level` "event".

    Args:
        client_id, client_secret: of the agreement.
        base_url: of the API.
        token_url: where tokens are given. One is asked for when the last is about to end or was refused; these calls
            are in the budget, too.
        calls_a_day, calls_a_second: the budget.
        timeout, attempts, sleep: as of `Http`.
        now: the time, in UTC.
    """

    name = NAME
    searchable = True

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        base_url: str = "https://api.stubhub.net",
        token_url: str = "https://account.stubhub.com/oauth2/token",
        *,
        calls_a_day: int = 5000,
        calls_a_second: float = 1.0,
        timeout: float = 20.0,
        attempts: int = 3,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self.budget = Budget(calls_a_day, calls_a_second)
        self.ledger = Ledger(self.budget, lambda: now().timestamp(), sleep)
        self._now, self._base, self._token_url = now, base_url.rstrip("/"), token_url
        # Both are written as in a form before they are joined (RFC 6749, 2.3.1).
        self._client = (quote(client_id, safe=""), quote(client_secret, safe=""))
        self._token = ""
        self._until: datetime | None = None
        self._http = Http(
            "StubHub",
            self.ledger,
            self._base,
            secrets=(client_secret,),
            judge=_judge,
            headers={"Accept": "application/hal+json, application/json"},
            timeout=timeout,
            attempts=attempts,
            sleep=sleep,
        )

    def look(self, targets: Sequence[Target]) -> Answer:
        """See `Source.look`."""
        answer = Answer()
        for target in targets:
            if re.fullmatch(r"[0-9]{1,10}", target.id):
                event = self._get(f"{self._base}/catalog/events/{target.id}")
                # Events are merged: then the answer is the event that the asked one has become part of.
                if not isinstance(event, dict) or text(event.get("id")) is None:
                    raise Unavailable("StubHub: the answer holds no event")
                _read(event, target.id, self._now(), answer)
            else:
                answer.gone[target.id] = "StubHub's ids are numbers"
        return answer

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        """See `Source.search`."""
        params: dict[str, str | int] = {
            "q": query.text or query.venue or query.city or "",
            "page_size": max(min(limit, 100), 1),
            "exclude_parking_passes": "true",
        }
        if query.since is not None and query.since == query.until:
            params["dateLocal"] = query.since.isoformat()
        url: httpx.URL | None = httpx.URL(f"{self._base}/catalog/events/search", params=params)
        seen: set[httpx.URL] = set()
        found: dict[str, Listed] = {}
        while url is not None and url not in seen and len(seen) < _MOST_PAGES and len(found) < limit:
            seen.add(url)
            try:
                body = self._get(str(url))
            except Missing as error:
                raise Refused(f"{error}; check STUBHUB_URL") from None
            deleted = {text(event.get("id")) for event in items(body, "_embedded", "deleted_items")}
            for event in items(body, "_embedded", "items"):
                listed = _listed(event)
                if listed is not None and listed.id not in deleted and _matches(listed, query):
                    found.setdefault(listed.id, listed)
            url = _next(url, body)
        return list(found.values())[:limit]

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    def _get(self, url: str) -> Any:
        renewed = self._until is None or self._now() >= self._until
        if renewed:
            self._renew()
        for last in (renewed, True):
            try:
                return self._http.request("GET", url, headers={"Authorization": f"Bearer {self._token}"}).body
            except _Stale as error:
                if last:
                    raise Refused(f"{error} although it was new; check what your agreement allows") from None
            self._renew()
        raise AssertionError("the last attempt returns or raises")

    def _renew(self) -> None:
        asked = self._now()
        form = {"grant_type": "client_credentials", "scope": "read:events"}
        try:
            given = self._http.request("POST", self._token_url, data=form, auth=self._client).body
        except (_Stale, Missing) as error:
            raise Refused(f"{error}; check STUBHUB_CLIENT_ID, STUBHUB_CLIENT_SECRET and STUBHUB_TOKEN_URL") from None
        token, lasts = dig(given, "access_token"), money(dig(given, "expires_in"))
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise Unavailable("StubHub: the answer holds no token")
        self._http.hide(token)
        life = timedelta(seconds=min(lasts or 86_400.0, 86_400.0))
        self._token, self._until = token, asked + max(life - _MARGIN, life / 2)


def _read(event: dict[str, Any], id: str, now: datetime, answer: Answer) -> None:
    listed = _listed(event)
    if listed is None:
        answer.unpriced[id] = "StubHub gives it no name"
        return
    listed = replace(listed, id=id)
    answer.listed.append(listed)
    price = money(dig(event, "min_ticket_price", "amount"))
    currency = text(dig(event, "min_ticket_price", "currency_code"))
    if listed.status in _GONE:
        answer.gone[id] = listed.status.lower()
    elif price is None:
        answer.unpriced[id] = "StubHub gives no price"
    elif currency is None or not re.fullmatch(r"[A-Z]{3}", currency):
        answer.unpriced[id] = "StubHub gives a price without a currency"
    else:
        answer.prices.append(observed(listed, now, price=price, currency=currency))


def _listed(event: dict[str, Any]) -> Listed | None:
    id, name = text(event.get("id")), text(event.get("name"))
    if id is None or name is None:
        return None
    within, start = dig(event, "_embedded"), event.get("start_date")
    local = isinstance(start, str) and re.search(r"[+-]\d\d:\d\d$", start) is not None
    confirmed = event.get("date_confirmed") is not False
    return Listed(
        NAME,
        id,
        name,
        venue=text(dig(within, "venue", "name")),
        city=text(dig(within, "venue", "city")),
        state=text(dig(within, "venue", "state_province")),
        local_date=day(start) if local and confirmed else None,
        starts=moment(start) if confirmed and event.get("time_confirmed") is not False else None,
        performers=tuple(name for category in items(within, "categories") if (name := text(category.get("name")))),
        url=link(dig(event, "_links", "event:webpage", "href")),
        status=text(event.get("status")),
    )


def _matches(listed: Listed, query: Query) -> bool:
    """Whether what an event tells of itself agrees with the query; what it does not tell agrees."""
    for said, asked in ((listed.venue, query.venue), (listed.city, query.city)):
        if said is not None and asked is not None and not says(said, asked):
            return False
    date, slack = listed.local_date, timedelta(0)
    if date is None and listed.starts is not None:
        date, slack = listed.starts.date(), timedelta(days=1)  # of UTC: the date at the venue is at most a day away
    if date is None:
        return True
    return (query.since is None or date >= query.since - slack) and (query.until is None or date <= query.until + slack)


def _next(url: httpx.URL, body: Any) -> httpx.URL | None:
    """The next page, if it is on the same host: the token goes with the request."""
    href = dig(body, "_links", "next", "href")
    try:
        following = url.join(href) if isinstance(href, str) and href else None
    except httpx.InvalidURL:
        return None
    if following is None or (following.scheme, following.netloc, following.userinfo) != (
        url.scheme,
        url.netloc,
        url.userinfo,
    ):
        return None
    return following


def _judge(reply: Reply) -> SourceError | None:
    return _Stale("the token was refused") if reply.status == 401 else None
