-- From the log to every table. Inputs: the table `log` (part, off, key, value, log_ms) and the variables `stream`,
-- `lateness` (microseconds) and `min_drop` (ten-thousandths of a percent). Money is in micros, times in microseconds.

CREATE OR REPLACE MACRO micros(v) AS CAST(round(TRY_CAST(v AS DOUBLE) * 1000000) AS BIGINT);
CREATE OR REPLACE MACRO present(j, field) AS coalesce(json_type(j, field), 'NULL') <> 'NULL';
CREATE OR REPLACE MACRO is_money(j, field) AS
    NOT present(j, field)
    OR (json_type(j, field) IN ('DOUBLE', 'BIGINT', 'UBIGINT') AND abs(TRY_CAST(j ->> field AS DOUBLE)) < 999999999.5)
    OR (json_type(j, field) = 'VARCHAR' AND regexp_full_match(j ->> field, '-?[0-9]{1,9}(\.[0-9]{1,18})?'));
CREATE OR REPLACE MACRO instant(text) AS
    CASE WHEN regexp_full_match(text, '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?') THEN
        epoch_us(TRY_CAST(CASE WHEN regexp_matches(text, '([Zz]|[+-]\d\d:?\d\d)$') THEN text ELSE text || 'Z' END AS TIMESTAMPTZ))
    END;
CREATE OR REPLACE MACRO words(j, field) AS nullif(j ->> field, '');

CREATE OR REPLACE MACRO texts(j, names) AS list_transform(names, lambda name: coalesce(j ->> ('$.' || name), ''));
CREATE OR REPLACE MACRO fit(j, names, most) AS len(list_filter(texts(j, names),
    lambda text: length(text) > most OR regexp_matches(text, '[\x00\x1d\x1f]'))) = 0;

CREATE OR REPLACE TABLE parsed AS
    SELECT part, off, key, log_ms, ($stream << 52) | (CAST(part AS BIGINT) << 40) | off AS id,
           TRY_CAST(text AS JSON) AS j
    FROM (SELECT *, CASE WHEN value IS NOT NULL THEN coalesce(TRY(decode(value)), '') END AS text FROM log)
    WHERE text IS NOT NULL;

CREATE OR REPLACE TABLE judged AS
    SELECT *, instant(j ->> '$.timestamp') AS time,
        coalesce(
            json_type(j) = 'OBJECT'
            AND json_type(j, '$.event_id') IN ('VARCHAR', 'BIGINT', 'UBIGINT') AND length(j ->> '$.event_id') BETWEEN 1 AND 200
            AND json_type(j, '$.source') = 'VARCHAR' AND length(j ->> '$.source') BETWEEN 1 AND 200
            AND present(j, '$.price') AND is_money(j, '$.price') AND is_money(j, '$.fees') AND is_money(j, '$.total_price')
            AND json_type(j, '$.timestamp') = 'VARCHAR'
            AND (NOT present(j, '$.quantity') OR (json_type(j, '$.quantity') IN ('BIGINT', 'UBIGINT')
                 AND TRY_CAST(j ->> '$.quantity' AS HUGEINT) BETWEEN 1 AND 1000000))
            AND (NOT present(j, '$.currency') OR regexp_full_match(j ->> '$.currency', '[A-Z]{3}'))
            AND fit(j, ['event_id', 'source', 'section', 'row', 'seat', 'listing_id'], 200)
            AND fit(j, ['event_name', 'venue', 'city', 'state', 'listing_url', 'url', 'delivery_method', 'seller_notes'], 8192)
            AND (NOT present(j, '$.level') OR (j ->> '$.level') IN ('listing', 'event')),
        false) AS well_formed
    FROM parsed;

