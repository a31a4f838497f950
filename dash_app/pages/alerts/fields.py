"""A rule as the form has it, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from analytics.rules import Definition, RuleError, define

BLANK: dict[str, Any] = {
    "name": "", "scope": "event", "event": None, "query": "", "venue": "", "sections": [], "max_row": "", "source": None,
    "quantity": 1, "condition": "at_or_below", "target": None, "much": 10, "unit": "percent", "reference": "last_alert",
    "days": None, "percentile": 10, "gone": 60, "price": "all_in", "party": 1, "currency": "USD", "watch": "lowest",
    "listings": 1, "observations": 1, "rearm": "usual", "cooldown": 60, "margin": 2, "step": 1, "skip": False,
    "expires": None, "announce": False, "channels": [], "quiet": False, "quiet_from": "22:00", "quiet_to": "07:00",
    "quiet_zone": None, "digest": 0,
}  # fmt: skip
"""Every field of the form with what stands there before anything is said. `quiet_zone` has no control: it is the
viewer's unless the rule that is changed names another."""

SWITCHES = ("skip", "announce", "quiet")

Values = Mapping[str, Any]


def prop(name: str) -> str:
    """The property of a field's component that holds its value."""
    return "checked" if name in SWITCHES else "data" if name == "quiet_zone" else "value"


def columns(values: Values, zone: str) -> dict[str, Any]:
    """The columns of `alerts` that the form means: of each field only what its rule can have.

    Args:
        values: by the names of `BLANK`; what a control gives when it is empty is nothing.
        zone: the viewer's, by its IANA name.

    Raises:
        RuleError: a time is none.
    """
    v = {name: (blank if values.get(name) in (None, "") else values[name]) for name, blank in BLANK.items()}
    condition = v["condition"]
    moves = condition in ("drop", "rise")
    is_deal, is_low = condition == "deal", condition == "new_low"
    median = moves and v["reference"] == "median"
    each = is_deal or v["watch"] == "each"
    given: dict[str, Any] = {
        "condition": condition,
        "source": v["source"],
        "min_quantity": v["quantity"] if v["quantity"] != 1 else None,
        "currency": v["currency"], "price": v["price"], "party": v["party"],
        "watch": "each" if each else "lowest",
        "query": v["query"].strip() or None if v["scope"] == "search" else None,
        "venue": v["venue"].strip() or None if v["scope"] == "search" else None,
        "amount": _number(v["much"]) if moves and v["unit"] == "amount" else None,
        "percent": _number(v["much"]) if moves and v["unit"] == "percent" else None,
        "reference": v["reference"] if moves else None,
        "days": (v["days"] or (30 if median else None)) if median or is_low else None,
        "percentile": v["percentile"] if is_deal else None,
        "gone_minutes": v["gone"] if condition == "back" else 60,
        "listings": 1 if each or condition == "back" else v["listings"],
        "observations": 1 if condition == "back" else v["observations"],
        "rearm": None if v["rearm"] == "usual" else v["rearm"],
        "cooldown_minutes": v["cooldown"] if v["rearm"] == "cooldown" else None,
        "margin_percent": _number(v["margin"]) if v["rearm"] in ("usual", "margin") else "2",
        "step": _number(v["step"]) if v["rearm"] == "lower" else None,
        "skip_if_true": bool(v["skip"]) and condition == "at_or_below",
        "expires_at": _moment(v["expires"], zone),
        "announce_expiry": bool(v["announce"]),
        "quiet": {"from": v["quiet_from"][:5], "to": v["quiet_to"][:5], "time_zone": v["quiet_zone"] or zone}
                 if v["quiet"] else None,
        "digest_minutes": int(v["digest"]),
    }  # fmt: skip
    return {
        "name": v["name"].strip() or None,
        "event_id": v["event"] if v["scope"] == "event" else None,
        "target_price": _number(v["target"]) if condition == "at_or_below" else None,
        "section": ",".join(part.strip() for part in v["sections"] if part.strip()) or None,
        "max_row": v["max_row"].strip() or None,
        "channels": list(v["channels"]),
        "definition": {name: value for name, value in given.items() if value is not None and _USUAL.get(name) != value},
    }


def unfinished(values: Values) -> str | None:
    """What the form still needs before it means a rule; None when that is for the rule itself to say."""
    if values.get("scope") == "event" and not values.get("event"):
        return "Choose an event."
    if values.get("scope") == "search" and not (values.get("query") or values.get("venue") or "").strip():
        return "Write words of the event's name, or a venue."
    if values.get("condition") == "at_or_below" and values.get("target") in (None, ""):
        return "Name a price."
    if values.get("condition") in ("drop", "rise") and values.get("much") in (None, ""):
        return "Say by how much."
    return None


def values(row: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """What the form shows for a row of `alerts`; of a definition that means nothing, nothing."""
    try:
        rule = define(row.get("definition") or {})
    except RuleError:
        rule = Definition()
    wide = row.get("event_id") is None
    quiet = rule.quiet
    return BLANK | {
        "name": row.get("name") or "",
        "scope": "event" if not wide else "search" if rule.query or rule.venue else "every",
        "event": row.get("event_id"), "query": rule.query or "", "venue": rule.venue or "",
        "sections": [part.strip() for part in (row.get("section") or "").split(",") if part.strip()],
        "max_row": row.get("max_row") or "", "source": rule.source, "quantity": rule.min_quantity or 1,
        "condition": rule.condition, "target": _float(row.get("target_price")),
        "much": _float(rule.percent if rule.percent is not None else rule.amount) or BLANK["much"],
        "unit": "amount" if rule.amount is not None else "percent",
        "reference": rule.reference or "last_alert", "days": rule.days, "percentile": rule.percentile or 10,
        "gone": rule.gone_minutes, "price": rule.price, "party": rule.party, "currency": rule.currency,
        "watch": rule.watch, "listings": rule.listings, "observations": rule.observations,
        "rearm": rule.rearm or "usual", "cooldown": rule.cooldown_minutes or BLANK["cooldown"],
        "margin": _float(rule.margin_percent), "step": _float(rule.step) or BLANK["step"], "skip": rule.skip_if_true,
        "expires": None if rule.expires_at is None
                   else rule.expires_at.astimezone(_zone(zone)).strftime("%Y-%m-%d %H:%M:%S"),
        "announce": rule.announce_expiry, "channels": list(row.get("channels") or []), "quiet": quiet is not None,
        **({} if quiet is None else {"quiet_from": quiet.start, "quiet_to": quiet.end, "quiet_zone": quiet.time_zone}),
        "digest": rule.digest_minutes,
    }  # fmt: skip


# What stands for "as usual" where `Definition` leaves the field out when it is written.
_USUAL = {
    "condition": "at_or_below", "currency": "USD", "price": "all_in", "party": 1, "watch": "lowest", "listings": 1,
    "observations": 1, "margin_percent": "2", "skip_if_true": False, "gone_minutes": 60, "announce_expiry": False,
    "digest_minutes": 0,
}  # fmt: skip


def _number(value: Any) -> str | None:
    """A number as exact text: 120.0 is 120."""
    if value in (None, ""):
        return None
    return f"{value:.10f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _moment(local: str | None, zone: str) -> str | None:
    """A time on the viewer's clock as RFC 3339."""
    if not local:
        return None
    try:
        moment = datetime.fromisoformat(local)
    except ValueError:
        raise RuleError(f"{local!r} is no time") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=_zone(zone))
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")
