"""Alert rules as cards, why they did or did not fire, their channels, and the log of what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import polars as pl
from dash import dcc, html

from analytics.rulestore import REASONS
from analytics.trial import Trial
from dash_app import text
from dash_app.views.aria import DECORATION, named
from dash_app.views.cards import nothing

# The stores that a click on a part with `data-act` writes to (assets/alerts.js).
OPEN, WHY, MUTE, REMOVE, TEST, ADOPT, FAR = (
    "alerts-open", "alerts-why", "alerts-mute", "alerts-remove", "alerts-test", "alerts-adopt", "alerts-far",
)  # fmt: skip

STATE_WORDS = {
    "armed": "Armed", "holding": "Holding", "fired": "Fired", "cooling": "Cooling down", "muted": "Muted",
    "expired": "Ended", "broken": "Broken",
}  # fmt: skip
"""A rule's state as a person reads it."""

_MEANS = {
    "armed": "It watches, and will tell you.",
    "holding": "The price is there; it waits whether it stands.",
    "fired": "It has told you, and waits until the price has gone back.",
    "cooling": "It has told you lately, and pauses.",
    "muted": "It goes on watching, and tells nobody.",
    "expired": "The event has begun, or the rule's time is over.",
    "broken": "It means nothing, or none of its channels can be reached.",
}  # fmt: skip
DELIVERY = {
    "pending": "waiting", "held": "held", "sending": "sending", "sent": "sent", "failed": "not delivered",
    "expired": "too old to send",
}  # fmt: skip
"""What became of a notification, as a person reads it."""

_MUTES = (("3600", "For an hour"), ("86400", "For a day"), ("604800", "For a week"), ("", "For good"))


def act(name: str, value: object) -> dict[str, Any]:
    """The attributes of a part that writes `value` to the store `name` when it is clicked (assets/alerts.js)."""
    return {"data-act": name, "data-value": str(value)}


# --- the rules


def rule_cards(rules: pl.DataFrame, zone: str) -> Any:
    """A card for each row of `loaders.alerts.rules_page`."""
    if rules.is_empty():
        return nothing("No rule like that. Change the words or the state above.")
    return html.Ul([_card(row, zone) for row in rules.iter_rows(named=True)], className="rule-cards")


def _card(row: dict[str, Any], zone: str) -> html.Li:
    title = rule_title(row)
    return html.Li(
        [
            html.Div(
                [
                    html.Div(state_badge(row["state"]), id=badge_id(row["id"])),
                    html.Span(f"#{row['id']}", className="rule-number"),
                ],
                className="top",
            ),
            html.H3(title if row["name"] or row["event_id"] is None else _event_link(row), title=title),
            html.P(_scope(row, zone), className="of"),
            html.P(_sentence(row["says"]), className="says"),
            html.Div(rule_now(row, zone), id=now_id(row["id"]), className="rule-now"),
            html.Div(_buttons(row, title), className="acts"),
        ],
        id=card_id(row["id"]), className=card_class(row["state"]),
    )  # fmt: skip


def state_badge(state: str) -> html.Span:
    """A state's word with its sign and colour; what it means on hovering."""
    return html.Span(STATE_WORDS.get(state, state), className=f"rule-state {state}", title=_MEANS.get(state, ""))


def rule_title(row: dict[str, Any]) -> str:
    """What a rule is called: by its maker, or by the event that it is about."""
    return str(row["name"] or row["event"] or row["event_id"] or row["wanted"])


def _scope(row: dict[str, Any], zone: str) -> list[Any]:
    """Which event it is about, as far as the title does not say so."""
    if row["event_id"] is None:
        return [row["wanted"] if row["name"] else "\u00a0"]
    date = text.clock(row["date"], zone, "%b %-d, %Y") if row["date"] is not None else None
    about = " · ".join(part for part in (row["venue"], date) if part) or "\u00a0"
    return [_event_link(row), f" · {about}"] if row["name"] else [about]


def _event_link(row: dict[str, Any]) -> Any:
    return dcc.Link(
        text.isolated(row["event"] or row["event_id"]), href=f"/event?event={quote(row['event_id'], safe='')}"
    )


def card_id(rule: object) -> dict[str, Any]:
    """The whole card."""
    return {"type": "alerts-card", "rule": rule}


