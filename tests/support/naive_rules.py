"""What rules mean, written again for small logs: every rule looks at every row, and knows all that came before.

Shares nothing with the engine but the rule itself. Rows are (event, listing, time, price, total, quantity, section, row,
source, currency, level) in log order, each its listing's newest; a rule is on from a row's index on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from analytics.rules import Rule

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass
class Path:
    """One path of prices as one rule has seen it since it began."""

    points: list[tuple[int, int | None]] = field(default_factory=list)  # (time, value); None while it pauses
    state: str = "armed"
    held: int = 0
    frozen: tuple[int, int | None] | None = None
    alerts: list[tuple[int, int]] = field(default_factory=list)  # (time, value)
    rearm_from: tuple[int, int] | None = None


def judge(rules: list[tuple[int, Rule]], rows: list[tuple[Any, ...]], settle: int = 0) -> list[tuple[int, int]]:
    """(rule id, row index) of every alert, in order."""
    fired = []
    paths: dict[tuple[int, str, str], Path] = {}
    for index, row in enumerate(rows):
        event, listing, time = row[:3]
        for begins, rule in sorted(rules, key=lambda pair: pair[1].id):
            if index < begins or rule.event_id not in (None, event) or time < rule.since:
                continue
            if rule.each and _left(rule, rows, index):
                paths.pop((rule.id, event, listing), None)  # what comes back is another offer
            if not rule.each and _touches(rule, rows, index) and _value(rule, rows, index, index) is None:
                if (paused := paths.get((rule.id, event, ""))) is not None:
                    paused.points.append((time, None))
                continue
            if not _in_scope(rule, row):
                if not rule.each and _touches(rule, rows, index) and (path := paths.get((rule.id, event, ""))):
                    path.points.append((time, _value(rule, rows, index, index)))
                continue
            born = min(r[2] for r in rows[: index + 1] if r[0] == event)
            if not rule.each and rule.condition not in ("at_or_below", "back") and time < born + settle:
                continue
            now = _value(rule, rows, index, index)
            assert now is not None
            path = paths.setdefault((rule.id, event, listing if rule.each else ""), Path())
            before = _before(rule, rows, index)
            if _fires(rule, path, rows, index, before, now):
                fired.append((rule.id, index))
    return fired


def _in_scope(rule: Rule, row: tuple[Any, ...]) -> bool:
    *_, quantity, section, _, source, currency, level = row
    if currency != rule.currency or (rule.source is not None and source != rule.source):
        return False
    if level == "event":
        return not rule.sections and rule.quantity == 1
    return quantity >= rule.quantity and (not rule.sections or section in rule.sections)


def _price(rule: Rule, row: tuple[Any, ...]) -> int:
    return int((row[3] if rule.base else row[4]) * rule.party)


def _value(rule: Rule, rows: list[tuple[Any, ...]], upto: int, at: int) -> int | None:
    """The path's value just after row `upto`, stale listings left out as of row `at`."""
    if rule.each:
        return _price(rule, rows[upto])
    event = rows[at][0]
    newest: dict[str, tuple[Any, ...]] = {row[1]: row for row in rows[: upto + 1] if row[0] == event}
    oldest = rows[at][2] // HOUR * HOUR - DAY
    prices = sorted(_price(rule, row) for row in newest.values() if _in_scope(rule, row) and row[2] >= oldest)
    return prices[rule.listings - 1] if len(prices) >= rule.listings else None


def _left(rule: Rule, rows: list[tuple[Any, ...]], index: int) -> bool:
    """Whether this row's listing is out of scope now, or was not seen for a day."""
    mine = [r for r in rows[:index] if r[:2] == rows[index][:2]]
    return not _in_scope(rule, rows[index]) or not mine or not _alive(mine[-1], rows[index])


def _before(rule: Rule, rows: list[tuple[Any, ...]], index: int) -> int | None:
    """The path's value at the last row that said something of it, or None at the first."""
    event, listing = rows[index][:2]
    if rule.each:
        mine = [r for r in rows[:index] if r[:2] == (event, listing)]
        return _price(rule, mine[-1]) if mine and _in_scope(rule, mine[-1]) and _alive(mine[-1], rows[index]) else None
    for earlier in range(index - 1, -1, -1):
        if rows[earlier][0] == event and _touches(rule, rows, earlier):
            return _value(rule, rows, earlier, earlier)
    return None


