-- Rules that people make, what the flow decides by them, and the way of an alert to its reader.

-- A rule. The columns of the contract keep their meaning: a row of the earlier version is an `at or below` rule.
-- `definition` holds everything else that a rule can say (analytics/rules.py reads and checks it).
ALTER TABLE alerts
    ADD COLUMN name       text,
    ADD COLUMN definition jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN muted_until timestamptz,
    ADD COLUMN channels   text[] NOT NULL DEFAULT '{}', -- names in `channels`; empty: notification_method, or the default one
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT alerts_definition_is_an_object CHECK (jsonb_typeof(definition) = 'object'),
    ADD CONSTRAINT alerts_target_is_a_price CHECK (abs(target_price) < 1e12),
    ADD CONSTRAINT alerts_muted_until_is_finite CHECK (isfinite(muted_until)), -- for good: active = false
    ADD CONSTRAINT alerts_channels_are_names CHECK (array_position(channels, NULL) IS NULL AND array_ndims(channels) <= 1);

-- Every version of every rule, in one order. The flow takes them from here, and a replay finds them here.
CREATE TABLE rule_versions (
    version    bigint PRIMARY KEY,         -- over all rules: a later change has a higher number
    rule_id    bigint NOT NULL,
    rule       jsonb,                      -- the row of `alerts` as it was; null: the rule was deleted
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX rule_versions_rule ON rule_versions (rule_id, version);

-- From which message on, in each partition, a version judges: written before the first such message is handed on, so
-- that a replay judges every price by the version that judged it the first time.
CREATE TABLE rule_activations (
    stream      smallint NOT NULL,
    partition   integer NOT NULL,
    version     bigint NOT NULL REFERENCES rule_versions,
    from_offset bigint NOT NULL,
    PRIMARY KEY (stream, partition, version)
);

CREATE FUNCTION record_rule_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - '{last_triggered,updated_at}'::text[]
                          = to_jsonb(OLD) - '{last_triggered,updated_at}'::text[] THEN
        RETURN NULL;                       -- nothing that a rule means has changed
    END IF;
    PERFORM pg_advisory_xact_lock(7262839403); -- versions are seen in the order of their numbers, or not at all
    INSERT INTO rule_versions (version, rule_id, rule)
    SELECT coalesce(max(version), 0) + 1, coalesce(NEW.id, OLD.id), CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END
    FROM rule_versions;
    NOTIFY conscope_rules;
    RETURN NULL;
END $$;
CREATE TRIGGER alerts_version AFTER INSERT OR UPDATE OR DELETE ON alerts
    FOR EACH ROW EXECUTE FUNCTION record_rule_version();

CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rules are deleted, not truncated: the running flow would go on judging by them'
        USING HINT = 'DELETE FROM alerts';
END $$;
CREATE TRIGGER alerts_no_truncate BEFORE TRUNCATE ON alerts FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- What a rule thinks of an event now (watch 'each': of the listing that it decided on last).
CREATE TABLE rule_states (
    rule_id       bigint NOT NULL,
    event_id      text NOT NULL,
    version       bigint NOT NULL,
    state         text NOT NULL CHECK (state IN ('armed', 'holding', 'fired', 'cooling', 'muted', 'expired')),
    reason        text NOT NULL,           -- why it did, or did not, fire: a word of analytics/alerts.py
    price         numeric,                 -- what it looked at, in the rule's terms
    threshold     numeric,                 -- what it would fire at
    reference     numeric,                 -- what a drop or rise is measured from
    lowest        numeric,                 -- the lowest so far
    sample        integer NOT NULL,        -- listings it compared
    observed_at   timestamptz,             -- event time of the price that it looked at
    alerts        bigint NOT NULL,         -- fired so far
    last_alert_at timestamptz,
    PRIMARY KEY (rule_id, event_id)
);

-- Decisions worth keeping: every alert, and the first of every run of suppressed ones with the same reason.
CREATE TABLE rule_decisions (
    rule_id     bigint NOT NULL,
    price_id    bigint NOT NULL,           -- of the price row that was judged
    event_id    text NOT NULL,
    version     bigint NOT NULL,
    fired       boolean NOT NULL,
    reason      text NOT NULL,
    price       numeric NOT NULL,
    threshold   numeric,
    reference   numeric,
    observed_at timestamptz NOT NULL,
    PRIMARY KEY (rule_id, price_id)
);
CREATE INDEX rule_decisions_event ON rule_decisions (rule_id, event_id, observed_at);

-- An alert of a rule says more than one of the default rule; all of it is a function of the log and of the rule.
ALTER TABLE price_drop_alerts
    ALTER COLUMN old_price DROP NOT NULL,  -- the first sight of a listing can be a deal
    ALTER COLUMN drop_amount DROP NOT NULL,
    ALTER COLUMN drop_percent DROP NOT NULL,
    ADD COLUMN rule_id        bigint,      -- null: the default rule
    ADD COLUMN rule_version   bigint,
    ADD COLUMN rule_name      text,
    ADD COLUMN cause          text,        -- in words: "at or below $120"
    ADD COLUMN reference      text,        -- what old_price is: 'previous', 'last_alert', 'first_seen', 'median', 'lowest', 'target'
    ADD COLUMN percentile     numeric,     -- share of comparable listings that cost less, 0 to 100
    ADD COLUMN lowest_so_far  numeric,
    ADD COLUMN sample         integer,     -- comparable listings
    ADD COLUMN quantity       integer;
CREATE INDEX price_drop_alerts_rule ON price_drop_alerts (rule_id, alert_timestamp);

-- Contract: what a rule fired. One row of each alert, whatever is replayed.
ALTER TABLE alert_triggers ADD COLUMN price_id bigint, DROP CONSTRAINT alert_triggers_alert_id_fkey;
CREATE UNIQUE INDEX alert_triggers_once ON alert_triggers (alert_id, price_id);

CREATE FUNCTION note_last_triggered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A rule that somebody is editing keeps its old time: prices wait for nobody.
    UPDATE alerts a SET last_triggered = greatest(a.last_triggered, n.newest)
    FROM (SELECT alert_id, max(triggered_at) AS newest FROM fired GROUP BY alert_id) n
    WHERE a.id = n.alert_id
      AND a.id IN (SELECT id FROM alerts WHERE id IN (SELECT alert_id FROM fired) FOR UPDATE SKIP LOCKED);
    RETURN NULL;
END $$;
CREATE TRIGGER alert_triggers_note AFTER INSERT ON alert_triggers
    REFERENCING NEW TABLE AS fired FOR EACH STATEMENT EXECUTE FUNCTION note_last_triggered();
