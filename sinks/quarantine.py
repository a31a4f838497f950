"""`python -m sinks.quarantine`: look at the prices that are held, release what was right, confirm what was wrong."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

import settings as configuration
from sinks.postgres import first_line

_EXAMPLES = """examples:
  python -m sinks.quarantine list --event concert_123 --reason under_quarter
  python -m sinks.quarantine release 4503599627370507
  python -m sinks.quarantine confirm 4503599627370507   # and takes a release back"""

_COLUMNS = (
    'id, event_id, source, section, "row", seat, price, total_price, currency, "timestamp", reason, state, reviewed_at, '
    "released_by"
)
_LIST = f"""
SELECT {_COLUMNS} FROM quarantined
WHERE (%(state)s = 'all' OR state = %(state)s) AND (%(event)s::text IS NULL OR event_id = %(event)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
ORDER BY "timestamp" DESC, id LIMIT %(most)s
"""  # noqa: S608 -- joined from constants; values are parameters

Row = dict[str, Any]
Connection = psycopg.Connection[Row]
Told = tuple[list[Row], str]
"""What a command has to say, for a program and for a person."""


class NotHeld(LookupError):
    """There is no price of that number in quarantine."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        with psycopg.connect(configuration.load().postgres_dsn, connect_timeout=10, row_factory=dict_row) as connection:
            rows, says = _COMMANDS[chosen.command](connection, chosen)
    except NotHeld as error:
        print(f"conscope: {error}", file=sys.stderr)
        return 2
    except psycopg.errors.UndefinedTable:
        print("conscope: the database has no tables yet; run python -m sinks.schema", file=sys.stderr)
        return 1
    except psycopg.OperationalError as error:
        print(f"conscope: Postgres: {first_line(error)}", file=sys.stderr)
        return 1
    print(json.dumps(rows, default=_plain, indent=2) if chosen.json else says)
    return 0


def _list(connection: Connection, chosen: argparse.Namespace) -> Told:
    given = {name: getattr(chosen, name) for name in ("state", "event", "reason", "most")}
    rows = connection.execute(_LIST.encode(), given).fetchall()
    return rows, "\n".join(map(_line, rows)) or "no price like that is in quarantine"


def _release(connection: Connection, chosen: argparse.Namespace) -> Told:
    says = "is released: it is in price_history now; windows, changes and alerts stay as they are"
    return _decide(connection, "SELECT release_quarantined(%s) AS there", chosen.price, says)


def _confirm(connection: Connection, chosen: argparse.Namespace) -> Told:
    says = "is confirmed to be wrong, and stays out of everything"
    return _decide(connection, "SELECT confirm_quarantined(%s) AS there", chosen.price, says)


_COMMANDS: dict[str, Callable[[Connection, argparse.Namespace], Told]] = {
    "list": _list, "release": _release, "confirm": _confirm,
}  # fmt: skip


def _decide(connection: Connection, statement: str, prices: list[int], says: str) -> Told:
    """All of them, or none when one is not there."""
    for price in prices:
        found = connection.execute(statement.encode(), (price,)).fetchone()
        if found is None or not found["there"]:
            raise NotHeld(f"there is no price {price} in quarantine; nothing was changed")
    ids = ", ".join(map(str, prices))
    rows = connection.execute(f"SELECT {_COLUMNS} FROM quarantined WHERE id = ANY(%s)".encode(), (prices,)).fetchall()  # noqa: S608 -- a constant
    return rows, f"{ids} {says}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sinks.quarantine", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="answer as JSON")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, says: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=says, description=says, parents=[shared])

    listed = command("list", "the prices in quarantine, those observed last first")
    listed.add_argument("--state", choices=("held", "released", "confirmed", "all"), default="held",
                        help="what became of them (default: held)")  # fmt: skip
    listed.add_argument("--event", help="of this event only")
    listed.add_argument("--reason", help="held for this reason only, as zero_price or under_quarter")
    listed.add_argument("--most", type=_count, default=50, help="so many (default 50)")
    for name, says in (("release", "these prices were right: they enter the history"),
                       ("confirm", "these prices were wrong; takes a release back")):  # fmt: skip
        command(name, says).add_argument("price", type=int, nargs="+", help="its number, as list shows it")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number from 1 to 1000000")
    return int(text)


def _line(row: Row) -> str:
    place = " ".join(str(row[name]) for name in ("section", "row", "seat") if row[name] is not None) or "-"
    when = row["timestamp"].astimezone(UTC)
    return (
        f"{row['id']}  {when:%Y-%m-%d %H:%M:%S}  {row['state']:<9}  {row['total_price']:.2f} {row['currency']}  "
        f"{row['reason']}  {row['event_id']}  {row['source']}  {place}"
    )


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


if __name__ == "__main__":
    sys.exit(main())
