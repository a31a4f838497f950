"""What works and what is missing between ConScope and the sources of prices: `python -m connectors.doctor`.

Asks each source that has a key for the prices of a few events, three looks at most, and says in words what came of it.
Exit code 0: every source that is configured gives prices, and Kafka, Postgres and the watchlist are in order; else 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

import settings as configuration
from connectors import sources, topics
from connectors.budget import LedgerState
from connectors.source import Answer, Held, Missing, Query, SourceError, Target
from connectors.sources import SITES, Polled
from connectors.sources.feed import Feed
from connectors.watchlist import Watchlist, WatchlistError, load
from settings import Settings

_EVENTS, _LOOKS = 5, 3
_SECONDS = 5
_ANYTHING = Query(text="concert")


class _Site(NamedTuple):
    """A ticket site: its name, what to set, where to get that, and why prices may be missing."""

    label: str
    variable: str
    key: str
    unpriced: str


_SITES = {
    "seatgeek": _Site(
        "SeatGeek", "SEATGEEK_API_KEY", "a client id from https://seatgeek.com/account/develop",
        "ordinary keys get none since May 2024; ask SeatGeek for a partner's key",
    ),
    "ticketmaster": _Site(
        "Ticketmaster", "TICKETMASTER_API_KEY", "a consumer key from https://developer.ticketmaster.com",
        "most events in the United States have told no price range since 2025; others do",
    ),
    "stubhub": _Site(
        "StubHub", "STUBHUB_CLIENT_ID and STUBHUB_CLIENT_SECRET",
        "a partner's agreement: https://developer.stubhub.com",
        "nothing was on sale for them",
    ),
}  # fmt: skip


@dataclass(slots=True)
class Finding:
    """What was found of one part; None where it was not asked, `says` what it means and what to do."""

    name: str
    says: str
    key: bool | None = None
    answers: bool | None = None
    prices: bool | None = None
    calls_left: int | None = None


class Ingestion(NamedTuple):
    """What ingestion last said of a source: calls in 24 hours, and its state when that is not the ordinary one."""

    calls_spent: int
    trouble: str | None


def diagnose(settings: Settings) -> list[Finding]:
    """Findings of Kafka, Postgres, the watchlist, and every source, those without a key, too."""
    postgres = check_postgres(settings)
    watchlist = Watchlist(settings.postgres_dsn) if postgres.answers else None
    found = [check_kafka(settings), postgres]
    if watchlist is not None:
        found.append(check_watchlist(watchlist, settings))
    wrong: list[str] = []
    configured = sources.configured(settings, wrong)
    there = {source.name: source for source in configured}
    for site in SITES:
        if site.NAME not in there:
            about = _SITES[site.NAME]
            found.append(Finding(site.NAME, f"not used; for it set {about.variable}: {about.key}", key=False))
    for source in configured:
        try:
            found.append(
                check_source(source, _targets(watchlist, source), _ingestion(settings, watchlist, source.name))
            )
        finally:
            source.close()
    return found + [Finding("feeds", line, key=False, answers=False) for line in wrong]


def check_source(source: Polled, watched: list[Target], ingestion: Ingestion | None = None) -> Finding:
    """Ask a source for prices: of watched events, or of what a search finds when there are none."""
    finding = Finding(source.name, "", key=True, answers=False)
    if ingestion is not None:
        now = time.time()
        source.ledger.load(LedgerState(now, {int(now // 60): ingestion.calls_spent}, None), 0.0)
    try:
        targets = watched or [Target(one.id, one.starts) for one in source.search(_ANYTHING, _EVENTS)]
        answer = _look(source, targets[:_EVENTS])
        finding.answers, finding.prices = True, bool(answer.prices)
        finding.says = _words(source, len(targets[:_EVENTS]), answer)
    except SourceError as error:
        finding.says, finding.answers = str(error), isinstance(error, Missing)
        if isinstance(error, Held) and source.ledger.left == 0:
            finding.answers = None
            finding.says += "; nothing was asked"
    finding.calls_left = source.ledger.left
    if ingestion is not None and ingestion.trouble is not None:
        finding.says += f" (ingestion: {ingestion.trouble})"
    return finding


def _look(source: Polled, targets: list[Target]) -> Answer:
    found, size = Answer(), source.budget.targets_a_call
    for start in range(0, min(len(targets), size * _LOOKS), size):
        answer = source.look(targets[start : start + size])
        found.prices += answer.prices
        found.unpriced |= answer.unpriced
        found.gone |= answer.gone
        if found.prices:
            break
    return found


def _words(source: Polled, asked: int, answer: Answer) -> str:
    site = _SITES.get(source.name)
    label = site.label if site is not None else source.name
    if answer.prices:
        lowest = min(answer.prices, key=lambda event: float(event["price"]))
        name = lowest.get("event_name") or lowest["event_id"]
        first = f"{label} gives prices: {name} from {lowest['price']} {lowest.get('currency', 'USD')}"
        incomplete = source.incomplete if isinstance(source, Feed) else None
        return first if incomplete is None else f"{first}; but {incomplete}"
    if not asked:
        return f"{label} answers, but a search found no event to look at; add one to the watchlist"
    looked = len(answer.unpriced) + len(answer.gone)
    whose = "the one event" if looked == 1 else f"none of {looked} events"
    reasons = sorted({*answer.unpriced.values(), *answer.gone.values()})
    if site is None:
        return f"{label} answers, but: {'; '.join(reasons)}"
    had = "had no price" if looked == 1 else "had a price"
    return f"{label} answers, but {whose} {had} ({'; '.join(reasons[:2])}): {site.unpriced}"


def check_kafka(settings: Settings) -> Finding:
    """Whether the brokers answer and have the topic that prices go to."""
    name = settings.topic(topics.RAW_PRICES)
    try:
        admin = AdminClient({**settings.kafka_client, "log_level": 0})
        found = admin.list_topics(timeout=_SECONDS).topics.get(name)
    except KafkaException as error:
        where = settings.kafka_bootstrap_servers
        return Finding(
            "kafka", f"no broker answers at {where} ({error.args[0].str()}); see KAFKA_BOOTSTRAP_SERVERS", answers=False
        )
    if found is None or found.error is not None:
        return Finding("kafka", f"there is no topic {name}: python -m connectors.topics", answers=False)
    return Finding("kafka", f"{name} has {len(found.partitions)} partitions", answers=True)


def check_postgres(settings: Settings) -> Finding:
    """Whether the database answers and has ConScope's tables."""
    where = f"{settings.postgres_host}:{settings.postgres_port}/{settings.postgres_db}"
    try:
        with psycopg.connect(settings.postgres_dsn, connect_timeout=_SECONDS) as connection:
            row = connection.execute("SELECT to_regclass('source_status') IS NOT NULL").fetchone()
    except psycopg.OperationalError as error:
        return Finding("postgres", f"{where}: {str(error).strip().splitlines()[0]}; see POSTGRES_HOST", answers=False)
    if row != (True,):
        return Finding("postgres", f"{where} has no tables yet: python -m sinks.schema", answers=False)
    return Finding("postgres", where, answers=True)