def card_class(state: str) -> str:
    """How a card looks, by its rule's state."""
    return f"rule-card {state}"


def badge_id(rule: object) -> dict[str, Any]:
    """The part of a card with the state."""
    return {"type": "alerts-badge", "rule": rule}


def now_id(rule: object) -> dict[str, Any]:
    """The part of a card that moves with the prices. It alone is drawn anew then: what has the focus stays."""
    return {"type": "alerts-now", "rule": rule}


def rule_now(row: dict[str, Any], zone: str) -> list[Any]:
    """Where the price is, where it would have to be, and what the rule has told so far."""
    return [*_now(row, zone), html.Div(_facts(row, zone), className="rule-facts")]


def _now(row: dict[str, Any], zone: str) -> list[Any]:
    if row["muted_until"] is not None and row["state"] == "muted" and row["active"]:
        until = f"Silent until {text.clock(row['muted_until'], zone, '%b %-d, %H:%M')}"
    else:
        until = None
    if row["price"] is None:
        waiting = "It has not looked at any price yet: none in its scope has come since it was made."
        return [html.P(until or waiting, className="waiting")]
    price = text.money(row["price"], row["currency"])
    now = [html.Span([html.Strong(price), " now"])]
    parts: list[Any] = [html.Div(now, className="now")]
    if row["threshold"] is not None:
        now.append(html.Span(["fires at ", html.Strong(text.money(row["threshold"], row["currency"]))]))
        share = closeness(row["price"], row["threshold"], rises=row["condition"] == "rise")
        parts.append(html.Div(html.Div(style={"width": f"{share * 100:.0f}%"}), className="meter", **DECORATION))
    seen = text.clock(row["observed"], zone, "%b %-d, %H:%M:%S")
    why = REASONS.get(row["reason"], row["reason"])
    parts.append(html.P(until or f"{why[:1].upper()}{why[1:]} · looked at {seen}", className="waiting"))
    return parts


def closeness(price: float, threshold: float, *, rises: bool) -> float:
    """How near a price is to where a rule fires, 0 to 1: 1 there or beyond, 0 when it has half of itself to go."""
    away = (threshold - price if rises else price - threshold) / price if price > 0 else 0.0
    return min(max(1 - away / 0.5, 0.0), 1.0)


def _facts(row: dict[str, Any], zone: str) -> list[Any]:
    if row["last_alert"] is not None:
        times = "1 alert" if row["alerts"] == 1 else f"{text.count(max(row['alerts'], 1))} alerts"
        told = f"{times}, the last {text.clock(row['last_alert'], zone, '%b %-d, %H:%M')}"
    else:
        told = "No alert yet"
    return [html.Span(told), html.Span(", ".join(map(channel_name, row["channels"])), className="to")]


def _buttons(row: dict[str, Any], title: str) -> list[Any]:
    number = row["id"]
    silent = row["state"] == "muted"
    mute = (
        html.Button("Unmute", **act(MUTE, f"{number}:0"), **named(f"Unmute {title}"), className="quiet-button")
        if silent
        else _mute_menu(number, title)
    )
    return [
        html.Button("Why?", **act(WHY, number), **named(f"Why did {title} fire, or not?"), className="quiet-button"),
        html.Button("Edit", **act(OPEN, number), **named(f"Edit {title}"), className="quiet-button"),
        mute,
        html.Button("Delete", **act(REMOVE, number), **named(f"Delete {title}"), className="quiet-button danger"),
    ]  # fmt: skip


def _mute_menu(number: int, title: str) -> Any:
    button = html.Summary(
        ["Mute", html.Span(className="caret", **DECORATION)], className="quiet-button", title=f"Mute {title}"
    )
    items = [html.Button(words, **act(MUTE, f"{number}:{seconds}")) for seconds, words in _MUTES]
    return html.Details([button, html.Div(items, role="group", **named(f"Mute {title}"))], className="small-menu")


