"""`python -m sinks.rules`: list, make, try, explain, mute and test alert rules."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, get_args

import psycopg

import settings as configuration
from analytics.rules import Rearm, Reference, RuleError
from analytics.rulestore import REASONS, Kept, NoSuchRule, Rules
from sinks.postgres import first_line

_EXAMPLES = """examples:
  python -m sinks.rules try --event concert_123 --at-or-below 120 --section 101
  python -m sinks.rules add --event concert_123 --at-or-below 120 --section 101 --name "Two on the floor"
  python -m sinks.rules add --query "the band" --drop 15% --since median --days 30 --quiet 22:00-07:00@Europe/Berlin
  python -m sinks.rules add --event concert_123 --new-low --observations 2 --channel me
  python -m sinks.rules explain 4
  python -m sinks.rules mute 4 --for 3d"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    rules = Rules(configuration.load().postgres_dsn)
    try:
        told = _COMMANDS[chosen.command](rules, chosen)
    except (RuleError, NoSuchRule) as error:
        print(f"conscope: {error}", file=sys.stderr)
        return 2
    except psycopg.errors.UndefinedTable:
        print("conscope: the database has no tables yet; run python -m sinks.schema", file=sys.stderr)
        return 1
    except psycopg.OperationalError as error:
        print(f"conscope: Postgres: {first_line(error)}", file=sys.stderr)
        return 1
    print(json.dumps(told[0], default=_plain, indent=2) if chosen.json else told[1])
    return 0


Told = tuple[Any, str]
"""What a command has to say, for a program and for a person."""


def _list(rules: Rules, chosen: argparse.Namespace) -> Told:
    kept = rules.all()
    lines = [f"{k.rule['id']:>5}  {k.state:<8} {_title(k)}: {k.says}" for k in kept]
    none = "There is no rule; every drop of ALERT_MIN_DROP_PERCENT alerts the default channel. Make one: add --help"
    return [_json(k) for k in kept], "\n".join(lines) or none


def _show(rules: Rules, chosen: argparse.Namespace) -> Told:
    [kept] = rules.all(chosen.rule)
    lines = [f"rule {chosen.rule}, {kept.state}: {_title(kept)}", f"  {kept.says}"]
    lines += [f"  channels: {', '.join(kept.rule['channels']) or 'the default one'}"]
    lines += [f"  {_standing(state)}" for state in kept.states[:20]]
    return _json(kept), "\n".join(lines)


def _add(rules: Rules, chosen: argparse.Namespace) -> Told:
    columns = _columns(chosen)
    tried = rules.try_out(columns)
    number = rules.add(columns)
    return {"id": number, "trial": tried.summary()}, f"rule {number} is made. {tried.summary()}"


def _try(rules: Rules, chosen: argparse.Namespace) -> Told:
    made = rules.try_out(_columns(chosen), chosen.over)
    currency = made.rule.currency
    lines = [
        f"  {_moment(f.time)}  {_money(f.price, currency)}  {f.event_id}"
        + (
            ""
            if f.saving is None
            else f"  {_money(abs(f.saving), currency)} {'under' if f.saving >= 0 else 'over'} the typical price"
        )
        + {True: ", still there at the next look", False: ", gone at the next look", None: ""}[f.stood]
        for f in made.firings[-20:]
    ]
    told = {
        "summary": made.summary(), "observations": made.observations, "days": round(made.days, 2),
        "lowest": _number(made.lowest), "typical": _number(made.typical),
        "firings": [
            {"price_id": f.price_id, "event_id": f.event_id, "time": _moment(f.time), "price": _number(f.price),
             "old": _number(f.old), "stood": f.stood, "saving": _number(f.saving)}
            for f in made.firings
        ],
    }  # fmt: skip
    return told, "\n".join([made.summary(), *lines])


