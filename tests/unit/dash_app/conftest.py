"""A seeded database that all tests here share: the dashboard only reads."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from dash_app.database import Database
from local.postgres import EmbeddedPostgres
from tests.unit.dash_app import seed


@pytest.fixture(scope="session")
def seeded_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    name = f"dash_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    with psycopg.connect(postgres_server.dsn(name)) as connection:
        seed.fill(connection, minutes=90)
    yield postgres_server.dsn(name)
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def seeded(seeded_dsn: str) -> Iterator[Database]:
    database = Database(seeded_dsn)
    yield database
    database.close()
