"""ConScope's settings: the only place that reads the environment.

Values come from environment variables or a `.env` file in the working directory; a variable goes before the file, an empty
one, too: it leaves the default. Secrets are masked when printed.
Any librdkafka setting can be passed through as `LIBRDKAFKA_<NAME>`, dots written as underscores:
`LIBRDKAFKA_SASL_MECHANISM=PLAIN` becomes `sasl.mechanism=PLAIN`. What a feed's file names `${FEED_…}` is such a variable.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

ClientConfig = dict[str, str | int | float | bool]
"""librdkafka settings, as every client takes them."""

_PASS_THROUGH = "LIBRDKAFKA_"
_CHANNEL = "CHANNEL_"
_FEED = "FEED_"


class Settings(BaseSettings):
    """Everything that can be set, with its default and its meaning. Each field is the environment variable."""

    model_config = SettingsConfigDict(env_file=".env", frozen=True, extra="ignore", env_ignore_empty=True)

    kafka_bootstrap_servers: str = Field("localhost:9092", description="Kafka brokers, host:port, comma-separated")
    kafka_topic_prefix: str = Field(
        "", description="Put before every topic's name, to run several ConScopes on one Kafka"
    )
    kafka_replication_factor: PositiveInt = Field(1, description="Replication factor of the topics that are made")
    kafka_group: str = Field(
        "conscope-prices", description="Consumer group to which durable offsets are published, for lag tools"
    )
    kafka_on_lost_offsets: str = Field(
        "fail", pattern="^(fail|earliest)$",
        description="When retention has removed messages that were not read: fail, or go on at the earliest",
    )  # fmt: skip

    postgres_host: str = Field("localhost", description="Postgres host, or the folder of its socket")
    postgres_port: PositiveInt = Field(5432, description="Postgres port")
    postgres_db: str = Field("conscope", description="Postgres database")
    postgres_user: str = Field("conscope", description="Postgres user")
    postgres_password: SecretStr = Field(SecretStr("conscope"), description="Postgres password")
    postgres_retry_seconds: PositiveFloat = Field(
        300, description="How long the flow holds its data while Postgres is away, before it stops with an error"
    )

    lake_dir: Path = Field(Path("lake"), description="Folder of the Parquet lake")

    batch_size: PositiveInt = Field(2000, description="Most messages of one partition taken in one go")
    shards: PositiveInt = Field(
        16, le=1024, description="State shards; fixed for the life of a recovery store (a change needs a fresh store)"
    )
    allowed_lateness_seconds: PositiveFloat = Field(
        60, description="How far behind its partition's newest event time a price may be and still count in windows"
    )
    idle_after_seconds: PositiveFloat = Field(
        5, description="A partition without messages for this long no longer holds the watermark back"
    )

    quarantine_release_after: PositiveInt = Field(
        3, description="So many doubted prices of a listing that agree, one after the other, are believed"
    )

    alert_min_drop_percent: PositiveFloat = Field(5, description="Default rule: alert on drops of at least this much")
    alert_max_age_seconds: PositiveInt = Field(
        86400, description="An alert whose price is older than this is kept but no longer sent"
    )
    discord_webhook_url: SecretStr | None = Field(None, description="Discord webhook for the default rule; a secret")
    discord_test_host: str | None = Field(
        None, description="For tests only: a host:port besides Discord's own that may be posted to, over plain HTTP"
    )
    smtp_host: str | None = Field(None, description="Mail server for `mailto:` channels; without it there is no mail")
    smtp_port: PositiveInt = Field(587, description="Its port; usually 587 for starttls, 465 for tls")
    smtp_security: str = Field(
        "starttls", pattern="^(starttls|tls|none)$", description="How it is spoken to: starttls, tls or none"
    )
    smtp_user: str | None = Field(None, description="Name to log in with, if it wants one")
    smtp_password: SecretStr | None = Field(None, description="Password to log in with")
    smtp_from: str | None = Field(None, description="Sender of mails, as in ConScope <alerts@example.com>")
    public_url: str | None = Field(
        None, pattern="^https?://[^ ]+$",
        description="Where the dashboard is reached from outside, for the links in mails that mute a rule",
    )  # fmt: skip

    seatgeek_api_key: SecretStr | None = Field(None, description="SeatGeek client id; without it the source is off")
    seatgeek_url: str = Field("https://api.seatgeek.com/2", description="Where SeatGeek's API is")
    seatgeek_calls_a_day: PositiveInt = Field(2000, description="SeatGeek publishes no limit: polite by default")
    ticketmaster_api_key: SecretStr | None = Field(None, description="Ticketmaster API key; without it it is off")
    ticketmaster_url: str = Field(
        "https://app.ticketmaster.com/discovery/v2", description="Where Ticketmaster's Discovery API is"
    )
    ticketmaster_calls_a_day: PositiveInt = Field(5000, description="Ticketmaster's quota for an ordinary key")
    stubhub_client_id: str | None = Field(None, description="StubHub partner client id; without it it is off")
    stubhub_client_secret: SecretStr | None = Field(None, description="StubHub partner client secret")
    stubhub_url: str = Field(
        "https://api.stubhub.net", description="Where the catalog is; viagogo's is https://api.viagogo.net"
    )
    stubhub_token_url: str = Field("https://account.stubhub.com/oauth2/token", description="Where its tokens are given")
    stubhub_calls_a_day: PositiveInt = Field(5000, description="What your agreement with StubHub or viagogo allows")
    feeds_dir: Path = Field(Path("feeds"), description="Folder of feed files (*.toml) that ingestion follows")
    watchlist_file: Path = Field(
        Path("watchlist.toml"), description="What to follow, besides what stands in the table `watchlist`"
    )
    poll_interval_seconds: PositiveFloat = Field(60, description="Shortest time between two looks at one event")

    dash_host: str = Field("127.0.0.1", description="Address the dashboard listens on")
    dash_port: PositiveInt = Field(8050, description="Port the dashboard listens on")
    dash_workers: PositiveInt = Field(2, le=64, description="Processes that serve the dashboard, eight threads each")
    dash_user: str | None = Field(
        None, pattern="^[^:]+$",
        description="With DASH_PASSWORD: the name that the dashboard asks for (HTTP Basic; put TLS in front of it)",
    )  # fmt: skip
    dash_password: SecretStr | None = Field(None, description="The password that the dashboard asks for; a secret")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[Any, ...]:
        """What is read, the first before the others."""

        def the_file() -> dict[str, Any]:
            blank = {name.lower() for name, value in os.environ.items() if not value}
            return {name: value for name, value in dotenv_settings().items() if name.lower() not in blank}

        return init_settings, env_settings, the_file

    @property
    def postgres_dsn(self) -> str:
        """A libpq connection string; holds the password, so never print it."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(
            host=self.postgres_host,
            port=self.postgres_port,
            dbname=self.postgres_db,
            user=self.postgres_user,
            password=self.postgres_password.get_secret_value(),
        )

    def topic(self, name: str) -> str:
        """The topic that plays the part of `name`, one of the contract's."""
        return self.kafka_topic_prefix + name

    @property
    def kafka_client(self) -> ClientConfig:
        """librdkafka settings shared by every client: the brokers and what was passed through."""
        extra: ClientConfig = {name.replace("_", "."): value for name, value in _given(_PASS_THROUGH).items()}
        # A broker that is away is tried again every second or so, not twenty times a second as librdkafka would.
        calm = {"reconnect.backoff.ms": "200", "reconnect.backoff.max.ms": "2000"}
        return {"bootstrap.servers": self.kafka_bootstrap_servers, **calm, **extra}

    @property
    def channels(self) -> dict[str, SecretStr]:
        """Addresses of the named channels for alerts: `CHANNEL_PHONE` is that of `phone`."""
        return {name: SecretStr(address) for name, address in _given(_CHANNEL).items()}

    def feed_secret(self, name: str) -> str | None:
        """The value of the variable `name`, which starts with FEED_, as a feed's file asks for it; None when unset."""
        return _given(_FEED).get(name[len(_FEED) :].lower()) if name.startswith(_FEED) else None


def _given(prefix: str) -> dict[str, str]:
    """The variables whose names begin so, by the rest of their names in lower case."""
    given = {**dotenv_values(".env"), **os.environ}
    return {name[len(prefix) :].lower(): value for name, value in given.items() if name.startswith(prefix) and value}


@cache
def load() -> Settings:
    """The process's settings, read once.

    Raises:
        SystemExit: a value is wrong; the message names the variable and what it should be, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise SystemExit("conscope: these settings are wrong:\n" + "\n".join(lines)) from None