def default_rule(percent: float, *, has_webhook: bool, has_rules: bool) -> Any:
    """The rule that holds while no rule is active, and what a first rule changes."""
    where = [html.Code("discord:default")] if has_webhook else [
        html.Code("discord:default"), " (here ", html.Code("DISCORD_WEBHOOK_URL"), " is not set, so unless the flow has it, "
        "alerts are kept and sent nowhere)",
    ]  # fmt: skip
    then = "None of your rules is active." if has_rules else "You have made no rule yet."
    return html.Div(
        [
            html.Div([html.Span("In force", className="rule-state armed"), html.H3("The default rule")], className="top"),
            html.P([f"{then} So every drop of {percent:g} % or more, of any listing of any event, alerts ", *where, "."]),
            html.P("As soon as one rule of yours is active it holds no more: then you hear only what you asked for. "
                   "It comes back when the last one is switched off or deleted."),
            html.Div(html.Button("Make a rule", **act(OPEN, "new"), className="main-button")),
        ],
        className="default-rule",
    )  # fmt: skip


def summary(counts: dict[str, int]) -> str:
    """How many rules there are and how they do, in a line."""
    total = sum(counts.values())
    parts = ["1 rule" if total == 1 else f"{text.count(total)} rules"]
    parts += [f"{text.count(counts[state])} {STATE_WORDS[state].lower()}" for state in STATE_WORDS if counts.get(state)]
    return " · ".join(parts)


# --- why


def why(
    rule: dict[str, Any], standing: pl.DataFrame, decisions: Sequence[dict[str, Any]], zone: str
) -> list[Any]:  # fmt: skip
    """Why a rule did or did not fire: what it waits for, what it thinks now, and its last decisions.

    Args:
        rule: a row of `loaders.alerts.rules_page`.
        standing: `loaders.alerts.standings`, the event that is asked about first.
        decisions: `analytics.rulestore.Rules.explain`.
    """
    head = [html.Div([state_badge(rule["state"]), html.Span(_MEANS.get(rule["state"], ""), className="means")],
                     className="why-state"),
            html.P(_sentence(rule["says"]), className="says")]  # fmt: skip
    now: list[Any] = [html.P("It has not looked at any price yet: none in its scope has come since it was made. "
                             "Prices from before do not count.", className="waiting")]  # fmt: skip
    if standing.height:
        now = [_standing(standing.row(0, named=True), rule, zone)]
    history = html.Ol([_decision(d, rule, zone) for d in decisions], className="decisions") if decisions else nothing(
        "No decision worth keeping yet: every look so far said the same, that the price is not there."
    )  # fmt: skip
    return [*head, html.H3("Now"), *now, html.H3("Its last decisions"), history]


def _standing(row: dict[str, Any], rule: dict[str, Any], zone: str) -> Any:
    currency = rule["currency"]
    known = [
        ("Price", row["price"]), ("Fires at", row["threshold"]), ("Measured from", row["reference"]),
        ("Lowest so far", row["lowest"]),
    ]  # fmt: skip
    figures = [
        html.Div([html.Dt(label), html.Dd(text.money(value, currency))]) for label, value in known if value is not None
    ]
    figures.append(html.Div([html.Dt("Listings"), html.Dd(text.count(row["sample"]))]))
    return html.Div(
        [
            html.P(because(row["reason"], row["price"], row["threshold"], row["reference"], rule), className="because"),
            html.Dl(figures, className="figures"),
            html.P(f"{row['event'] or row['event_id']} · looked at {text.clock(row['observed'], zone, '%b %-d, %H:%M:%S')}"
                   f" · {_alerts(row['alerts'])} on this event", className="note"),
        ]
    )  # fmt: skip


def because(
    reason: str, price: float | None, threshold: float | None, reference: float | None, rule: dict[str, Any]
) -> str:  # fmt: skip
    """A decision in a sentence, with its numbers: "The price is not there; it was $131.20, fires at $120.00, …"."""
    said, currency = REASONS.get(reason, reason), rule["currency"]
    numbers = [] if price is None else [f"the price was {text.money(price, currency)}"]
    if threshold is not None:
        numbers.append(f"it fires at {text.money(threshold, currency)}")
        if price and reason == "not_met":
            away = abs(price - threshold)
            numbers.append(f"{text.money(away, currency)} ({away / price * 100:.1f} %) to go")
    if reference is not None:
        numbers.append(f"measured from {text.money(reference, currency)}")
    return f"{said[:1].upper()}{said[1:]}" + (f"; {', '.join(numbers)}." if numbers else ".")