def _explain(rules: Rules, chosen: argparse.Namespace) -> Told:
    [kept] = rules.all(chosen.rule)
    decisions = rules.explain(chosen.rule, chosen.event, chosen.most)
    states = [s for s in kept.states if chosen.event in (None, s["event_id"])]
    lines = [f"rule {chosen.rule}, {kept.state}: {kept.says}"]
    lines += [f"now: {_standing(state)}" for state in states[:10]] or [
        "now: it has not looked at any price yet: none in its scope has come since it was made"
    ]
    lines += [
        f"  {d['observed_at']:%Y-%m-%d %H:%M:%S}  {d['event_id']}  {'FIRED' if d['fired'] else 'silent'}: "
        f"{REASONS.get(d['reason'], d['reason'])} at {d['price']:.2f}"
        + ("" if d["threshold"] is None else f", fires at {d['threshold']:.2f}")
        + ("" if d["reference"] is None else f", measured from {d['reference']:.2f}")
        + ("" if not d["delivery"] else "; " + ", ".join(f"{c}: {s}" for c, s in d["delivery"].items()))
        for d in decisions
    ]
    return {**_json(kept), "decisions": decisions}, "\n".join(lines)


def _mute(rules: Rules, chosen: argparse.Namespace) -> Told:
    until = None if chosen.how_long is None else datetime.now(UTC) + chosen.how_long
    rules.mute(chosen.rule, until)
    when = "until it is unmuted" if until is None else f"until {until:%Y-%m-%d %H:%M} UTC"
    return {"id": chosen.rule, "muted_until": until}, f"rule {chosen.rule} is silent {when}"


def _unmute(rules: Rules, chosen: argparse.Namespace) -> Told:
    rules.unmute(chosen.rule)
    return {"id": chosen.rule}, f"rule {chosen.rule} speaks again"


def _remove(rules: Rules, chosen: argparse.Namespace) -> Told:
    rules.remove(chosen.rule)
    return {"id": chosen.rule}, f"rule {chosen.rule} is gone; its alerts stay"


_COMMANDS: dict[str, Callable[[Rules, argparse.Namespace], Told]] = {
    "list": _list, "show": _show, "add": _add, "try": _try, "explain": _explain, "mute": _mute, "unmute": _unmute,
    "remove": _remove,
}  # fmt: skip


