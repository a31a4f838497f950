"""A feed: a source over HTTP and JSON that is configured, not coded. `feeds/examples` has two, docs/guides/connectors.md
every key.

**What a look gives**: every page's prices. When a page after the first fails, what was read stands, `Feed.incomplete`
says what is missing, and the next look begins anew; an error that tells us to stay away (`Held`, `Refused`) is raised.
"""

from __future__ import annotations

import base64
import logging
import re
import socket
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, quote_plus

import httpx
import msgspec
from msgspec import Meta

from connectors.budget import Ledger
from connectors.http import Http, Reply
from connectors.mapping import Mapping, MappingError, Unmappable, walk
from connectors.source import (
    Answer,
    Budget,
    Held,
    Listed,
    Missing,
    PriceEvent,
    Query,
    Refused,
    SourceError,
    Target,
    Unavailable,
)
from connectors.sources._common import utcnow
from settings import Settings

Secrets = Callable[[str], str | None]
"""The value of an environment variable, if it is set."""

_log = logging.getLogger(__name__)
_SECRET = re.compile(r"\$\{(\w*)\}")
_NAT64 = IPv6Network("64:ff9b::/96")


class FeedError(ValueError):
    """A feed's file is wrong. The text names the file and the key, and says what to write."""


class _Paging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    by: Literal["page", "offset", "cursor", "next", "link"]
    parameter: str = ""
    path: str = ""
    first: int | None = None
    size: Annotated[int, Meta(ge=1)] | None = None
    most: Annotated[int, Meta(ge=1, le=10_000)] = 100


class _Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    calls_a_day: Annotated[int, Meta(ge=1)] = 2000
    calls_a_second: Annotated[float, Meta(gt=0)] = 1.0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,49}$")]
    url: str
    each: list[str | int] = []
    items: str = ""
    every: Annotated[float, Meta(gt=0)] = 300.0
    headers: dict[str, str] = {}
    parameters: dict[str, str | int] = {}
    basic: str = ""
    allow_private: bool = False
    paging: _Paging | None = None
    budget: _Budget = _Budget()


_HELP = {
    "paging": "[paging] has by (page, offset, cursor, next or link), parameter, path, first, size, most",
    "budget": "[budget] has calls_a_day and calls_a_second",
    "name": 'write small letters, digits, "-" and "_", as name = "partner"',
}
_TABLES = ("constants", "fields", "observation")
_KEYS = f"a feed has {', '.join(_File.__struct_fields__)} and the mapping's {', '.join(_TABLES)}"


def from_settings(settings: Settings, secrets: Secrets, wrong: list[str]) -> list[Feed]:
    """Every feed whose file stands in `settings.feeds_dir` itself, by name.

    Args:
        settings: say where.
        secrets: as of `Feed`.
        wrong: is told of each file that is wrong, and of two feeds of one name; the others are followed.
    """
    feeds: dict[str, Feed] = {}
    for path in sorted(settings.feeds_dir.glob("*.toml")):
        try:
            feed = load(path, secrets)
        except FeedError as error:
            wrong.append(str(error))
        else:
            if feeds.setdefault(feed.name, feed) is not feed:
                wrong.append(f'{path}: name = "{feed.name}" is that of another feed: write another')
    return [feeds[name] for name in sorted(feeds)]


def load(path: Path, secrets: Secrets) -> Feed:
    """The feed of one file.

    Raises:
        FeedError: the file cannot be read, or is wrong.
    """
    try:
        return Feed(tomllib.loads(path.read_text("utf-8")), secrets)
    except (OSError, ValueError) as error:  # also what TOML and the mapping find wrong
        raise FeedError(f"{path}: {error}") from None