def _decision(row: dict[str, Any], rule: dict[str, Any], zone: str) -> html.Li:
    price, threshold, reference = (
        None if row[name] is None else float(row[name]) for name in ("price", "threshold", "reference")
    )
    delivery = [delivery_state(channel, state) for channel, state in (row["delivery"] or {}).items()]
    return html.Li(
        [
            html.Div([html.Span("Fired" if row["fired"] else "Silent", className=f"pill {'warn' if row['fired'] else ''}"),
                      html.Span(text.clock(row["observed_at"], zone, "%b %-d, %H:%M:%S"), className="time")],
                     className="line"),
            html.P(because(row["reason"], price, threshold, reference, rule)),
            html.P(row["event_id"], className="note") if rule["event_id"] is None else None,
            html.Div(delivery, className="delivery") if delivery else None,
        ]
    )  # fmt: skip


# --- the trial


def trial_words(trial: Trial, most: int, *, cut: bool, farther: bool) -> list[Any]:
    """What came of a trial in words, with a price to take instead where the target is hopeless.

    Args:
        most: stored prices that it was allowed to look at; cut: there were more.
        farther: it may look further back when asked to.
    """
    words: list[Any] = [html.P(trial.summary(), className="verdict")]
    if (near := trial.within_reach) is not None:
        price = near / 1e6
        shown = text.money(price, trial.rule.currency)
        words.append(html.Button(f"Use {shown}", **act(ADOPT, f"{price:.2f}"), className="main-button small"))
    if trial.observations:
        all_of_it = "all that is stored of the last 40 days" if not cut else f"the newest {text.count(most)}"
        words.append(
            html.P(f"Tried on {text.count(trial.observations)} prices in its scope: {all_of_it}.", className="note")
        )
        if cut and farther:
            words.append(html.Button("Look further back", **act(FAR, "far"), className="quiet-button"))
    return words


def firings(trial: Trial, zone: str, most: int = 8) -> Any:
    """The last alerts that there would have been: when, at what price, how far under the typical, and whether it stood."""
    rows = list(reversed(trial.firings[-most:]))
    if not rows:
        return None
    currency = trial.rule.currency
    stood = {True: "still there at the next look", False: "gone at the next look", None: "not seen again"}
    return html.Ol(
        [
            html.Li(
                [
                    html.Span(text.clock(_moment(f.time), zone, "%b %-d, %H:%M"), className="time"),
                    html.Strong(text.money(f.price / 1e6, currency)),
                    html.Span("" if f.saving is None else _saving(f.saving / 1e6, currency), className="saving"),
                    html.Span(stood[f.stood], className=f"stood {'yes' if f.stood else ''}"),
                ]
            )
            for f in rows
        ],
        className="firings",
    )


def _saving(saving: float, currency: str) -> str:
    if abs(saving) < 0.005:
        return "as typical"
    return f"{text.money(abs(saving), currency)} {'under' if saving > 0 else 'over'} the typical"


# --- channels and the log


def channel_list(channels: pl.DataFrame, configured: Sequence[str], zone: str) -> Any:
    """A list of `loaders.alerts.channels` with how each is doing, and a test for each."""
    rows = list(channels.iter_rows(named=True))
    if not rows:
        return html.P(
            ["There is no channel yet. Set ", html.Code("DISCORD_WEBHOOK_URL"), " or a ", html.Code("CHANNEL_<NAME>"),
             " where the flow runs; the guide to notifications tells how."],
            className="nothing",
        )  # fmt: skip
    return html.Ul([_channel(row, row["channel"] in configured, zone) for row in rows], className="channel-list")


