"""What the tables must hold, worked out from a log in plain Python, apart from the pipeline and from `oracle/`."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from hashlib import md5
from typing import Any, NamedTuple
from uuid import UUID

from analytics import quality
from tests.support.logs import RELEASE_AFTER, STREAM, Log, micros

PLACE = ("section", "row", "seat", "listing_id")
HOUR = 3_600_000_000


def money(value: Any) -> int | None:
    return None if value is None else int(Decimal(str(value)) * 1_000_000)


# fmt: off
class Row(NamedTuple):
    id: int
    turn: int
    event: str
    source: str
    place: list[Any]
    price: int
    fees: int | None
    total: int
    currency: str
    level: str
    time: int
    late: bool
    listing: tuple[Any, ...]

    @property
    def group(self) -> tuple[Any, ...]:
        return ((self.place[0] or "") if self.level == "listing" else "", self.currency, self.level)


def newest(accepted: list[Row]) -> dict[Any, Row]:
    """Each listing's newest row; of those of one time, the last."""
    found: dict[Any, Row] = {}
    for row in accepted:
        if row.listing not in found or row.time >= found[row.listing].time:
            found[row.listing] = row
    return found


def low_median(prices: list[int]) -> int | None:
    return sorted(prices)[(len(prices) - 1) // 2] if prices else None


def beside(total: int, usual: int | None) -> str | None:
    if usual is None or usual / 4 <= total < usual * 50:
        return None
    return "hundred_times" if total > usual else "hundredth" if total * 50 <= usual else "under_quarter"


def judge(chain: list[Row], enough: int) -> tuple[list[Row], dict[int, str], dict[int, int]]:
    """An event's rows in their order: those accepted, why others are held, and by which row which of them are released."""
    accepted: list[Row] = []
    turns: list[int] = []  # where in the chain each of them stands
    held: dict[int, str] = {}
    released: dict[int, int] = {}
    currencies: dict[str, set[str]] = {}
    runs: dict[Any, list[Row]] = defaultdict(list)

    def usual(here: int, group: Any) -> int | None:
        hour, medians = max(row.time // HOUR for row in chain[:here + 1]), []
        for past in sorted({row.time // HOUR for row in accepted}):
            if hour - 24 <= past < hour:
                end = next(i for i, row in enumerate(chain) if row.time // HOUR > past)
                before = [row for row, turn in zip(accepted, turns, strict=True) if turn < end]
                groups = {row.listing: row.group for row in reversed(before)}  # a listing's is that of its first row
                medians.append(low_median(
                    [row.total for row in newest(before).values() if row.time // HOUR == past and groups[row.listing] == group]))
        return low_median([median for median in medians if median is not None])

    for here, row in enumerate(chain):
        last = newest(accepted).get(row.listing)
        known = {one.listing for one in accepted}
        doubted = {listing for listing, run in runs.items() if run}
        if row.listing not in known | doubted and len(known) + len(doubted) >= quality.MOST_LISTINGS:
            held[row.id] = "too_many_listings"
            continue
        group = next((one.group for one in accepted if one.listing == row.listing), row.group)
        ours = currencies.setdefault(row.source, {row.currency})
        if last is not None and last.total <= 4 * row.total and row.total <= 4 * last.total:
            reason = None
        elif row.currency not in ours:
            reason = "another_currency"
        else:
            reason = beside(row.total, None if last is None else last.total) or beside(row.total, usual(here, group))
        run = runs[row.listing]
        if reason and (last is None or row.time >= last.time) and (not run or row.time > run[-1].time):
            if not run or abs(row.total - run[0].total) * 5 > run[0].total:
                run.clear()
            run.append(row)
            if len(run) >= enough:
                released |= {one.id: row.id for one in run[:-1]}
                ours.add(row.currency)
                reason = None
        if reason:
            held[row.id] = reason
            continue
        if last is None or row.time >= last.time:
            run.clear()
        accepted.append(row)
        turns.append(here)
    return accepted, held, released


def not_a_ticket(f: dict[str, Any]) -> bool:
    """As far as random logs go; the exact words are for the tests of `analytics.quality` and of the oracle."""
    words = {"section": r"\bparking\b", "row": r"\bgarage\b", "event_name": r"\bparking pass", "seller_notes": r"\bparking only"}
    return any(re.search(says, str(f[name]), re.I) for name, says in words.items())


def tables(log: Log, lateness: int, min_drop: int = 50_000, enough: int = RELEASE_AFTER) -> dict[str, dict[Any, Any]]:
    """Each table as {identity: content}; money in micros, times in microseconds, percents in ten-thousandths."""
    history, quarantine, releases, dead, changes, alerts, events, latest = {}, {}, {}, {}, {}, {}, {}, {}
    seen, chains, accepted = defaultdict(list), defaultdict(list), []
    texts = (*PLACE, "event_name", "venue", "event_date", "seller_notes")
    for m in sorted(log.messages):
        id = STREAM << 52 | m.part << 40 | m.off
        if m.says == "dead":
            dead[id] = m.value
        if not isinstance(m.says, dict):
            continue
        f = {**dict.fromkeys(texts), **{k: v for k, v in m.says.items() if v != ""}}
        event, source, level, currency = f["event_id"], f["source"], f.get("level", "listing"), f.get("currency", "USD")
        price, fees, total = (money(f.get(name)) for name in ("price", "fees", "total_price"))
        total, time = price + (fees or 0) if total is None else total, micros(datetime.fromisoformat(f["timestamp"]))
        latest[m.part] = max(latest.get(m.part, time), time)
        late = time < latest[m.part] - lateness
        reason = ("negative_price" if price < 0 else "zero_price" if price == 0 else "negative_fees" if (fees or 0) < 0
                  else "total_not_positive" if total <= 0 else "implausibly_high" if max(price, total) > 10**12
                  else "not_a_ticket" if not_a_ticket(f) else None)
        if reason:
            quarantine[id] = (event, total, late, reason)
            continue
        place = [f[name] for name in PLACE]
        listing = (event, source, currency, "*" if level == "event" else place[3] or tuple(place[:3]))
        keyed = m.key == event.encode()  # its order is then its partition's; without, it is (event time, id), late rows apart
        row = Row(id, m.off if keyed else time, event, source, place, price, fees, total, currency, level, time, late, listing)
        if keyed or not late:
            chains[keyed, event].append(row)
        else:
            accepted.append(row)
        named = (time, id) if f["event_name"] else (-1, 0)
        date = f["event_date"] and micros(datetime.fromisoformat(f["event_date"]))
        told = (named, (event, f["event_name"], f["venue"], date))
        events[event] = max(events.get(event, ((-2, 0),)), told, key=lambda one: one[0])
    for chain in chains.values():
        chain.sort(key=lambda row: (row.turn, row.id))
        good, held, released = judge(chain, enough)
        accepted += good
        quarantine |= {row.id: (row.event, row.total, row.late, held[row.id]) for row in chain if row.id in held}
        releases |= released
        before: dict[Any, tuple[int, int]] = {}
        for row in good:
            time, total = before.get(row.listing, (0, 0))
            if row.time < time:
                continue
            if total and row.total != total:
                up, change = 1 if row.total > total else -1, row.total - total
                percent = up * ((2_000_000 * abs(change) + total) // (2 * total))
                changes[row.id] = (total, row.total, change, percent, time)
                if percent <= -min_drop:
                    alerts[str(UUID(md5(f"default-drop:{row.id}".encode()).hexdigest()))] = (row.id, -percent)
            before[row.listing] = (row.time, row.total)
    for r in accepted:
        history[r.id] = (r.event, r.source, *r.place, r.price, r.fees, r.total, r.currency, r.level, r.time, r.late)
        scopes = {(r.source, r.place[0] or ""), ("", "")} if r.level == "listing" else {(r.source, "")}
        for scope in scopes if not r.late else ():
            for size in (60, 3600, 86400):
                key = (r.event, *scope, r.level, r.currency, size, r.time - r.time % (size * 10**6))
                seen[key].append((r.time, r.id, r.total, r.listing))
    windows = {}
    for key, rows in seen.items():
        prices, n = [row[2] for row in sorted(rows)], len(rows)
        mean = (2 * sum(prices) + n) // (2 * n)
        windows[key] = (min(prices), max(prices), mean, prices[0], prices[-1], n, len({row[3] for row in rows}), True)
    return {"history": history, "quarantine": quarantine, "releases": releases, "dead": dead, "windows": windows,
            "changes": changes, "alerts": alerts, "events": {event: told[1] for event, told in events.items()}}
