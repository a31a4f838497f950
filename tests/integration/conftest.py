"""A database with ConScope's tables, shared by the tests of a process and empty for each."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from local.postgres import EmbeddedPostgres
from sinks import schema
from tests.conftest import Database


@pytest.fixture(scope="session")
def _made(postgres_server: EmbeddedPostgres) -> Iterator[Database]:
    name = f"tables_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    schema.migrate(postgres_server.dsn(name))
    yield Database({**postgres_server.environment, "POSTGRES_DB": name}, postgres_server.dsn(name))
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(scope="session")
def _admin(postgres_server: EmbeddedPostgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def tables(_made: Database, _admin: psycopg.Connection) -> Iterator[Database]:
    """A database whose tables are there and empty. (Cheaper than `database`, which is a new one for each test.)"""
    yield _made
    name = _made.environment["POSTGRES_DB"]
    _admin.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(name)))
    # Whatever a failed test left running must not meet the next one.
    _admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    with psycopg.connect(_made.dsn, autocommit=True) as connection:
        listed = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_migrations'"
        )
        names = [Identifier(name) for (name,) in listed.fetchall()]
        filled = SQL(", ").join(SQL("EXISTS (SELECT 1 FROM {})").format(name) for name in names)
        row = connection.execute(SQL("SELECT {}").format(filled)).fetchone() or ()
        used = [name for name, is_filled in zip(names, row, strict=True) if is_filled]
        if used:
            connection.execute("SET session_replication_role = replica")  # rules refuse to be truncated
            connection.execute(SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(SQL(", ").join(used)))


@pytest.fixture
def connection(tables: Database) -> Iterator[psycopg.Connection]:
    """A connection of the test's own to `tables`."""
    with psycopg.connect(tables.dsn, autocommit=True) as opened:
        yield opened
