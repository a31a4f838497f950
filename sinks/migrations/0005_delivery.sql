-- Delivery: who waits for what, notices besides alerts, links that mute a rule, and the log of it all for readers.

-- The outbox delivers alerts and notices.
ALTER TABLE outbox
    DROP CONSTRAINT outbox_alert_id_fkey,  -- of price_drop_alerts or of notices
    ADD COLUMN hold_until  timestamptz,    -- held back until then: quiet hours, or a digest
    ADD COLUMN hold_reason text,
    ADD COLUMN released_at timestamptz;    -- when the hold ended; its age counts from there
CREATE INDEX outbox_ready ON outbox (channel, created_at, alert_id) WHERE state = 'pending' AND hold_until IS NULL;
CREATE INDEX outbox_held ON outbox (hold_until) WHERE state = 'pending' AND hold_until IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (channel, sent_at) WHERE state = 'sent';

ALTER TABLE channels ADD COLUMN failing_since timestamptz; -- it refuses us, or all we say, since then; a day, and it is disabled

-- What is said besides alerts: a rule has expired, a channel is tried.
CREATE TABLE notices (
    notice_id  uuid PRIMARY KEY DEFAULT gen_random_uuid(), -- stands in outbox.alert_id
    kind       text NOT NULL CHECK (kind IN ('expired', 'test')),
    rule_id    bigint,
    rule_name  text,
    event_id   text,
    event_name text,
    due        timestamptz NOT NULL,       -- when the rule expired; when the test was asked for
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notices_rule ON notices (rule_id) WHERE rule_id IS NOT NULL;

-- Sends a channel a test by way of the outbox, so that whoever reaches the database can ask for one.
CREATE FUNCTION send_test(name text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE made uuid;
BEGIN
    INSERT INTO notices (kind, due) VALUES ('test', now()) RETURNING notice_id INTO made;
    INSERT INTO outbox (alert_id, channel) VALUES (made, name);
    NOTIFY conscope_outbox;
    RETURN made;
END $$;

-- A link in a message that mutes the rules it tells of, once. The link's token is nowhere but in the message.
CREATE TABLE mute_links (
    hash       text NOT NULL,              -- SHA-256 of the token, in hex
    rule_id    bigint NOT NULL REFERENCES alerts ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    PRIMARY KEY (hash, rule_id)
);
CREATE INDEX mute_links_rule ON mute_links (rule_id);
CREATE INDEX mute_links_age ON mute_links (created_at);

-- A rule of the earlier version names its address in its own row. It stands there and nowhere else: not in the history.
CREATE FUNCTION mask_target() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.rule ->> 'notification_target' IS NOT NULL THEN
        NEW.rule := jsonb_set(NEW.rule, '{notification_target}', '"***"');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rule_versions_mask BEFORE INSERT OR UPDATE ON rule_versions
    FOR EACH ROW EXECUTE FUNCTION mask_target();
UPDATE rule_versions SET rule = rule;

-- Every notification with its cause and what became of it.
CREATE VIEW notifications AS
SELECT o.alert_id, coalesce(a.rule_id, n.rule_id) AS rule_id, coalesce(a.rule_name, n.rule_name) AS rule_name,
       coalesce(a.event_id, n.event_id) AS event_id, coalesce(a.event_name, n.event_name) AS event_name,
       coalesce(a.cause, n.kind, a.alert_type) AS cause, a.old_price, a.new_price, a.currency,
       coalesce(a.alert_timestamp, n.due) AS caused_at, o.channel,
       CASE WHEN o.state = 'pending' AND o.hold_until IS NOT NULL THEN 'held' ELSE o.state END AS state,
       o.attempts, o.maybe_repeats, o.last_error AS error,
       CASE WHEN o.state <> 'pending' THEN NULL
            WHEN c.disabled_since IS NOT NULL THEN 'the channel is disabled: ' || c.reason
            ELSE o.hold_reason END AS waits_for,
       o.hold_until, o.created_at, o.sent_at, o.message_id
FROM outbox o
LEFT JOIN price_drop_alerts a USING (alert_id)
LEFT JOIN notices n ON n.notice_id = o.alert_id
LEFT JOIN channels c USING (channel);

-- Rules that were there before rules had versions.
INSERT INTO rule_versions (version, rule_id, rule)
SELECT row_number() OVER (ORDER BY a.id) + (SELECT coalesce(max(version), 0) FROM rule_versions), a.id, to_jsonb(a)
FROM alerts a WHERE NOT EXISTS (SELECT FROM rule_versions v WHERE v.rule_id = a.id);