def check_watchlist(watchlist: Watchlist, settings: Settings) -> Finding:
    """How much is followed."""
    entries = [entry for entry in watchlist.entries() if entry.active]
    linked = [link for link in watchlist.links() if link.gone is None]
    says = f"{_count(len(entries), 'entry', 'entries')}, {_count(len(linked), 'event', 'events')} of sources linked"
    try:
        waiting = [one for one in load(settings.watchlist_file) if one not in {entry.entry for entry in entries}]
    except WatchlistError as error:
        if settings.watchlist_file.exists():
            return Finding("watchlist", str(error), answers=False)
        waiting = []
    if waiting:
        says += f"; {settings.watchlist_file} has {len(waiting)} more, which ingestion takes over when it runs"
    if not entries and not waiting:
        return Finding(
            "watchlist", 'nothing is followed: python -m connectors.watchlist add "Nora Vale"', answers=False
        )
    return Finding("watchlist", says, answers=True)


def _targets(watchlist: Watchlist | None, source: Polled) -> list[Target]:
    if isinstance(source, Feed):
        return source.targets
    return [one.target for one in watchlist.targets(source.name, datetime.now(UTC))] if watchlist is not None else []


def _ingestion(settings: Settings, watchlist: Watchlist | None, source: str) -> Ingestion | None:
    if watchlist is None:
        return None
    with psycopg.connect(settings.postgres_dsn, connect_timeout=_SECONDS) as connection:
        row = connection.execute(
            "SELECT calls_spent, state, detail FROM source_status "
            "WHERE source = %s AND updated_at > now() - interval '24 hours'",
            (source,),
        ).fetchone()
    if row is None:
        return None
    spent, state, detail = row
    return Ingestion(spent, f"{state}, {detail}" if state in ("waiting", "held", "refused") else None)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def in_order(findings: list[Finding]) -> bool:
    """Whether there is a source, all that are configured give prices, and everything else answers."""
    used = [one for one in findings if one.key]
    others = [one for one in findings if one.key is None or one.name == "feeds"]
    return bool(used) and all(one.prices for one in used) and all(one.answers for one in others)


def _table(findings: list[Finding]) -> str:
    marks = {True: "✓", False: "✗", None: " "}
    rows = [["", "key", "answers", "prices", "calls left", ""]]
    for one in findings:
        left = "" if one.calls_left is None else f"{one.calls_left:,}"
        rows.append([one.name, marks[one.key], marks[one.answers], marks[one.prices], left, one.says])
    widths = [max(len(row[column]) for row in rows) for column in range(5)] + [0]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the findings; 0 when all is in order."""
    parser = argparse.ArgumentParser(prog="python -m connectors.doctor", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--json", action="store_true", help="the findings as JSON, for other programs")
    chosen = parser.parse_args(arguments)
    findings = diagnose(configuration.load())
    said = (
        json.dumps([asdict(one) for one in findings], indent=2, ensure_ascii=False) if chosen.json else _table(findings)
    )
    sys.stdout.write(said + "\n")
    return 0 if in_order(findings) else 1


if __name__ == "__main__":
    sys.exit(main())
