"""`python -m connectors.watchlist`: see `docs/guides/watchlist.md`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

import settings as configuration
from connectors import sources
from connectors.source import Listed, Source, SourceError
from connectors.watchlist import Entry, Link, Watchlist, WatchlistError, load
from settings import Settings

_EXAMPLES = """\
examples:
  python -m connectors.watchlist add "Nora Vale" --city Chicago --since 2027-05-01
  python -m connectors.watchlist add --source seatgeek --id 6109434
  python -m connectors.watchlist search "Nora Vale" --city Chicago
  python -m connectors.watchlist import tours.csv
  python -m connectors.watchlist links seatgeek-6109434
  python -m connectors.watchlist relink stubhub 155120340 seatgeek-6109434
"""

Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says. 0: done; 1: not, and the last line says why and what to do."""
    chosen = _parser().parse_args(arguments)
    settings = configuration.load()
    try:
        rows: list[Row] = chosen.run(Watchlist(settings.postgres_dsn), chosen, settings)
    except WatchlistError as error:
        return _fail(str(error))
    except psycopg.errors.UndefinedTable:
        return _fail("the database has no watchlist yet; make it with: python -m sinks.schema")
    except psycopg.OperationalError as error:
        return _fail(f"Postgres at {settings.postgres_host}:{settings.postgres_port}: {str(error).splitlines()[0]}")
    if chosen.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
    else:
        _print_table(rows)
    return 0


def _fail(text: str) -> int:
    print(f"watchlist: {text}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="the answer as JSON, for other programs")
    query = argparse.ArgumentParser(add_help=False)
    query.add_argument("--venue", help="the venue's name")
    query.add_argument("--city", help="the city's name")
    query.add_argument("--since", metavar="DATE", help="first date of the show at its venue, as in 2027-06-01")
    query.add_argument("--until", metavar="DATE", help="last date")
    query.add_argument("--source", help="only this source (default: every one that is configured)")

    parser = argparse.ArgumentParser(
        prog="python -m connectors.watchlist", description="What ConScope follows, and which events that brought.",
        epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., list[Row]], what: str, *parents: argparse.ArgumentParser) -> Any:
        made = commands.add_parser(name, parents=[common, *parents], help=what, description=what[0].upper() + what[1:])
        made.set_defaults(run=run)
        return made

    command("list", _list, "the entries, and how many events each brought")
    add = command("add", _add, "follow what matches, or one event by --source and --id", query)
    add.add_argument("artist", nargs="?", help="an artist, a team, a show: free words")
    add.add_argument("--id", help="the source's own id of an event")
    remove = command("remove", _remove, "follow an entry no more")
    remove.add_argument("number", type=int, help="as `list` shows it")
    bring = command("import", _import, "add every entry of a CSV or TOML file, or none if one is wrong")
    bring.add_argument("file", type=Path, help="columns artist,venue,city,since,until or source,id")
    command("sync", _sync, "take the watchlist file over now; ingestion does so by itself")
    search = command("search", _search, "ask the sources what they have, without following it", query)
    search.add_argument("text", help="free words")
    search.add_argument("--limit", type=int, default=20, help="most events of one source (default 20)")
    links = command("links", _links, "which sources' listings are one event, and why")
    links.add_argument("event", nargs="?", help="ConScope's id of the event (default: all events)")
    relink = command("relink", _relink, "say that a source's listing is another event; nothing changes that by itself")
    unlink = command("unlink", _unlink, "say that a source's listing is an event of its own")
    for made in (relink, unlink):
        made.add_argument("source")
        made.add_argument("id", help="the source's own id of the event")
    relink.add_argument("event", help="ConScope's id of the event that it is")
    return parser


def _list(watchlist: Watchlist, _chosen: argparse.Namespace, _settings: Settings) -> list[Row]:
    return [
        {"number": one.id, "follows": str(one.entry), "events": one.events, "origin": one.origin}
        | ({} if one.active else {"set aside": True})
        for one in watchlist.entries()
    ]


def _add(watchlist: Watchlist, chosen: argparse.Namespace, settings: Settings) -> list[Row]:
    keys = ("artist", "venue", "city", "since", "until", "source", "id")
    entry = Entry.of({key: getattr(chosen, key) for key in keys})
    _note_unknown([entry], settings)
    return [{"number": watchlist.add(entry), "follows": str(entry)}]


