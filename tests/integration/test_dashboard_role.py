"""What the dashboard may do to the database, whatever its own defects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from analytics import roles
from analytics.rulestore import Rules
from analytics.watchlist import Entry
from analytics.watchstore import WatchStore
from dash_app.database import Database as Reader
from sinks.schema import migrate
from tests.conftest import Database

_OTHERS = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
_ITS_OWN = {"alerts", "watchlist", "source_events", "mute_links"}


def test_it_reads_everything_and_writes_rules_and_the_watchlist_only(database: Database) -> None:
    migrate(database.dsn)
    reader = Reader(database.dsn)
    tables = {name for (name,) in reader.rows(_OTHERS)}
    assert tables > _ITS_OWN
    for table in tables:
        assert reader.rows(f"SELECT count(*) FROM {table}")  # noqa: S608 -- a name from the catalogue
    for table in sorted(tables - _ITS_OWN):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE", f"DROP TABLE {table}"):  # noqa: S608
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.change(statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.change("COPY events TO PROGRAM 'true'")
    rule = Rules(database.dsn, roles.DASHBOARD)
    number = rule.add({"event_id": "e", "target_price": 50})
    rule.change(number, {"target_price": 40})
    rule.remove(number)
    assert reader.rows("SELECT count(*) FROM rule_versions") == [(3,)], "the flow is told"
    watchlist = WatchStore(database.dsn, roles.DASHBOARD)
    watchlist.remove(watchlist.add(Entry("seatgeek", "1")))
    reader.close()


def test_what_people_say_of_a_held_price_is_done(database: Database) -> None:
    migrate(database.dsn)
    with psycopg.connect(database.dsn) as connection:
        connection.execute(
            'INSERT INTO quarantine (id, event_id, source, price, total_price, currency, quantity, "timestamp", level, late, '
            "reason) VALUES (1, 'e', 's', 1, 1, 'USD', 1, now(), 'listing', false, 'hundredth')"
        )
    reader = Reader(database.dsn)
    for name, there in (("release", 1), ("confirm", 0), ("release", 1)):
        assert reader.change(f"SELECT {name}_quarantined(1)") == [(True,)]
        assert reader.rows("SELECT count(*) FROM price_history") == [(there,)]
    reader.close()


@contextmanager
def other_user(database: Database, rights: str) -> Iterator[tuple[str, str]]:
    """(name, DSN) of another user of this database, who is gone afterwards with all that is its own."""
    name = "other_" + database.environment["POSTGRES_DB"]
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'other' {rights}".encode())
        owner.execute(f"GRANT ALL ON SCHEMA public TO {name}".encode())
        try:
            yield name, make_conninfo(database.dsn, user=name, password="other")
        finally:
            owner.execute(f"DROP OWNED BY {name} CASCADE".encode())
            owner.execute(f"DROP ROLE {name}".encode())


def test_a_user_that_may_make_no_roles_keeps_its_own_rights(database: Database) -> None:
    """The schema comes up, the dashboard works, and the role that another database's owner made is left alone."""
    with other_user(database, "") as (name, dsn):
        migrate(dsn)
        reader = Reader(dsn)
        assert reader.rows("SELECT current_user::text") == [(name,)]
        number = Rules(dsn, roles.DASHBOARD).add({"event_id": "e", "target_price": 50})
        assert reader.rows("SELECT id FROM alerts") == [(number,)]
        assert reader.change("SELECT release_quarantined(5)") == [(False,)]
        reader.close()


def test_a_user_that_may_give_the_role_and_not_take_it_is_given_it_first(database: Database) -> None:
    """As whoever makes a role without being a superuser, and as the first user of most hosted databases."""
    with psycopg.connect(database.dsn, autocommit=True) as owner:
        if not _there(owner):
            owner.execute(f"CREATE ROLE {roles.DASHBOARD}".encode())
        with other_user(database, "CREATEROLE") as (name, dsn):
            owner.execute(f"GRANT {roles.DASHBOARD} TO {name} WITH ADMIN TRUE, SET FALSE, INHERIT FALSE".encode())
            migrate(dsn)
            reader = Reader(dsn)
            assert reader.rows("SELECT current_user::text") == [(roles.DASHBOARD,)]
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.change("DELETE FROM price_history")
            assert Rules(dsn, roles.DASHBOARD).add({"event_id": "e", "target_price": 50})
            reader.close()


def test_a_login_that_has_no_other_rights_is_enough_and_cannot_be_talked_into_more(database: Database) -> None:
    """What an operator gives a dashboard that strangers can reach."""
    migrate(database.dsn)
    with other_user(database, f"IN ROLE {roles.DASHBOARD}") as (_, dsn):
        reader = Reader(dsn)
        assert reader.rows("SELECT count(*) FROM price_history") == [(0,)]
        assert Rules(dsn, roles.DASHBOARD).add({"event_id": "e", "target_price": 50})
        reader.change("SELECT set_config('role', 'none', false)")
        for statement in ("DELETE FROM price_history", "DROP TABLE events", "ALTER TABLE alerts ADD COLUMN mine int"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.change(statement)
        reader.close()


def test_tables_in_a_schema_of_the_users_name_are_found(database: Database) -> None:
    """The search path names the user, and who has taken a role is another."""
    with other_user(database, "SUPERUSER") as (name, dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        migrate(dsn)
        reader = Reader(dsn)
        assert reader.rows("SELECT current_user::text, current_schema::text") == [(roles.DASHBOARD, name)]
        assert reader.rows("SELECT count(*) FROM price_history") == [(0,)]
        reader.close()


def _there(connection: psycopg.Connection[Any]) -> bool:
    return bool(connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (roles.DASHBOARD,)).rowcount)
