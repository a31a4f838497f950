"""`python -m oracle`: compare the configured database and lake with the configured topic."""

from __future__ import annotations

import sys

import psycopg

import settings as configuration
from oracle.compare import Oracle, report
from oracle.log import read


def main() -> int:
    """Print the comparison; 0 when everything is equal."""
    settings = configuration.load()
    log = read(settings.kafka_client, settings.topic("raw_prices"))
    with psycopg.connect(settings.postgres_dsn) as connection:
        row = connection.execute(
            "SELECT max(id) FROM streams WHERE topic = %s", (settings.topic("raw_prices"),)
        ).fetchone()
    if row is None or row[0] is None:
        print("no flow has read raw_prices into this database yet")
        return 1
    oracle = Oracle(
        log,
        row[0],
        settings.allowed_lateness_seconds,
        settings.alert_min_drop_percent,
        settings.quarantine_release_after,
    )
    results = oracle.compare(settings.postgres_dsn, settings.lake_dir)
    print(f"log: {log.height} messages in raw_prices\n{report(results)}")
    return 0 if all(result.equal for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
