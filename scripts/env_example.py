"""Writes `.env.example` from `Settings`: `.venv/bin/python scripts/env_example.py > .env.example`."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from settings import Settings

_HEAD = """\
# Everything that can be set. Copy to .env and change what you need; a variable of the shell goes before it.
# Written from settings.py by scripts/env_example.py. With `make up`, programs outside Docker reach Kafka at
# localhost:29092."""
_TAIL = """\
# Any librdkafka setting, dots written as underscores, for example a broker that asks for a log-in over TLS:
# LIBRDKAFKA_SECURITY_PROTOCOL=SASL_SSL
# LIBRDKAFKA_SASL_MECHANISM=PLAIN
# LIBRDKAFKA_SASL_USERNAME=
# LIBRDKAFKA_SASL_PASSWORD=

# What a feed's file names ${FEED_…}, a token or a password as a rule:
# FEED_PARTNER_TOKEN="""
# A group starts at the field that is named here; fields keep the order of Settings.
_GROUPS = {
    "kafka_bootstrap_servers": "Kafka",
    "postgres_host": "Postgres",
    "lake_dir": "Lake",
    "batch_size": "Flow",
    "alert_min_drop_percent": "Alerts",
    "seatgeek_api_key": "Sources",
    "dash_host": "Dashboard",
}


def shown(field: FieldInfo) -> str:
    """A field's default as one would write it in the environment."""
    default = field.default
    if default is None:
        return ""
    return default.get_secret_value() if isinstance(default, SecretStr) else str(default)


def main() -> None:
    """Print the file."""
    print(_HEAD)
    for name, field in Settings.model_fields.items():
        if name in _GROUPS:
            print(f"\n# --- {_GROUPS[name]} ---")
        print(f"# {field.description}\n{name.upper()}={shown(field)}")
    print(f"\n{_TAIL}")


if __name__ == "__main__":
    main()
