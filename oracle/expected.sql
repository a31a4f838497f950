-- From the log to every table. Inputs: the table `log` (part, off, key, value, log_ms) and the variables `stream`,
-- `lateness` (microseconds) and `min_drop` (ten-thousandths of a percent). Money is in micros, times in microseconds.

-- A field is {t: its JSON type, v: its text}; each message is parsed once.
CREATE OR REPLACE MACRO present(f) AS coalesce(f.t, 'NULL') <> 'NULL';
CREATE OR REPLACE MACRO micros(f) AS TRY_CAST(round_even(TRY_CAST(f.v AS DOUBLE) * 1000000, 0) AS BIGINT);
CREATE OR REPLACE MACRO is_money(f) AS
    NOT present(f)
    OR (f.t IN ('DOUBLE', 'BIGINT', 'UBIGINT') AND abs(TRY_CAST(f.v AS DOUBLE)) <= 999999999)
    OR (f.t = 'VARCHAR' AND regexp_full_match(f.v, '-?[0-9]{1,9}(\.[0-9]{1,18})?'));
CREATE OR REPLACE MACRO is_text(f, most) AS
    NOT present(f) OR (f.t = 'VARCHAR' AND length(f.v) <= most AND NOT regexp_matches(f.v, '[\x00\x1d\x1f]'));
CREATE OR REPLACE MACRO is_whole(f, least, most) AS
    NOT present(f) OR (f.t IN ('BIGINT', 'UBIGINT') AND TRY_CAST(f.v AS HUGEINT) BETWEEN least AND most);
CREATE OR REPLACE MACRO is_int64(f) AS is_whole(f, -9223372036854775808, 9223372036854775807);
CREATE OR REPLACE MACRO is_place(f) AS
    is_text(f, 200) OR is_int64(f) OR (f.t = 'DOUBLE' AND abs(TRY_CAST(f.v AS DOUBLE)) <= 1e15);
-- RFC 3339, UTC where no offset stands, seven digits and more of a second rounded to six.
CREATE OR REPLACE MACRO instant(f) AS
    CASE WHEN f.t = 'VARCHAR' AND regexp_full_match(f.v,
        '\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):?[0-5]\d)?')
    THEN epoch_us(TRY_CAST(regexp_replace(upper(f.v), '\.\d+', '')
             || CASE WHEN regexp_matches(f.v, '([Zz]|[+-]\d\d:?\d\d)$') THEN '' ELSE 'Z' END AS TIMESTAMPTZ))
         + (CAST(left(rpad(regexp_extract(f.v, '\.(\d+)', 1), 7, '0'), 7) AS BIGINT) + 5) // 10
    END;
CREATE OR REPLACE MACRO in_our_time(time) AS coalesce(time BETWEEN 0 AND 7258118400000000, false);
CREATE OR REPLACE MACRO words(f) AS
    CASE WHEN f.t <> 'DOUBLE' THEN nullif(f.v, '')
         WHEN TRY_CAST(f.v AS DOUBLE) = trunc(TRY_CAST(f.v AS DOUBLE))
         THEN CAST(TRY_CAST(TRY_CAST(f.v AS DOUBLE) AS BIGINT) AS VARCHAR)
         ELSE CAST(TRY_CAST(f.v AS DOUBLE) AS VARCHAR) END;
CREATE OR REPLACE MACRO bones(text) AS regexp_replace(text, '"(\\.|[^"\\])*"', '', 'g'); -- JSON without its strings
CREATE OR REPLACE MACRO paths() AS [
    '$.event_id', '$.source', '$.price', '$.timestamp', '$.event_date', '$.date', '$.event_name', '$.venue', '$.city',
    '$.state', '$.section', '$.row', '$.seat', '$.listing_id', '$.listing_url', '$.url', '$.delivery_method',
    '$.seller_notes', '$.fees', '$.total_price', '$.average_price', '$.median_price', '$.highest_price', '$.currency',
    '$.quantity', '$.level', '$.listing_count'
];

CREATE OR REPLACE TABLE read AS
    SELECT part, off, key, log_ms, ($stream << 52) | (CAST(part AS BIGINT) << 40) | off AS id,
           octet_length(value) AS bytes, coalesce(TRY(decode(value)), '') AS text, TRY_CAST(text AS JSON) AS j
    FROM log WHERE value IS NOT NULL;

-- Messages whose brackets nest too deep for the flow. Where exactly it gives up is the Python version's affair, between
-- here and a thousand.
CREATE OR REPLACE TABLE deep AS
    SELECT DISTINCT id FROM (
        SELECT id, sum(CASE WHEN mark IN ('[', '{') THEN 1 ELSE -1 END) OVER (PARTITION BY id ORDER BY i) AS depth
        FROM (SELECT id, unnest(marks) AS mark, generate_subscripts(marks, 1) AS i FROM (
                SELECT id, regexp_extract_all(bones(text), '[\[\]{}]') AS marks FROM read WHERE length(text) > 1000)
              WHERE len(marks) > 1000)
    ) WHERE depth > 500;