def _channel(row: dict[str, Any], known: bool, zone: str) -> html.Li:
    if row["disabled"] is not None:
        look, says = (
            "up",
            f"Disabled since {text.clock(row['disabled'], zone, '%b %-d, %H:%M')}: {row['reason'] or 'it refused us'}",
        )
    elif row["failing"] is not None:
        look, says = "warn", f"Refusing since {text.clock(row['failing'], zone, '%b %-d, %H:%M')}"
    elif row["last_sent"] is not None:
        look, says = "down", f"Last sent {text.clock(row['last_sent'], zone, '%b %-d, %H:%M')}"
    else:
        look, says = "", "Nothing sent yet" if known else "Nothing sent yet; this dashboard's settings do not name it"
    word = {"up": "Disabled", "warn": "Failing", "down": "Works", "": "Untried"}[look]
    used = f"{text.count(row['rules'])} rule{'s' * (row['rules'] != 1)}"
    waiting = f" · {text.count(row['waiting'])}{'+' * (row['waiting'] >= 1000)} waiting" if row["waiting"] else ""
    return html.Li(
        [
            html.Div([html.Strong(channel_name(row["channel"])), html.Span(word, className=f"pill {look}")], className="line"),
            html.P(f"{says} · {used}{waiting}", className="note"),
            html.Button("Send a test", **act(TEST, row["channel"]), className="quiet-button",
                        **named(f"Send a test to {row['channel']}")),
        ]
    )  # fmt: skip


def channel_name(channel: str) -> str:
    """A channel as a person calls it."""
    return "Discord (default)" if channel == "discord:default" else channel


def log_table(log: pl.DataFrame, zone: str) -> Any:
    """A table of `loaders.alerts.notifications`."""
    if log.is_empty():
        return nothing(
            "Nothing was sent yet, or nothing like that. An alert stands here from the moment it is decided."
        )
    columns = ("When", "Rule", "Event", "Why", "Price", "Channel", "State")
    head = html.Tr([html.Th(name, scope="col", className="number" if name == "Price" else "") for name in columns])
    return html.Table(
        [html.Caption("Notifications, newest first", className="sr-only"), html.Thead(head),
         html.Tbody([_log_row(row, zone) for row in log.iter_rows(named=True)])],
        className="log",
    )  # fmt: skip


def _log_row(row: dict[str, Any], zone: str) -> html.Tr:
    currency = row["currency"] or "USD"
    price: Any = text.UNKNOWN if row["new"] is None else html.Strong(text.money(row["new"], currency))
    if row["new"] is not None and row["old"] not in (None, row["new"]):
        price = [html.S(text.money(row["old"], currency)), html.Span(" → ", className="arrow"), price]
    rule = row["rule"] or (f"Rule {row['rule_id']}" if row["rule_id"] is not None else "Default rule")
    is_test = row["cause"] == "test"
    why = {"test": "A test", "expired": "The rule has ended", "price_drop": "Price drop"}.get(
        row["cause"], row["cause"]
    )
    event = row["event"] or row["event_id"]
    link = _event_link(row) if row["event_id"] else text.UNKNOWN
    return html.Tr(
        [
            html.Td(text.clock(row["caused"], zone, "%b %-d, %H:%M:%S"), className="time"),
            html.Td(text.UNKNOWN if is_test else rule, className="rule", title=rule),
            html.Td(link, className="event", title=event),
            html.Td(why, className="cause", title=why),
            html.Td(price, className="number price"),
            html.Td(channel_name(row["channel"]), className="channel"),
            html.Td([html.Span(DELIVERY.get(row["state"], row["state"]), className=f"state {row['state']}"), *_more(row, zone)],
                    className="outcome"),
        ]
    )  # fmt: skip


def _more(row: dict[str, Any], zone: str) -> list[Any]:
    """What else is to be said of a notification's way."""
    said = []
    if row["state"] == "sent" and row["sent"] is not None:
        said.append(text.clock(row["sent"], zone, "%H:%M:%S"))
    if row["state"] == "held" and row["held_until"] is not None:
        said.append(f"until {text.clock(row['held_until'], zone, '%b %-d, %H:%M')}")
    if row["attempts"] > 1:
        said.append(f"{row['attempts']} attempts")
    if row["maybe_repeats"]:
        said.append(f"perhaps {row['maybe_repeats']} repeated")
    said += [words for words in (row["waits_for"], row["error"]) if words and row["state"] != "sent"]
    return [html.Span(" · ".join(said), className="note", title=" · ".join(said))] if said else []


def delivery_state(channel: str, state: str) -> html.Span:
    """A channel and what became of an alert on its way there."""
    return html.Span(f"{channel_name(channel)}: {DELIVERY.get(state, state)}", className=f"state {state}")


def _alerts(count: int) -> str:
    return "1 alert" if count == 1 else f"{text.count(count)} alerts"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, tz=UTC)
