-- The tables of the contract, with what this version adds.
-- Money is numeric with up to six decimals; times are timestamptz in UTC.
--
-- `id` of a price row is the identity of the Kafka message it came from, so that a replay writes the same row:
--   bits 52-62 stream (a topic and its incarnation, see `streams`), bits 40-51 partition, bits 0-39 offset.

-- Tells this database from every other. Stream numbers mean something only here, so recovery stores and lakes carry it.
CREATE TABLE database_identity (id uuid NOT NULL);
INSERT INTO database_identity VALUES (gen_random_uuid());

CREATE TABLE streams (
    id          smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic       text NOT NULL,
    incarnation text NOT NULL,             -- Kafka's topic id: a topic made again under the same name is another stream
    first_seen  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (topic, incarnation)
);

CREATE FUNCTION stream_of(id bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (id >> 52)::integer;
CREATE FUNCTION partition_of(id bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN ((id >> 40) & 4095)::integer;
CREATE FUNCTION offset_of(id bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN id & 1099511627775;

CREATE TABLE events (
    event_id     text PRIMARY KEY,
    event_name   text,
    venue        text,
    event_date   timestamptz,
    city         text,
    state        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_updated timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE price_history (
    id              bigint PRIMARY KEY,
    event_id        text NOT NULL,
    source          text NOT NULL,
    section         text,
    "row"           text,
    seat            text,
    price           numeric NOT NULL,
    fees            numeric,
    total_price     numeric NOT NULL,      -- all-in, per ticket
    currency        text NOT NULL,
    quantity        integer NOT NULL,
    "timestamp"     timestamptz NOT NULL,  -- when the price was observed (event time)
    listing_id      text,
    listing_url     text,
    delivery_method text,
    seller_notes    text,
    level           text NOT NULL,         -- 'listing', or 'event' for an event-level observation
    average_price   numeric,
    median_price    numeric,
    highest_price   numeric,
    listing_count   bigint,
    late            boolean NOT NULL,      -- came after its partition's watermark had passed it
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX price_history_timestamp ON price_history ("timestamp");
CREATE INDEX price_history_event ON price_history (event_id, "timestamp");

-- Prices held out of everything else, with the reason.
CREATE TABLE quarantine (
    LIKE price_history INCLUDING DEFAULTS,
    reason text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX quarantine_timestamp ON quarantine ("timestamp");

CREATE TABLE price_changes (
    id                 bigint PRIMARY KEY, -- of the price row that caused it
    event_id           text NOT NULL,
    source             text NOT NULL,
    section            text,
    "row"              text,
    seat               text,
    listing_id         text,
    listing_url        text,
    currency           text NOT NULL,
    level              text NOT NULL,
    old_price          numeric NOT NULL,   -- all-in
    new_price          numeric NOT NULL,   -- all-in
    change             numeric NOT NULL,
    change_percent     numeric NOT NULL,   -- four decimals
    previous_timestamp timestamptz NOT NULL,
    "timestamp"        timestamptz NOT NULL
);
CREATE INDEX price_changes_timestamp ON price_changes ("timestamp");
CREATE INDEX price_changes_event ON price_changes (event_id, "timestamp");

-- Event-time tumbling windows over all-in prices. source = '' and section = '' is the whole event (its listings);
-- level = 'event' with section = '' holds the event-level observations of one source.
CREATE TABLE price_windows (
    event_id       text NOT NULL,
    source         text NOT NULL,
    section        text NOT NULL,
    level          text NOT NULL,
    currency       text NOT NULL,
    window_seconds integer NOT NULL,       -- 60, 3600 or 86400
    window_start   timestamptz NOT NULL,
    min_price      numeric NOT NULL,
    max_price      numeric NOT NULL,
    avg_price      numeric NOT NULL,
    open_price     numeric NOT NULL,
    close_price    numeric NOT NULL,
    observations   bigint NOT NULL,
    listings       integer NOT NULL,       -- distinct listings seen in the window
    is_final       boolean NOT NULL,       -- the watermark has passed its end; a permitted late row may still amend it
    PRIMARY KEY (event_id, window_seconds, window_start, source, section, level, currency)
);
CREATE INDEX price_windows_start ON price_windows (window_seconds, window_start);

CREATE TABLE price_drop_alerts (
    alert_id        uuid PRIMARY KEY,      -- md5 of the rule and the id of the price row that caused it
    event_id        text NOT NULL,
    event_name      text,
    venue           text,
    alert_type      text NOT NULL,
    alert_timestamp timestamptz NOT NULL,  -- event time of the price that caused it
    old_price       numeric NOT NULL,
    new_price       numeric NOT NULL,
    drop_amount     numeric NOT NULL,
    drop_percent    numeric NOT NULL,
    currency        text NOT NULL,
    section         text,
    "row"           text,
    seat            text,
    source          text NOT NULL,
    listing_id      text,
    listing_url     text,
    price_id        bigint NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX price_drop_alerts_timestamp ON price_drop_alerts (alert_timestamp);
CREATE INDEX price_drop_alerts_event ON price_drop_alerts (event_id, alert_timestamp);

-- What is still to be delivered, and what became of what was.
CREATE TABLE outbox (
    alert_id      uuid NOT NULL REFERENCES price_drop_alerts,
    channel       text NOT NULL,           -- never a URL: webhook addresses are credentials
    state         text NOT NULL DEFAULT 'pending'
                  CHECK (state IN ('pending', 'sending', 'sent', 'expired', 'failed')),
    attempts      integer NOT NULL DEFAULT 0,
    maybe_repeats integer NOT NULL DEFAULT 0, -- sends whose answer was lost, each possibly delivered
    message_id    text,
    last_error    text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    sent_at       timestamptz,
    PRIMARY KEY (alert_id, channel)
);
CREATE INDEX outbox_open ON outbox (channel, created_at) WHERE state IN ('pending', 'sending');

CREATE TABLE channels (
    channel        text PRIMARY KEY,
    fingerprint    text NOT NULL,          -- of the credential, so that a new webhook starts enabled
    disabled_since timestamptz,
    reason         text
);

CREATE TABLE dead_letters (
    id         bigint PRIMARY KEY,         -- of the refused message
    topic      text NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint NOT NULL,
    reason     text NOT NULL,
    detail     text,
    payload    bytea NOT NULL,             -- the first 64 KiB of the raw bytes; the whole is in the topic
    size       bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- How far each partition has been read, as counted from the log alone.
CREATE TABLE pipeline_progress (
    stream      smallint NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint NOT NULL,
    log_end     bigint NOT NULL,
    watermark   timestamptz,
    accepted    bigint NOT NULL,
    quarantined bigint NOT NULL,
    dead        bigint NOT NULL,
    late        bigint NOT NULL,
    tombstones  bigint NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream, partition)
);

CREATE TABLE system_metrics (
    metric_name  text NOT NULL,
    metric_value double precision NOT NULL,
    "timestamp"  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX system_metrics_name ON system_metrics (metric_name, "timestamp");

-- A user's rules and what they fired (evaluated from the next version on).
CREATE TABLE alerts (
    id                  bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    user_id             text,
    event_id            text,
    target_price        numeric,
    section             text,
    max_row             text,
    notification_method text,
    notification_target text,
    active              boolean NOT NULL DEFAULT true,
    created_at          timestamptz NOT NULL DEFAULT now(),
    last_triggered      timestamptz
);

CREATE TABLE alert_triggers (
    id           bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    alert_id     bigint NOT NULL REFERENCES alerts ON DELETE CASCADE,
    price        numeric NOT NULL,
    source       text,
    section      text,
    "row"        text,
    seat         text,
    listing_url  text,
    triggered_at timestamptz NOT NULL DEFAULT now()
);