-- What DuckDB takes for JSON and is not: a comma before a closing bracket.
CREATE OR REPLACE TABLE lax AS
    SELECT id FROM read WHERE regexp_matches(text, ',\s*[\]}]') AND regexp_matches(bones(text), ',\s*[\]}]');

CREATE OR REPLACE TABLE parsed AS
    SELECT part, off, key, log_ms, id,
        coalesce(kind = 'OBJECT' AND bytes <= 1048576 AND id NOT IN (FROM deep) AND id NOT IN (FROM lax), false) AS readable,
        {t: types[1], v: texts[1]} AS event_id, {t: types[2], v: texts[2]} AS source,
        {t: types[3], v: texts[3]} AS price, {t: types[4], v: texts[4]} AS "timestamp",
        {t: types[5], v: texts[5]} AS event_date, {t: types[6], v: texts[6]} AS "date",
        {t: types[7], v: texts[7]} AS event_name, {t: types[8], v: texts[8]} AS venue,
        {t: types[9], v: texts[9]} AS city, {t: types[10], v: texts[10]} AS state,
        {t: types[11], v: texts[11]} AS section, {t: types[12], v: texts[12]} AS "row",
        {t: types[13], v: texts[13]} AS seat, {t: types[14], v: texts[14]} AS listing_id,
        {t: types[15], v: texts[15]} AS listing_url, {t: types[16], v: texts[16]} AS url,
        {t: types[17], v: texts[17]} AS delivery_method, {t: types[18], v: texts[18]} AS seller_notes,
        {t: types[19], v: texts[19]} AS fees, {t: types[20], v: texts[20]} AS total_price,
        {t: types[21], v: texts[21]} AS average_price, {t: types[22], v: texts[22]} AS median_price,
        {t: types[23], v: texts[23]} AS highest_price, {t: types[24], v: texts[24]} AS currency,
        {t: types[25], v: texts[25]} AS quantity, {t: types[26], v: texts[26]} AS level,
        {t: types[27], v: texts[27]} AS listing_count
    FROM (SELECT *, json_type(j) AS kind, json_type(j, paths()) AS types, j ->> paths() AS texts FROM read);

CREATE OR REPLACE TABLE judged AS
    SELECT *, instant("timestamp") AS time, CASE WHEN present(event_date) THEN instant(event_date) ELSE instant("date") END AS starts,
        coalesce(
            readable AND present(event_id) AND (is_text(event_id, 200) OR is_int64(event_id)) AND length(event_id.v) > 0
            AND present(source) AND is_text(source, 200) AND length(source.v) > 0
            AND present(price) AND is_money(price) AND is_money(fees) AND is_money(total_price)
            AND is_money(average_price) AND is_money(median_price) AND is_money(highest_price)
            AND in_our_time(time) AND (log_ms < 0 OR time // 1000 - log_ms <= 300000)
            AND (in_our_time(starts) OR NOT (present(event_date) OR present("date")))
            AND (NOT present("date") OR instant("date") IS NOT NULL)
            AND is_place(section) AND is_place("row") AND is_place(seat) AND is_place(listing_id)
            AND is_text(event_name, 8192) AND is_text(venue, 8192) AND is_text(city, 8192) AND is_text(state, 8192)
            AND is_text(listing_url, 8192) AND is_text(url, 8192) AND is_text(delivery_method, 8192) AND is_text(seller_notes, 8192)
            AND is_whole(quantity, 1, 1000000) AND is_whole(listing_count, 0, 1000000000000)
            AND (NOT present(currency) OR regexp_full_match(currency.v, '[A-Z]{3}'))
            AND (NOT present(level) OR level.v IN ('listing', 'event')),
        false) AS well_formed
    FROM parsed;

CREATE OR REPLACE TABLE accepted AS
    SELECT id, part, off, time, event_id.v AS event_id, source.v AS source, words(event_name) AS event_name,
        words(venue) AS venue, words(section) AS section, words("row") AS "row", words(seat) AS seat,
        words(listing_id) AS listing_id, coalesce(words(listing_url), words(url)) AS listing_url,
        coalesce(currency.v, 'USD') AS currency, coalesce(level.v, 'listing') AS level,
        coalesce(TRY_CAST(quantity.v AS INTEGER), 1) AS quantity, starts AS event_date,
        micros(price) AS price, micros(fees) AS fees,
        coalesce(micros(total_price), micros(price) + coalesce(micros(fees), 0)) AS total,
        coalesce(key = encode(event_id.v), false) AS keyed,
        time < max(time) OVER (PARTITION BY part ORDER BY off) - $lateness AS late
    FROM judged WHERE well_formed;

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
CREATE OR REPLACE VIEW dead_letters AS SELECT id, part, off FROM judged WHERE NOT well_formed;
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
