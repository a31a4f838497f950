"""`python -m sinks.quarantine`: list doubted prices, and release or confirm them by hand.

A released price stands in `price_history` from then on, a confirmed one never does; either can be taken back by the
other. Windows, changes and alerts are functions of the log and stay as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import psycopg
from psycopg.rows import dict_row

import settings as configuration
from sinks.postgres import first_line

_EXAMPLES = """examples:
  python -m sinks.quarantine list --event concert_123 --state held
  python -m sinks.quarantine release 4503599627370534
  python -m sinks.quarantine confirm 4503599627370534 4503599627370551"""

_LIST = (
    "SELECT q.id, q.state, q.reason, q.timestamp, q.event_id, e.event_name, q.source, q.section, q.row, q.seat, "
    "q.total_price, q.currency, q.released_by FROM quarantined q LEFT JOIN events e USING (event_id) "
    "WHERE (%(state)s = 'all' OR q.state = %(state)s) AND (%(reason)s::text IS NULL OR q.reason = %(reason)s) "
    "AND (%(event)s::text IS NULL OR q.event_id = %(event)s) ORDER BY q.timestamp DESC, q.id DESC LIMIT %(most)s"
)
_REVIEW = {
    "release": "SELECT id, release_quarantined(id) AS known FROM unnest(%s::bigint[]) AS id",
    "confirm": "SELECT id, confirm_quarantined(id) AS known FROM unnest(%s::bigint[]) AS id",
}
_DONE = {
    "release": "released: it stands in price_history",
    "confirm": "confirmed: it is kept out of price_history",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        with psycopg.connect(configuration.load().postgres_dsn, row_factory=dict_row, connect_timeout=10) as connection:
            return (_list if chosen.command == "list" else _review)(connection, chosen)
    except psycopg.errors.UndefinedTable:
        print("conscope: the database has no tables yet; run python -m sinks.schema", file=sys.stderr)
    except psycopg.OperationalError as error:
        print(f"conscope: Postgres: {first_line(error)}", file=sys.stderr)
    return 1


def _list(connection: psycopg.Connection[dict[str, Any]], chosen: argparse.Namespace) -> int:
    asked = {name: getattr(chosen, name) for name in ("state", "reason", "event", "most")}
    rows = connection.execute(_LIST, asked).fetchall()
    if chosen.json:
        print(json.dumps(rows, default=str, indent=2))
        return 0
    for row in rows:
        place = " ".join(str(row[name]) for name in ("source", "section", "row", "seat") if row[name])
        print(
            f"{row['id']}  {row['timestamp']:%Y-%m-%d %H:%M:%S}  {row['state']:<9} {row['reason']:<17} "
            f"{row['total_price']:.2f} {row['currency']}  {row['event_name'] or row['event_id']}  {place}"
        )
    if not rows:
        print("Nothing is in quarantine that was asked for.")
    elif len(rows) == chosen.most:
        print(f"(the newest {chosen.most}; --most shows more)")
    return 0


def _review(connection: psycopg.Connection[dict[str, Any]], chosen: argparse.Namespace) -> int:
    found = connection.execute(_REVIEW[chosen.command], (chosen.ids,)).fetchall()
    if chosen.json:
        print(json.dumps(found, indent=2))
    for row in found:
        if not row["known"]:
            print(f"conscope: {row['id']} is not in quarantine", file=sys.stderr)
        elif not chosen.json:
            print(f"{row['id']} is {_DONE[chosen.command]}")
    return 0 if all(row["known"] for row in found) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sinks.quarantine", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="answer as JSON")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("list", help="doubted prices, the newest first", parents=[shared])
    shown.add_argument("--state", choices=("held", "released", "confirmed", "all"), default="all")
    shown.add_argument("--reason", help="as under_quarter, another_currency, not_a_ticket")
    shown.add_argument("--event", help="an event's id")
    shown.add_argument("--most", type=int, default=50, help="so many (default 50)")
    for name, says in (("release", "believe these prices"), ("confirm", "keep these prices out")):
        review = commands.add_parser(name, help=says, parents=[shared])
        review.add_argument("ids", type=int, nargs="+", metavar="id", help="as list shows it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