def _touches(rule: Rule, rows: list[tuple[Any, ...]], index: int) -> bool:
    """Whether a row says something of the path: its listing is in scope, or has just left it."""
    return any(_in_scope(rule, r) for r in [r for r in rows[: index + 1] if r[:2] == rows[index][:2]][-2:])


def _alive(row: tuple[Any, ...], now: tuple[Any, ...]) -> bool:
    return bool(row[2] >= now[2] // HOUR * HOUR - DAY)


def _fires(rule: Rule, path: Path, rows: list[tuple[Any, ...]], index: int, before: int | None, now: int) -> bool:
    event, listing, time = rows[index][:3]
    newly = not path.points
    if newly and before is not None:
        path.points.append((time, before))
        if rule.skip_if_true and before <= rule.target:
            path.state, path.rearm_from = "fired", (time, before)
    first = path.points[0][1] if path.points else now
    low = min((value for _, value in path.points if value is not None), default=None)
    last = path.alerts[-1][1] if path.alerts else None
    earlier = [r for r in rows[:index] if r[0] == event and (not rule.each or r[1] == listing)]
    seen = [r[2] for r in (earlier[-1:] if rule.each else earlier) if _in_scope(rule, r)]
    threshold: int | None = None
    reference: int | None = None
    if path.frozen is not None:
        threshold, reference = path.frozen
    elif rule.condition == "at_or_below":
        threshold = rule.target
    elif rule.condition == "new_low":
        if rule.days is not None:
            untils = [at for at, _ in path.points[1:]] + [time]
            spans = [(until, value) for until, (_, value) in zip(untils, path.points, strict=False)]
            oldest = time - rule.days * DAY
            low = min((value for until, value in spans if value is not None and until >= oldest), default=None)
        threshold = None if low is None else low - 1
    elif rule.condition in ("drop", "rise"):
        if rule.reference == "last_alert":
            reference = last if last is not None else first
        elif rule.reference == "previous":
            reference = before
        elif rule.reference == "first_seen":
            reference = first
        elif rule.reference == "lowest":
            reference = low
        else:
            reference = _median(rule, path, time)
        if reference is not None:
            step = rule.amount if rule.amount is not None else -(-rule.percent * reference // 1_000_000)
            threshold = reference - step if rule.condition == "drop" else reference + step
    path.points.append((time, now))
    if rule.condition == "back":
        met = bool(seen) and time - max(seen) >= rule.gone
    elif threshold is None:
        met = False
    else:
        met = now >= threshold if rule.condition == "rise" else now <= threshold
    if path.state in ("fired", "cooling") and path.rearm_from is not None:
        at, price = path.rearm_from
        up = rule.condition != "rise"
        edge = rule.target if rule.target is not None else price
        margin = edge * rule.margin // 1_000_000
        if (
            (rule.rearm == "cooldown" and time >= at + rule.cooldown)
            or (rule.rearm == "margin" and (now > edge + margin if up else now < edge - margin))
            or (rule.rearm == "lower" and (now <= price - rule.step if up else now >= price + rule.step))
        ):
            path.state = "armed"
    stands = now == _price(rule, rows[index])
    if met and path.state in ("armed", "holding"):
        if rule.observations > 1 and path.held + stands < rule.observations:
            path.held += stands
            path.state = "holding"
            path.frozen = (threshold, reference) if threshold is not None else None
            return False
        elif sum(t // MINUTE == time // MINUTE for t, _ in path.alerts) < 10:
            path.held, path.frozen = 0, None
            path.alerts.append((time, now))
            path.rearm_from = (time, now)
            path.state = {"always": "armed", "cooldown": "cooling"}.get(rule.rearm, "fired")
            return True
    path.held, path.frozen = 0, None
    if path.state == "holding":
        path.state = "armed"
    return False


def _median(rule: Rule, path: Path, time: int) -> int | None:
    """The lower median of the path's price at the end of each whole hour of the last days."""
    if not path.points:
        return None
    values = []
    for hour in range(max(time // HOUR - rule.days * 24, path.points[0][0] // HOUR), time // HOUR):
        stood = [value for at, value in path.points if at // HOUR <= hour]
        if stood and stood[-1] is not None:
            values.append(stood[-1])
    values.sort()
    return values[(len(values) - 1) // 2] if values else None