CREATE OR REPLACE TABLE dead AS
    SELECT id FROM judged
    WHERE NOT (well_formed AND time BETWEEN 0 AND 7258118400000000 AND time // 1000 - log_ms <= 300000) IS TRUE;

CREATE OR REPLACE TABLE accepted AS
    SELECT id, part, off, time, j ->> '$.event_id' AS event_id, j ->> '$.source' AS source,
        words(j, '$.event_name') AS event_name, words(j, '$.venue') AS venue,
        words(j, '$.section') AS section, words(j, '$.row') AS "row", words(j, '$.seat') AS seat,
        words(j, '$.listing_id') AS listing_id, coalesce(words(j, '$.listing_url'), words(j, '$.url')) AS listing_url,
        coalesce(j ->> '$.currency', 'USD') AS currency, coalesce(j ->> '$.level', 'listing') AS level,
        coalesce(TRY_CAST(j ->> '$.quantity' AS INTEGER), 1) AS quantity,
        instant(coalesce(j ->> '$.event_date', j ->> '$.date')) AS event_date,
        micros(j ->> '$.price') AS price, micros(j ->> '$.fees') AS fees,
        coalesce(micros(j ->> '$.total_price'), micros(j ->> '$.price') + coalesce(micros(j ->> '$.fees'), 0)) AS total,
        coalesce(key = encode(j ->> '$.event_id'), false) AS keyed,
        time < max(time) OVER (PARTITION BY part ORDER BY off) - $lateness AS late
    FROM judged WHERE id NOT IN (FROM dead);

CREATE OR REPLACE TABLE held AS
    SELECT *, CASE WHEN price < 0 THEN 'negative_price' WHEN price = 0 THEN 'zero_price' WHEN fees < 0 THEN 'negative_fees'
                   WHEN total <= 0 THEN 'total_not_positive' WHEN greatest(total, price) > 1000000000000 THEN 'implausibly_high'
              END AS reason
    FROM accepted;

CREATE OR REPLACE TABLE plausible AS
    SELECT * EXCLUDE (reason), concat_ws(chr(31), event_id, source, currency,
        CASE WHEN level = 'event' THEN '*' WHEN listing_id IS NOT NULL THEN '#' || listing_id
             ELSE '@' || chr(31) || coalesce(section, chr(29)) || chr(31) || coalesce("row", chr(29)) || chr(31) || coalesce(seat, chr(29))
        END) AS listing
    FROM held WHERE reason IS NULL;

-- A keyed listing's order is its partition's log, and a row older than the newest before it has no previous one.
-- An unkeyed listing's order is (event time, id), and late rows have no place in it.
CREATE OR REPLACE TABLE ordered AS
    SELECT *, off AS turn, 0 AS turn2,
        time >= coalesce(max(time) OVER (PARTITION BY listing ORDER BY part, off ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), time) AS compared
    FROM plausible WHERE keyed
    UNION ALL SELECT *, time, id, NOT late FROM plausible WHERE NOT keyed;

CREATE OR REPLACE TABLE moved AS
    SELECT *, total - previous AS change,
        CASE WHEN total < previous THEN -1 ELSE 1 END * ((abs(total - previous)::HUGEINT * 2000000 + previous) // (2 * previous)) AS percent
    FROM (SELECT *, lag(total) OVER w AS previous, lag(time) OVER w AS previous_time
          FROM ordered WHERE compared WINDOW w AS (PARTITION BY listing, keyed ORDER BY turn, turn2));

CREATE OR REPLACE VIEW price_history AS
    SELECT id, event_id, source, section, "row", seat, price, fees, total, currency, quantity, time, listing_id,
           listing_url, level, late FROM held WHERE reason IS NULL;
CREATE OR REPLACE VIEW quarantine AS SELECT id, event_id, source, total, time, late, reason FROM held WHERE reason IS NOT NULL;
CREATE OR REPLACE VIEW dead_letters AS SELECT id, part, off FROM judged WHERE id IN (FROM dead);
CREATE OR REPLACE VIEW price_changes AS
    SELECT id, event_id, source, section, "row", seat, listing_id, currency, level, previous, total, change, percent,
           previous_time, time FROM moved WHERE change <> 0;
CREATE OR REPLACE VIEW price_drop_alerts AS
    SELECT CAST(md5('default-drop:' || id) AS UUID) AS alert_id, event_id, event_name, venue, time, previous, total, -change AS drop_amount,
           -percent AS drop_percent, currency, section, "row", seat, source, listing_id, id FROM moved WHERE percent <= -$min_drop;
CREATE OR REPLACE VIEW events AS
    SELECT event_id, last(event_name ORDER BY time, id) FILTER (event_name IS NOT NULL) AS event_name,
           last(venue ORDER BY time, id) FILTER (event_name IS NOT NULL) AS venue,
           last(event_date ORDER BY time, id) FILTER (event_name IS NOT NULL) AS event_date
    FROM plausible GROUP BY event_id;
CREATE OR REPLACE VIEW price_windows AS
    WITH scoped AS (
        SELECT *, source AS s, CASE WHEN level = 'listing' THEN coalesce(section, '') ELSE '' END AS c FROM plausible WHERE NOT late
        UNION ALL SELECT *, '', '' FROM plausible WHERE NOT late AND level = 'listing'
    )
    SELECT event_id, s AS source, c AS section, level, currency, seconds, time - time % (seconds::BIGINT * 1000000) AS start,
           min(total) AS low, max(total) AS high, (2 * sum(total) + count(*)) // (2 * count(*)) AS average,
           first(total ORDER BY time, id) AS open, last(total ORDER BY time, id) AS close,
           count(*) AS observations, count(DISTINCT listing) AS listings
    FROM scoped, (VALUES (60), (3600), (86400)) AS sizes(seconds) GROUP BY ALL;
CREATE OR REPLACE VIEW lake AS
    SELECT id, event_id, source, section, "row", seat, price, fees, total, currency, quantity, time, listing_id,
           level, late, reason FROM held;
