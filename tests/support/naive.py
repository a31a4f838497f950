"""What the tables must hold, worked out from a log in plain Python, apart from the pipeline and from `oracle/`."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from hashlib import md5
from typing import Any
from uuid import UUID

from tests.support.logs import STREAM, Log, micros

PLACE = ("section", "row", "seat", "listing_id")


def money(value: Any) -> int | None:
    return None if value is None else int(Decimal(str(value)) * 1_000_000)


# fmt: off
def tables(log: Log, lateness: int, min_drop: int = 50_000) -> dict[str, dict[Any, Any]]:
    """Each table as {identity: content}; money in micros, times in microseconds, percents in ten-thousandths."""
    history, held, dead, changes, alerts, events, newest = {}, {}, {}, {}, {}, {}, {}
    seen, chains = defaultdict(list), defaultdict(list)
    for m in sorted(log.messages):
        id = STREAM << 52 | m.part << 40 | m.off
        if m.says == "dead":
            dead[id] = m.value
        if not isinstance(m.says, dict):
            continue
        f = {**dict.fromkeys((*PLACE, "event_name", "venue", "event_date")), **{k: v for k, v in m.says.items() if v != ""}}
        event, source, level, currency = f["event_id"], f["source"], f.get("level", "listing"), f.get("currency", "USD")
        price, fees, total = (money(f.get(name)) for name in ("price", "fees", "total_price"))
        total, time = price + (fees or 0) if total is None else total, micros(datetime.fromisoformat(f["timestamp"]))
        newest[m.part] = max(newest.get(m.part, time), time)
        late = time < newest[m.part] - lateness
        reason = ("negative_price" if price < 0 else "zero_price" if price == 0 else "negative_fees" if (fees or 0) < 0
                  else "total_not_positive" if total <= 0 else "implausibly_high" if max(price, total) > 10**12 else None)
        if reason:
            held[id] = (event, total, late, reason)
            continue
        place = [f[name] for name in PLACE]
        history[id] = (event, source, *place, price, fees, total, currency, level, time, late)
        listing = (event, source, currency, "*" if level == "event" else place[3] or tuple(place[:3]))
        keyed = m.key == event.encode()  # its order is then its partition's; without, it is (event time, id), late rows apart
        if keyed or not late:
            chains[keyed, listing].append((m.off if keyed else time, id, time, total))
        named = (time, id) if f["event_name"] else (-1, 0)
        date = f["event_date"] and micros(datetime.fromisoformat(f["event_date"]))
        told = (named, (event, f["event_name"], f["venue"], date))
        events[event] = max(events.get(event, ((-2, 0),)), told, key=lambda one: one[0])
        scopes = {(source, f["section"] or ""), ("", "")} if level == "listing" else {(source, "")}
        for scope in scopes if not late else ():
            for size in (60, 3600, 86400):
                seen[event, *scope, level, currency, size, time - time % (size * 10**6)].append((time, id, total, listing))
    for chain in chains.values():
        before = (0, 0)
        for _, id, time, total in sorted(chain):
            if time < before[0]:
                continue
            if before[1] and total != before[1]:
                up, change = 1 if total > before[1] else -1, total - before[1]
                percent = up * ((2_000_000 * abs(change) + before[1]) // (2 * before[1]))
                changes[id] = (before[1], total, change, percent, before[0])
                if percent <= -min_drop:
                    alerts[str(UUID(md5(f"default-drop:{id}".encode()).hexdigest()))] = (id, -percent)
            before = (time, total)
    windows = {}
    for key, rows in seen.items():
        prices, n = [row[2] for row in sorted(rows)], len(rows)
        mean = (2 * sum(prices) + n) // (2 * n)
        windows[key] = (min(prices), max(prices), mean, prices[0], prices[-1], n, len({row[3] for row in rows}), True)
    return {"history": history, "quarantine": held, "dead": dead, "windows": windows, "changes": changes, "alerts": alerts,
            "events": {event: told[1] for event, told in events.items()}}
