"""The dashboard's role in Postgres: what it may change, whatever its own defects (sinks/migrations/0008)."""

from __future__ import annotations

from typing import Any

import psycopg

DASHBOARD = "conscope_dashboard"
# A user that made the role may give it to others before it may take it, since Postgres 16. Where the tables stand is settled
# first: a search path may name the user.
_TAKE = b"""
SELECT set_config('search_path', (SELECT string_agg(quote_ident(name), ', ') FROM unnest(current_schemas(false)) name), false),
       set_config('role', rolname, false)
FROM pg_roles
WHERE rolname = %s
  AND pg_has_role(oid, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)
"""


def take(connection: psycopg.Connection[Any], role: str | None) -> None:
    """Go on with no more rights than `role`'s; with all of them where it is not there, or not for this user to take.

    It guards against our own mistakes. SQL that somebody smuggled in could take the other rights back: only a login that has no
    others keeps it out (docs/security.md).
    """
    if role is not None:
        connection.execute(_TAKE, (role,))
