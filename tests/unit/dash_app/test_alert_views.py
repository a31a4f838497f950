"""Rules, reasons, channels and the log in words."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from dash import html
from hypothesis import given
from hypothesis import strategies as st

from analytics.trial import Firing, Trial
from dash_app.loaders.alerts import CHANNELS, NOTIFICATIONS, RULES, STANDING, STATES
from dash_app.views import alerts as views
from tests.support.judging import rule

_NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
_HOSTILE = "<img src=x onerror=alert(1)>"


def _rule(**more: Any) -> dict[str, Any]:
    blank: dict[str, Any] = dict.fromkeys(RULES)
    return blank | {
        "id": 7, "says": "lowest all-in price at or below 120.00 USD", "state": "armed", "currency": "USD",
        "condition": "at_or_below", "alerts": 0, "active": True, "channels": ["phone"], "wanted": "Every event", **more,
    }  # fmt: skip


def _words(part: Any) -> str:
    """The text of components, in reading order."""
    if isinstance(part, list | tuple):
        return re.sub(" +", " ", " ".join(filter(None, map(_words, part))))
    return "" if part is None else _words(part.children) if hasattr(part, "children") else str(part)


def _acts(part: Any) -> list[tuple[str, str]]:
    """What there is to click: (store, value)."""
    found = json.loads(json.dumps(part, default=lambda p: p.to_plotly_json()))
    acts: list[tuple[str, str]] = []

    def look(node: Any) -> None:
        if isinstance(node, dict):
            if "data-act" in node:
                acts.append((node["data-act"], node["data-value"]))
            for child in node.values():
                look(child)
        elif isinstance(node, list):
            for child in node:
                look(child)

    look(found)
    return acts


def _cards(*rows: dict[str, Any]) -> Any:
    return views.rule_cards(pl.DataFrame(list(rows), schema=RULES, orient="row"), "UTC")


def test_a_card_says_where_the_price_is_and_where_it_fires() -> None:
    said = _words(
        _cards(_rule(price=131.2, threshold=120.0, reason="not_met", observed=_NOW, alerts=2, last_alert=_NOW))
    )
    for words in ("Armed", "#7", "at or below 120.00 USD.", "$131.20", "fires at $120.00", "The price is not there",
                  "20:00:00", "2 alerts, the last Nov 23, 20:00", "phone"):  # fmt: skip
        assert words in said


def test_every_state_has_its_own_word_and_sign() -> None:
    badges = [views.state_badge(state) for state in STATES]
    assert len({badge.children for badge in badges}) == len({badge.className for badge in badges}) == len(STATES)
    assert all(badge.title for badge in badges)


def test_a_muted_rule_can_be_unmuted_and_others_muted_for_a_while_or_for_good() -> None:
    acts = _acts(_cards(_rule(state="muted")))
    assert (views.MUTE, "7:0") in acts
    acts = _acts(_cards(_rule()))
    assert {value for act, value in acts if act == views.MUTE} == {"7:3600", "7:86400", "7:604800", "7:"}
    assert {(views.WHY, "7"), (views.OPEN, "7"), (views.REMOVE, "7")} <= set(acts)


def test_strings_from_outside_are_only_ever_text() -> None:
    part = _cards(
        _rule(name=_HOSTILE, event_id=f"e&x=1#{_HOSTILE}", event=_HOSTILE, venue=_HOSTILE, channels=[_HOSTILE])
    )
    assert _HOSTILE in _words(part)
    links = [json.loads(json.dumps(p, default=lambda q: q.to_plotly_json())) for p in _links(part)]
    assert links
    assert all("<" not in link["props"]["href"] and "#" not in link["props"]["href"] for link in links)


def _links(part: Any) -> list[Any]:
    if isinstance(part, list | tuple):
        return [link for child in part for link in _links(child)]
    own = [part] if getattr(part, "href", None) else []
    return own + (_links(part.children) if hasattr(part, "children") and part.children is not None else [])


@given(st.floats(0.01, 1e6), st.floats(0, 1e6), st.booleans())
def test_closeness_is_a_share_and_whole_where_a_rule_fires(price: float, threshold: float, rises: bool) -> None:
    share = views.closeness(price, threshold, rises=rises)
    assert 0 <= share <= 1
    fires = price >= threshold if rises else price <= threshold
    assert (share == 1) == fires or abs(price - threshold) / price < 1e-9


@pytest.mark.parametrize(
    ("has_rules", "says"), [(False, "You have made no rule yet"), (True, "None of your rules is active")]
)
def test_the_default_rule_says_what_it_does_and_what_changes_it(has_rules: bool, says: str) -> None:
    said = _words(views.default_rule(5.0, has_webhook=False, has_rules=has_rules))
    assert says in said
    assert "every drop of 5 % or more" in said
    assert "As soon as one rule of yours is active" in said
    assert "DISCORD_WEBHOOK_URL" in said
    assert "DISCORD_WEBHOOK_URL" not in _words(views.default_rule(5.0, has_webhook=True, has_rules=has_rules))


def test_the_summary_counts_every_state_that_there_is() -> None:
    assert views.summary({"armed": 1}) == "1 rule · 1 armed"
    assert views.summary({"fired": 2, "armed": 1200}) == "1,202 rules · 1,200 armed · 2 fired"
    assert views.summary({}) == "0 rules"


def test_why_says_the_reason_with_its_numbers() -> None:
    standing = pl.DataFrame(
        [{**dict.fromkeys(STANDING), "event_id": "e1", "event": "The Band", "state": "armed", "reason": "not_met",
          "price": 131.2, "threshold": 120.0, "sample": 14, "observed": _NOW, "alerts": 1}],
        schema=STANDING, orient="row",
    )  # fmt: skip
    decision = {"event_id": "e1", "fired": True, "reason": "fired", "price": 119, "threshold": 120, "reference": None,
                "observed_at": _NOW, "delivery": {"phone": "sent", "me": "failed"}}  # fmt: skip
    said = _words(views.why(_rule(), standing, [decision], "Europe/Berlin"))
    assert "the price was $131.20, it fires at $120.00, $11.20 (8.5 %) to go." in said
    assert "looked at Nov 23, 21:00:00" in said
    assert "1 alert on this event" in said
    assert "Fired Nov 23, 21:00:00" in said
    assert "phone: sent me: not delivered" in said


def test_why_a_new_rule_has_said_nothing() -> None:
    said = _words(views.why(_rule(), pl.DataFrame(schema=STANDING), [], "UTC"))
    assert "It has not looked at any price yet" in said
    assert "No decision worth keeping yet" in said


def _trial(*firings: Firing, lowest: int | None = 115_240_000, observations: int = 40) -> Trial:
    return Trial(rule(target_price=100), list(firings), observations, 40.0, lowest, 150_000_000)


def test_a_hopeless_target_is_answered_with_one_to_take_instead() -> None:
    words = views.trial_words(_trial(), 1000, cut=False, farther=True)
    assert "5 % over the low would be 121.00 USD" in _words(words)
    assert _acts(words) == [(views.ADOPT, "121.00")]
    assert "all that is stored" in _words(words)


def test_a_trial_that_was_cut_offers_to_look_further_back_once() -> None:
    fired = _trial(Firing(1, "e1", 0, 99_000_000, None, True, 51_000_000), lowest=99_000_000)
    assert _acts(views.trial_words(fired, 1000, cut=True, farther=True)) == [(views.FAR, "far")]
    assert _acts(views.trial_words(fired, 1000, cut=True, farther=False)) == []
    assert "the newest 1,000" in _words(views.trial_words(fired, 1000, cut=True, farther=False))


def test_the_last_alerts_of_a_trial_come_newest_first_with_what_they_were_worth() -> None:
    firings = [Firing(n, "e1", n * 60_000_000, 99_000_000 + n, None, stood, 51_000_000 - 2 * n * 51_000_000)
               for n, stood in enumerate((True, False, None))]  # fmt: skip
    items = views.firings(_trial(*firings), "UTC", most=2).children
    assert ["not seen again" in _words(item) for item in items] == [True, False]
    assert "gone at the next look" in _words(items[1])
    assert "$51.00 over the typical" in _words(items[1])
    assert views.firings(_trial(), "UTC") is None


def test_a_channel_says_how_it_does_and_can_be_tried() -> None:
    rows = [
        {**dict.fromkeys(CHANNELS), "channel": "dead", "disabled": _NOW, "reason": "404", "rules": 1, "waiting": 1000},
        {**dict.fromkeys(CHANNELS), "channel": "discord:default", "last_sent": _NOW, "rules": 0, "waiting": 0},
    ]
    part = views.channel_list(pl.DataFrame(rows, schema=CHANNELS, orient="row"), ["dead"], "UTC")
    said = [_words(item) for item in part.children]
    assert "Disabled since Nov 23, 20:00: 404" in said[0]
    assert "1,000+ waiting" in said[0]
    assert "Discord (default) Works" in said[1]
    assert _acts(part) == [(views.TEST, "dead"), (views.TEST, "discord:default")]
    assert "CHANNEL_<NAME>" in _words(views.channel_list(pl.DataFrame(schema=CHANNELS), [], "UTC"))


def test_the_log_tells_what_became_of_each() -> None:
    row = {**dict.fromkeys(NOTIFICATIONS), "caused": _NOW, "cause": "at or below", "new": 99.0, "old": 120.0, "currency": "USD",
           "event_id": "e1", "channel": "phone", "attempts": 1, "maybe_repeats": 0, "created": _NOW}  # fmt: skip
    rows = [
        {**row, "state": "sent", "sent": _NOW, "rule": "Mine", "rule_id": 3},
        {**row, "state": "failed", "attempts": 3, "error": "HTTP 503", "rule_id": 4},
        {**row, "state": "held", "held_until": _NOW, "waits_for": "quiet hours"},
        {**row, "state": "pending", "cause": "test", "new": None, "event_id": None},
    ]
    table = views.log_table(pl.DataFrame(rows, schema=NOTIFICATIONS, orient="row"), "UTC")
    said = [_words(part) for part in table.children[-1].children]
    assert "Mine" in said[0] and "$120.00 → $99.00" in said[0] and "sent 20:00:00" in said[0]  # noqa: PT018
    assert "Rule 4" in said[1] and "not delivered 3 attempts · HTTP 503" in said[1]  # noqa: PT018
    assert "Default rule" in said[2] and "held until Nov 23, 20:00 · quiet hours" in said[2]  # noqa: PT018
    assert "A test" in said[3] and "Default rule" not in said[3]  # noqa: PT018
    assert isinstance(views.log_table(pl.DataFrame(schema=NOTIFICATIONS), "UTC"), html.P)
