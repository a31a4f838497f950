"""The database schema: numbered SQL files, each applied once, in order. Run it with `python -m sinks.schema`."""

from __future__ import annotations

import hashlib
import sys
from importlib import resources

import psycopg

import settings as configuration

# Any number, the same in every process: two starts at once must not both migrate.
_LOCK = 7_262_839_401


class SchemaConflict(Exception):
    """The database holds something that this version cannot build on; the message says what to do."""


def migrate(dsn: str) -> list[str]:
    """Bring the database to this version's schema; returns the names of the migrations that were applied.

    Safe to call at every start and from several processes at once: a lock orders them, each migration is one
    transaction.

    Raises:
        SchemaConflict: a migration was changed after it was applied, or the tables belong to the earlier version.
        psycopg.OperationalError: the database is out of reach.
    """
    applied: list[str] = []
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            "name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done: dict[str, str] = dict(connection.execute("SELECT name, checksum FROM schema_migrations").fetchall())
        if not done and connection.execute("SELECT to_regclass('price_history')").fetchone() != (None,):
            raise SchemaConflict(
                "this database holds the earlier version's tables; point POSTGRES_DB at a new, empty database "
                "(the old one stays as it is, and its readers find the same tables in the new one)"
            )
        for name, text in _migrations():
            checksum = hashlib.sha256(text.encode()).hexdigest()
            if name not in done:
                connection.execute(text.encode())
                connection.execute("INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)", (name, checksum))
                applied.append(name)
            elif done[name] != checksum:
                raise SchemaConflict(f"migration {name} was changed after it was applied; add a new one instead")
    return applied


def register_stream(dsn: str, topic: str, incarnation: str) -> int:
    """The number of this making of a topic, given out on first sight and the same ever after."""
    known = "SELECT id FROM streams WHERE topic = %s AND incarnation = %s"
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        # Looked up first: an insert uses up one of the 2,047 numbers even when it finds the row already there.
        row = connection.execute(known, (topic, incarnation)).fetchone()
        if row is None:
            connection.execute(
                "INSERT INTO streams (topic, incarnation) VALUES (%s, %s) ON CONFLICT DO NOTHING", (topic, incarnation)
            )
            row = connection.execute(known, (topic, incarnation)).fetchone()
    assert row is not None
    return int(row[0])


def database_id(dsn: str) -> str:
    """What tells this database from every other; recovery stores and lakes are bound to it."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        row = connection.execute("SELECT id::text FROM database_identity").fetchone()
    assert row is not None
    return str(row[0])


def _migrations() -> list[tuple[str, str]]:
    folder = resources.files("sinks") / "migrations"
    return sorted((f.name, f.read_text()) for f in folder.iterdir() if f.name.endswith(".sql"))


def main() -> int:
    """Migrate the configured database."""
    settings = configuration.load()
    try:
        applied = migrate(settings.postgres_dsn)
    except (SchemaConflict, psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
        print(f"{settings.postgres_host}:{settings.postgres_port}/{settings.postgres_db}: {error}", file=sys.stderr)
        return 1
    print(f"applied {', '.join(applied)}" if applied else "the schema is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
