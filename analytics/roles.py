"""The dashboard's role in Postgres: what it may change, whatever its own defects (sinks/migrations/0008)."""

from __future__ import annotations

from typing import Any

import psycopg

DASHBOARD = "conscope_dashboard"
_TAKE = b"SELECT set_config('role', rolname, false) FROM pg_roles WHERE rolname = %s AND pg_has_role(oid, 'MEMBER')"


def take(connection: psycopg.Connection[Any], role: str | None) -> None:
    """Go on with no more rights than `role`'s, for as long as the connection lasts; with all of them where there is none.

    Nothing in a query with parameters can take the other rights back: Postgres takes one statement of it, and no more.
    """
    if role is not None:
        connection.execute(_TAKE, (role,))