class Feed:
    """A source made of a feed's file.

    Args:
        table: the file, decoded.
        secrets: gives the values for `${FEED_…}` in the url, headers, parameters and basic. Without one of them the
            feed is there, and each look is `Refused`.
        timeout, attempts, sleep: as of `Http`.
        now: the time, in UTC.

    Raises:
        FeedError: the file is wrong.
    """

    searchable = False

    def __init__(
        self,
        table: dict[str, Any],
        secrets: Secrets,
        *,
        timeout: float = 20.0,
        attempts: int = 3,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        file = _parse({key: value for key, value in table.items() if key not in _TABLES})
        try:
            mapping = {key: table[key] for key in _TABLES if key in table}
            self._mapping = Mapping.parse(mapping, given=("source", "timestamp"))
        except MappingError as error:
            raise FeedError(str(error)) from None
        self.name, self.interval = file.name, file.every
        self.budget = Budget(file.budget.calls_a_day, file.budget.calls_a_second)
        self.ledger = Ledger(self.budget, lambda: now().timestamp(), sleep)
        self.incomplete: str | None = None
        """What the last look could not read, if anything."""
        self._now, self._items, self._paging = now, re.split(r"\.?\*\.?", file.items), file.paging

        reveal = _Reveal(secrets)
        self._parameters = {name: reveal(str(value)) for name, value in file.parameters.items()}
        every: list[str | int | None] = [*file.each] or [None]
        self._starts = [(each, self._start(file, reveal(file.url), each)) for each in every]
        user, _, password = reveal(file.basic).partition(":")
        headers = {name: reveal(value) for name, value in file.headers.items()}
        self._unset = sorted(reveal.unset)
        if len(every) > file.budget.calls_a_day:
            raise FeedError(
                f"one look takes {len(every)} calls, one for each of `each`, and [budget] has {file.budget.calls_a_day} a day"
            )
        self._http = Http(
            self.name,
            self.ledger,
            str(self._starts[0][1].copy_with(raw_path=b"/")),
            secrets=reveal.hidden((user, password)),
            headers=headers,
            auth=(user, password) if file.basic else None,
            timeout=timeout,
            attempts=attempts,
            sleep=sleep,
            transport=None if file.allow_private else PublicOnly(),
        )

    @property
    def targets(self) -> list[Target]:
        """The one thing that a feed can be asked for: itself."""
        return [Target(self.name)]

    def look(self, targets: Sequence[Target]) -> Answer:
        """See `Source.look`; a price event's `event_id` is what the mapping makes of the row."""
        others = [target.id for target in targets if target.id != self.name]
        answer = Answer(gone=dict.fromkeys(others, f"this feed is followed as {self.name}, and as nothing else"))
        if len(others) == len(targets):
            return answer
        if self._unset:
            raise Refused(f"{self.name}: set {' and '.join(self._unset)}, which its file asks for")
        reading = _Reading(self.name, self._mapping, answer)
        failed: list[SourceError] = []
        for each, start in self._starts:
            try:
                for rows in self._pages(start, each):
                    reading.take(rows, self._now())
            except (Unavailable, Missing, Held) as error:
                if isinstance(error, Held) and self.ledger.left:
                    raise  # the source's own word; when it is our budget that is spent, what was read stands
                failed.append(error)
                if not isinstance(error, Missing):
                    break
        if failed and not reading.pages:
            raise failed[0]
        reading.finish()
        self._note([*map(str, failed[:3]), *reading.notes()])
        return answer

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        """Nothing: a feed follows what it was given."""
        return []

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    def _note(self, notes: list[str]) -> None:
        note = "; ".join(notes) or None
        if note is not None and note != self.incomplete:
            _log.warning("%s: %s", self.name, note)
        self.incomplete = note

    def _start(self, file: _File, url: str, each: str | int | None) -> httpx.URL:
        try:
            start = httpx.URL(url.replace("{each}", quote(str(each), safe="")))
        except httpx.InvalidURL:
            raise FeedError("url is no web address: check its host, its port and what stands in ${…}") from None
        _check_address(start, file.allow_private)
        first = {}
        if (paging := file.paging) is not None and paging.by in ("page", "offset"):
            first[paging.parameter] = str(int(paging.by == "page") if paging.first is None else paging.first)
        return start.copy_merge_params({**self._parameters, **first})

    def _pages(self, url: httpx.URL, each: str | int | None) -> Iterator[list[Row]]:
        most = self._paging.most if self._paging is not None else 1
        seen, before = {url}, None
        for _ in range(most):
            reply = self._http.request("GET", str(url))
            items = walk(self._items[0], reply.body) if self._items[0] else reply.body
            if items and items == before:
                raise Missing(f"{self.name} gives the same page again and again; check [paging]")
            around = dict(reply.body) if isinstance(reply.body, dict) else {}
            if each is not None:
                around["each"] = each
            yield list(_rows(reply.body, self._items, around))
            following = self._next(url, reply, len(items) if isinstance(items, list | dict) else 0)
            if following is None:
                return
            if following in seen:
                raise Missing(f"{self.name}'s pages go round in a circle; check [paging]")
            seen.add(following)
            url, before = following, items
        raise Missing(f"{self.name} has more than {most} pages; the rest was not read (see most, in [paging])")

    def _next(self, url: httpx.URL, reply: Reply, items: int) -> httpx.URL | None:
        paging = self._paging
        if paging is None:
            return None
        if paging.by in ("page", "offset"):
            if items < (paging.size or 1):
                return None
            step = 1 if paging.by == "page" else items
            return url.copy_set_param(paging.parameter, int(url.params[paging.parameter]) + step)
        found = _link(reply) if paging.by == "link" else walk(paging.path, reply.body)
        if found in (None, False, 0, ""):
            return None
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise Missing(f"{self.name}: what stands at {paging.path!r} leads to no page")
        if paging.by == "cursor":
            return url.copy_set_param(paging.parameter, found)
        try:
            following = url.join(str(found))
        except httpx.InvalidURL:
            raise Missing(f"{self.name}: the next page's address is none") from None
        if _origin(following) != _origin(url):
            raise Missing(
                f"{self.name}: the next page would be on another host, {following.host!r}; it was not asked for"
            )
        return following.copy_merge_params({k: v for k, v in self._parameters.items() if k not in following.params})


Row = dict[str, Any]


class _Reading:
    """What the rows of one look gave, put into its answer."""

    def __init__(self, name: str, mapping: Mapping, answer: Answer) -> None:
        self.pages = 0
        self._name, self._mapping, self._answer = name, mapping, answer
        self._rows = self._again = 0
        self._unpriced: list[str] = []
        self._unmapped: list[str] = []
        self._listings: set[tuple[Any, ...]] = set()
        self._events: set[str] = set()

    def take(self, rows: list[Row], now: datetime) -> None:
        given = {"source": self._name, "timestamp": now.isoformat()}
        self.pages += 1
        self._rows += len(rows)
        for row in rows:
            try:
                mapped = self._mapping.events(row, given)
            except Unmappable as error:
                self._unmapped.append(str(error))
                continue
            self._unpriced += mapped.unpriced
            for event in mapped.events:
                listing = _listing(event)
                if listing in self._listings:
                    self._again += 1
                    continue
                self._listings.add(listing)
                self._answer.prices.append(event)
                self._list(event)

    def finish(self) -> None:
        if self._answer.prices:
            return
        if self._unmapped and not self._unpriced:
            raise Missing(f"{self._name}: none of {self._rows} rows could be mapped; the first: {self._unmapped[0]}")
        why = f": {self._unpriced[0]}" if self._unpriced else ""
        self._answer.unpriced[self._name] = f"{self._rows} rows, none of them with a price{why}"

    def notes(self) -> Iterator[str]:
        if self._unmapped:
            yield f"{len(self._unmapped)} of {self._rows} rows could not be mapped; the first: {self._unmapped[0]}"
        if self._again:
            yield f"{self._again} prices were of a listing already read; does the mapping tell listings apart?"

    def _list(self, event: PriceEvent) -> None:
        id, name, starts = event["event_id"], event.get("event_name"), event.get("event_date")
        if name is not None and starts is not None and id not in self._events:
            self._events.add(id)
            place = (event.get("venue"), event.get("city"), event.get("state"))
            self._answer.listed.append(Listed(self._name, id, name, *place, starts=datetime.fromisoformat(starts)))


class _Reveal:
    """Puts secrets in their places, and knows which there were and which were not set."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._values: list[str] = []
        self.unset: list[str] = []

    def __call__(self, text: str) -> str:
        return _SECRET.sub(self._value, text)

    def hidden(self, basic: tuple[str, str]) -> tuple[str, ...]:
        """Every way in which a secret can show itself."""
        encoded = base64.b64encode(":".join(basic).encode()).decode()
        return (*self._values, *map(quote_plus, self._values), encoded)

    def _value(self, found: re.Match[str]) -> str:
        name = found[1]
        if not name.startswith("FEED_"):
            raise FeedError(f"{found[0]} is no feed's variable: name it ${{FEED_{name}}}, and set FEED_{name}")
        value = (self._secrets(name) or "").strip()
        if value:
            self._values.append(value)
        elif name not in self.unset:
            self.unset.append(name)
        return value


class PublicOnly(httpx.BaseTransport):
    """Carries requests to public addresses only.

    The name is resolved here, every address that it has is checked, and the connection goes to one of those: a name
    that later resolves to something else gains nothing by it. TLS still verifies the name.

    Args:
        inner: carries what passed.
        resolve: as `socket.getaddrinfo`.
    """

    def __init__(
        self, inner: httpx.BaseTransport | None = None, resolve: Callable[..., Any] = socket.getaddrinfo
    ) -> None:
        self._inner, self._resolve = inner or httpx.HTTPTransport(), resolve

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.BaseTransport`.

        Raises:
            Refused: one of the host's addresses is not public.
            httpx.ConnectError: the host has no address, or none that answers.
        """
        host = request.url.host
        try:
            found = self._resolve(host, request.url.port or 443, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpx.ConnectError(f"{host} is not known") from None
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        if not all(map(_is_public, addresses)):
            raise Refused("the url is not a public address; for one of your own write allow_private = true")
        failed = httpx.ConnectError(f"{host} has no address")
        for address in addresses:
            moved = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return self._inner.handle_request(moved)
            except httpx.ConnectError as error:
                failed = error
        raise failed

    def close(self) -> None:
        """See `httpx.BaseTransport`."""
        self._inner.close()


def _is_public(address: str) -> bool:
    ip = ip_address(address)
    if ip.version == 6:
        # Addresses of IPv4 in disguise lead where those lead.
        inner = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return ip.is_global and not ip.is_multicast


def _check_address(url: httpx.URL, allow_private: bool) -> None:
    if url.userinfo:
        raise FeedError('url holds a user name: write it under basic = "user:${FEED_PASSWORD}"')
    if not url.host or url.scheme not in ("https", "http"):
        raise FeedError('url is no web address: write it as "https://partner.example/listings"')
    if allow_private:
        return
    if url.scheme != "https":
        raise FeedError("url is not https: write https, or allow_private = true for a host of your own")
    try:
        public = _is_public(url.host)
    except ValueError:
        return  # a name; its addresses are checked at each connection
    if not public:
        raise FeedError("url is not a public address: for one of your own write allow_private = true")


def _origin(url: httpx.URL) -> tuple[str, str, int | None, bytes]:
    return url.scheme, url.host, url.port, url.userinfo


def _parse(table: dict[str, Any]) -> _File:
    try:
        file = msgspec.convert(table, _File)
    except msgspec.ValidationError as error:
        place = re.search(r"\$\.(\w+)", str(error))
        raise FeedError(f"{error}; {_HELP.get(place[1] if place else '', _KEYS)}") from None
    if bool(file.each) != ("{each}" in file.url):
        raise FeedError('each and url belong together: write each = ["1", "2"] and {each} in the url, or neither')
    if {"{", "}"} & set(_SECRET.sub("", file.url).replace("{each}", "")):
        raise FeedError("url has a brace that is neither {each} nor ${FEED_…}")
    if file.basic and ":" not in file.basic:
        raise FeedError('basic has no colon: write basic = "user:${FEED_PASSWORD}"')
    paging = file.paging
    if paging is not None:
        if paging.by in ("page", "offset", "cursor") and not paging.parameter:
            raise FeedError(
                f'paging by {paging.by} needs the query parameter that takes it: write parameter = "{paging.by}"'
            )
        if paging.by in ("cursor", "next") and not paging.path:
            raise FeedError(f'paging by {paging.by} needs the place of the next {paging.by}: write path = "meta.next"')
    return file


def _rows(node: Any, path: list[str], parent: Row) -> Iterator[Row]:
    """The rows at a path, which is cut at its stars.

    Each has, besides its own fields (or its `value`, if it is no object): its `key` where it stands in an object, what is
    around it as `parent`, and `each`.
    """
    head, *rest = path
    found = walk(head, node) if head else node
    if isinstance(found, dict):
        items: Iterable[tuple[str | None, Any]] = found.items() if rest else [(None, found)]
    else:
        items = [(None, item) for item in found] if isinstance(found, list) else []
    for key, item in items:
        row = {**(item if isinstance(item, dict) else {"value": item}), "parent": parent}
        row.update({"key": key} if key is not None else {}, **({"each": parent["each"]} if "each" in parent else {}))
        if len(rest) > 1 or any(rest):
            yield from _rows(item, rest, row)
        else:
            yield row


def _link(reply: Reply) -> str | None:
    """The address of `rel=next` in the Link header (RFC 8288)."""
    return httpx.Response(reply.status, headers=reply.headers).links.get("next", {}).get("url")


def _listing(event: PriceEvent) -> tuple[Any, ...]:
    """As `analytics.schema.listing_key`."""
    if event.get("level") == "event":
        place: tuple[Any, ...] = ("*",)
    elif (own := event.get("listing_id")) is not None:
        place = ("#", own)
    else:
        place = ("@", *(event.get(name) for name in ("section", "row", "seat")))
    return (event["event_id"], event["source"], event.get("currency", "USD"), *place)
