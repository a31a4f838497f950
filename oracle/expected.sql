-- From the price rows (rows.sql) and what is doubted of them (doubt.py: `doubts` and `releases`) to every table. One more
-- variable: `min_drop` (ten-thousandths of a percent).

CREATE OR REPLACE TABLE believed AS FROM plausible WHERE id NOT IN (SELECT id FROM doubts);

-- A keyed listing's order is its partition's log, and a row older than the newest before it has no previous one.
-- An unkeyed listing's order is (event time, id), and late rows have no place in it.
CREATE OR REPLACE TABLE ordered AS
    SELECT *, off AS turn, 0 AS turn2,
        time >= coalesce(max(time) OVER (PARTITION BY listing ORDER BY part, off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), time) AS compared
    FROM believed WHERE keyed
    UNION ALL SELECT *, time, id, NOT late FROM believed WHERE NOT keyed;

CREATE OR REPLACE TABLE moved AS
    SELECT *, total - previous AS change,
        CASE WHEN total < previous THEN -1 ELSE 1 END * ((abs(total - previous)::HUGEINT * 2000000 + previous) // (2 * previous)) AS percent
    FROM (SELECT *, lag(total) OVER w AS previous, lag(time) OVER w AS previous_time
          FROM ordered WHERE compared WINDOW w AS (PARTITION BY listing, keyed ORDER BY turn, turn2));

CREATE OR REPLACE VIEW price_history AS
    SELECT id, event_id, source, section, "row", seat, price, fees, total, currency, quantity, time, listing_id,
           listing_url, level, late FROM believed;
CREATE OR REPLACE VIEW judged_rows AS
    SELECT accepted.*, coalesce(held.reason, doubts.reason) AS reason
    FROM accepted LEFT JOIN held USING (id) LEFT JOIN doubts USING (id);
CREATE OR REPLACE VIEW quarantine AS
    SELECT id, event_id, source, total, time, late, reason FROM judged_rows WHERE reason IS NOT NULL;
CREATE OR REPLACE VIEW quarantine_releases AS SELECT id, released_by FROM releases;
CREATE OR REPLACE VIEW price_changes AS
    SELECT id, event_id, source, section, "row", seat, listing_id, currency, level, previous, total, change, percent,
           previous_time, time FROM moved WHERE change <> 0;
CREATE OR REPLACE VIEW price_drop_alerts AS
    SELECT CAST(md5('default-drop:' || id) AS UUID) AS alert_id, event_id, event_name, venue, time, previous, total, -change AS drop_amount,
           -percent AS drop_percent, currency, section, "row", seat, source, listing_id, id FROM moved WHERE percent <= -$min_drop
    AND NOT EXISTS (FROM rules_in_force r WHERE moved.id >= r.first AND moved.id < r.until);
CREATE OR REPLACE VIEW events AS
    SELECT event_id, last(event_name ORDER BY time, id) FILTER (event_name IS NOT NULL) AS event_name,
           last(venue ORDER BY time, id) FILTER (event_name IS NOT NULL) AS venue,
           last(event_date ORDER BY time, id) FILTER (event_name IS NOT NULL) AS event_date
    FROM plausible GROUP BY event_id;
CREATE OR REPLACE VIEW price_windows AS
    WITH scoped AS (
        SELECT *, source AS s, CASE WHEN level = 'listing' THEN coalesce(section, '') ELSE '' END AS c FROM believed WHERE NOT late
        UNION ALL SELECT *, '', '' FROM believed WHERE NOT late AND level = 'listing'
    )
    SELECT event_id, s AS source, c AS section, level, currency, seconds, time - time % (seconds::BIGINT * 1000000) AS start,
           min(total) AS low, max(total) AS high, (2 * sum(total) + count(*)) // (2 * count(*)) AS average,
           first(total ORDER BY time, id) AS open, last(total ORDER BY time, id) AS close,
           count(*) AS observations, count(DISTINCT listing) AS listings
    FROM scoped, (VALUES (60), (3600), (86400)) AS sizes(seconds) GROUP BY ALL;
CREATE OR REPLACE VIEW lake AS
    SELECT id, event_id, source, section, "row", seat, price, fees, total, currency, quantity, time, listing_id,
           level, late, reason FROM judged_rows;