def _remove(watchlist: Watchlist, chosen: argparse.Namespace, _settings: Settings) -> list[Row]:
    watchlist.remove(chosen.number)
    return [{"removed": chosen.number}]


def _import(watchlist: Watchlist, chosen: argparse.Namespace, settings: Settings) -> list[Row]:
    entries = load(chosen.file)
    _note_unknown(entries, settings)
    return [{"number": watchlist.add(entry), "follows": str(entry)} for entry in entries]


def _sync(watchlist: Watchlist, _chosen: argparse.Namespace, settings: Settings) -> list[Row]:
    entries = load(settings.watchlist_file)
    _note_unknown(entries, settings)
    return [watchlist.sync(entries)._asdict()]


def _search(_watchlist: Watchlist, chosen: argparse.Namespace, settings: Settings) -> list[Row]:
    given = {key: getattr(chosen, key) for key in ("venue", "city", "since", "until")}
    query = Entry.of({"artist": chosen.text, **given}).query
    rows: list[Row] = []
    failed = 0
    with _sources(settings) as there:
        asked = [one for one in there if one.searchable and chosen.source in (None, one.name)]
        if not asked:
            raise WatchlistError(
                f"there is no {chosen.source or 'source'} to search; to search are: "
                f"{', '.join(one.name for one in there if one.searchable) or 'none, set a key such as SEATGEEK_API_KEY'}"
            )
        for source in asked:
            try:
                rows += [_about(found) for found in source.search(query, chosen.limit)]
            except SourceError as error:
                failed += 1
                print(f"watchlist: {source.name}: {error}", file=sys.stderr)
    if failed == len(asked):
        raise WatchlistError("no source answered; what each said stands above")
    return rows


def _links(watchlist: Watchlist, chosen: argparse.Namespace, _settings: Settings) -> list[Row]:
    links = watchlist.links(chosen.event)
    if chosen.event is not None and not links:
        raise WatchlistError(f"there is no event {chosen.event}; `python -m connectors.watchlist links` shows all")
    return [_why(link) for link in links]


def _relink(watchlist: Watchlist, chosen: argparse.Namespace, _settings: Settings) -> list[Row]:
    return [_why(watchlist.relink(chosen.source, chosen.id, chosen.event))]


def _unlink(watchlist: Watchlist, chosen: argparse.Namespace, _settings: Settings) -> list[Row]:
    return [_why(watchlist.unlink(chosen.source, chosen.id))]


@contextmanager
def _sources(settings: Settings) -> Iterator[Sequence[Source]]:
    opened = sources.configured(settings, [])  # of feeds that are wrong, ingestion and the doctor tell
    try:
        yield opened
    finally:
        for source in opened:
            source.close()


def _note_unknown(entries: list[Entry], settings: Settings) -> None:
    """A source that nobody configured is no error, but a misspelt one would never be looked at."""
    with _sources(settings) as there:
        names = [one.name for one in there]
    for name in sorted({entry.source for entry in entries if entry.source} - set(names)):
        print(
            f"watchlist: no source {name!r} is configured yet; there are: {', '.join(names) or 'none'}", file=sys.stderr
        )


def _about(listed: Listed) -> Row:
    return {
        "source": listed.source, "id": listed.id, "name": listed.name, "venue": listed.venue, "city": listed.city,
        "date": listed.local_date, "starts": listed.starts, "status": listed.status, "url": listed.url,
    }  # fmt: skip


def _why(link: Link) -> Row:
    about = _about(link.listed)
    return {
        "event": link.event_id, **{key: about[key] for key in ("source", "id", "name", "venue", "city", "date", "starts")},
        "score": link.score, "decided by": link.decided_by, "evidence": link.evidence, "gone": link.gone,
    }  # fmt: skip


def _print_table(rows: list[Row]) -> None:
    if not rows:
        print("nothing")
        return
    # A column that no row fills is left out.
    columns = [
        key for key in dict.fromkeys(key for row in rows for key in row) if any(_cell(row.get(key)) for row in rows)
    ]
    lines = [columns, *([_cell(row.get(key)) for key in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):  # evidence
        said = [(what, value[what]) for what in ("name", "venue", "city", "date", "start") if what in value]
        return ", ".join(
            f"{what} {one['similarity']:.2f}{' by ' + one['by'] if 'by' in one else ''}" for what, one in said
        )
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes")
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