def _columns(chosen: argparse.Namespace) -> dict[str, Any]:
    """The rule that the options describe."""
    definition: dict[str, Any] = {
        name: getattr(chosen, name)
        for name in ("venue", "query", "source", "min_quantity", "currency", "party", "watch", "days", "listings",
                     "observations", "rearm", "cooldown_minutes", "margin_percent", "step", "expires_at", "reference",
                     "digest_minutes", "gone_minutes")
        if getattr(chosen, name) is not None
    }  # fmt: skip
    definition |= {name: True for name in ("skip_if_true", "announce_expiry") if getattr(chosen, name)}
    if chosen.base:
        definition["price"] = "base"
    for condition in ("drop", "rise"):
        if (much := getattr(chosen, condition)) is not None:
            definition |= {"condition": condition, "percent" if much.endswith("%") else "amount": much.rstrip("%")}
    for condition in ("new_low", "back"):
        if getattr(chosen, condition):
            definition["condition"] = condition
    if chosen.deal is not None:
        definition |= {"condition": "deal", "percentile": chosen.deal, "watch": "each"}
    if chosen.quiet is not None:
        hours, _, zone = chosen.quiet.partition("@")
        start, _, end = hours.partition("-")
        definition["quiet"] = {"from": start, "to": end, "time_zone": zone or "UTC"}
    return {
        "name": chosen.name, "event_id": chosen.event, "target_price": chosen.at_or_below, "section": chosen.section,
        "max_row": chosen.max_row, "channels": chosen.channel or [], "definition": definition,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sinks.rules", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="answer as JSON")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, says: str, *, of_rule: bool = False) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=says, description=says, parents=[shared])
        if of_rule:
            made.add_argument("rule", type=int, help="the rule's number, as list shows it")
        return made

    command("list", "all rules and their state")
    command("show", "one rule, and what it thinks of each event", of_rule=True)
    command("unmute", "let a rule speak again", of_rule=True)
    command("remove", "delete a rule; its alerts stay", of_rule=True)
    explain = command("explain", "why a rule fired, or did not", of_rule=True)
    explain.add_argument("--event", help="of this event only")
    explain.add_argument("--most", type=int, default=20, help="so many decisions (default 20)")
    mute = command("mute", "keep a rule silent", of_rule=True)
    mute.add_argument("--for", dest="how_long", type=_span, metavar="3d", help="30m, 12h or 3d; without it for good")
    _describe(command("add", "make a rule; a running flow takes it up within seconds"))
    trial = command("try", "what a rule would have done on the stored history")
    _describe(trial)
    trial.add_argument("--over", type=int, default=40, metavar="DAYS", help="days of history (default 40)")
    return parser


def _describe(parser: argparse.ArgumentParser) -> None:
    """The options that describe a rule."""
    parser.add_argument("--name", help="what you call it")
    scope = parser.add_argument_group("scope (without any: everything)")
    scope.add_argument("--event", help="an event's id")
    scope.add_argument("--venue", help="events at this venue")
    scope.add_argument("--query", help="events whose name has these words")
    scope.add_argument("--section", help="one or several, with commas")
    scope.add_argument("--max-row", help="this row or nearer")
    scope.add_argument("--source", help="listings of this source")
    scope.add_argument("--min-quantity", type=int, help="listings of at least so many tickets")
    scope.add_argument("--currency", help="default USD; prices in another are not looked at")
    scope.add_argument("--party", type=int, help="the price is for so many together")
    scope.add_argument("--base", action="store_true", help="the price without fees (default: all-in)")
    scope.add_argument(
        "--watch", choices=("lowest", "each"), help="the lowest price in scope (default) or each listing"
    )
    condition = parser.add_argument_group("condition").add_mutually_exclusive_group(required=True)
    condition.add_argument("--at-or-below", metavar="PRICE", help="at or below a target")
    condition.add_argument("--drop", metavar="10%|20", help="down by a percentage or an amount")
    condition.add_argument("--rise", metavar="10%|20", help="up by a percentage or an amount")
    condition.add_argument("--new-low", action="store_true", help="lower than ever, or than in --days")
    condition.add_argument("--back", action="store_true", help="seen again after it was gone")
    condition.add_argument(
        "--deal", type=int, metavar="10", help="among the cheapest so many percent of comparable ones"
    )
    more = parser.add_argument_group("and when exactly")
    more.add_argument(
        "--since", dest="reference", choices=get_args(Reference), help="what a drop or rise is measured from"
    )
    more.add_argument("--days", type=int, help="of a median or a low")
    more.add_argument("--listings", type=int, help="so many listings must qualify")
    more.add_argument("--observations", type=int, help="the price must stand for so many looks")
    more.add_argument("--rearm", choices=get_args(Rearm), help="when it may fire again")
    more.add_argument("--cooldown-minutes", type=int)
    more.add_argument("--margin-percent", type=Decimal, help="the price must have gone back by so much (default 2)")
    more.add_argument("--step", help="again only if lower by so much")
    more.add_argument("--skip-if-true", action="store_true", help="do not fire on what holds already")
    more.add_argument("--gone-minutes", type=int, help="unseen for so long is gone (default 60)")
    more.add_argument("--expires-at", help="RFC 3339; the event's start always ends a rule")
    more.add_argument("--announce-expiry", action="store_true", help="tell when it ends")
    told = parser.add_argument_group("to whom")
    told.add_argument("--channel", action="append", help="a CHANNEL_<NAME> of the settings; again for more")
    told.add_argument("--quiet", metavar="22:00-07:00@Europe/Berlin", help="quiet hours; alerts wait and are joined")
    told.add_argument("--digest-minutes", type=int, help="join alerts, at most one message in so many minutes")


def _span(text: str) -> timedelta:
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if text[-1:] not in units or not text[:-1].isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: write 30m, 12h or 3d")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


def _title(kept: Kept) -> str:
    return str(kept.rule["name"] or kept.rule["event_id"] or "everything")


def _standing(state: dict[str, Any]) -> str:
    numbers = [
        f"{label} {state[name]:.2f}"
        for name, label in (
            ("price", "at"),
            ("threshold", "fires at"),
            ("reference", "measured from"),
            ("lowest", "lowest"),
        )
        if state[name] is not None
    ]
    why = REASONS.get(state["reason"], state["reason"])
    return f"{state['event_id']}: {state['state']}, {why} ({', '.join(numbers)}; {state['alerts']} alerts so far)"


def _json(kept: Kept) -> dict[str, Any]:
    # What an earlier version's row names as its target can be a secret address.
    rule = {k: v for k, v in kept.rule.items() if k != "notification_target"}
    return {**rule, "says": kept.says, "state": kept.state, "states": kept.states}


def _moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _money(micros: int, currency: str) -> str:
    return f"{micros / 1_000_000:.2f} {currency}"


def _number(micros: int | None) -> float | None:
    return None if micros is None else micros / 1_000_000


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


if __name__ == "__main__":
    sys.exit(main())
