-- From the log to its price rows. Inputs: the table `log` (part, off, key, value, log_ms) and the variables `stream` and
-- `lateness` (microseconds). Money is in micros, times in microseconds.

-- A field is {t: its JSON type, v: its text}; each message is parsed once. What is as wide as the log is a view: a log of
-- an hour at thousands a second is larger than memory.
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

CREATE OR REPLACE VIEW read AS
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

CREATE OR REPLACE VIEW parsed AS
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
    SELECT id, part, off, key, event_id.v AS event_id, source.v AS source, words(event_name) AS event_name,
        words(venue) AS venue, words(section) AS section, words("row") AS "row", words(seat) AS seat,
        words(listing_id) AS listing_id, words(seller_notes) AS seller_notes, coalesce(words(listing_url), words(url)) AS listing_url,
        coalesce(currency.v, 'USD') AS currency, coalesce(level.v, 'listing') AS level,
        coalesce(TRY_CAST(quantity.v AS INTEGER), 1) AS quantity, starts AS event_date,
        micros(price) AS price, micros(fees) AS fees,
        coalesce(micros(total_price), micros(price) + coalesce(micros(fees), 0)) AS total,
        coalesce(key = encode(event_id.v), false) AS keyed, time,
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
    FROM (SELECT *, instant("timestamp") AS time, CASE WHEN present(event_date) THEN instant(event_date) ELSE instant("date") END AS starts FROM parsed);

CREATE OR REPLACE TABLE accepted AS
    SELECT * EXCLUDE (key, well_formed), time < max(time) OVER (PARTITION BY part ORDER BY off) - $lateness AS late
    FROM judged WHERE well_formed;
CREATE OR REPLACE TABLE dead_letters AS SELECT id, part, off FROM judged WHERE NOT well_formed;
DROP TABLE judged;

-- Words that say that no ticket is sold here, whole and in any case.
CREATE OR REPLACE MACRO says(text, words) AS
    coalesce(regexp_matches(text, '(^|[^0-9a-z])(' || words || ')([^0-9a-z]|$)', 'i'), false);
CREATE OR REPLACE MACRO for_cars(place) AS
    says(place, 'parking|car ?park|car ?parks|garage|garages|shuttle|shuttles|valet|park and ride|park & ride|hotel package|hotel packages');
CREATE OR REPLACE TABLE held AS FROM (
    SELECT id, CASE WHEN price < 0 THEN 'negative_price' WHEN price = 0 THEN 'zero_price' WHEN fees < 0 THEN 'negative_fees'
                   WHEN total <= 0 THEN 'total_not_positive' WHEN greatest(total, price) > 1000000000000 THEN 'implausibly_high'
                   WHEN for_cars(section) OR for_cars("row")
                     OR says(event_name, '(parking|car ?park|shuttle|valet) (pass|passes|permits?|vouchers?|tickets?|only)|hotel packages?')
                     OR coalesce(regexp_matches(event_name, '^(parking|car ?park) ?[:(-]|[:(-] ?(parking|car ?park)\)?$', 'i'), false)
                     OR says(seller_notes, '(parking|car ?park|garage|shuttle|valet)( (pass|passes|permits?))? only')
                     OR says(seller_notes, 'not (a|an) ((event|concert|game|show) )?(ticket|admission)')
                     OR says(seller_notes, '(not|no|[a-z]+n''t) (valid for|include|includes|including) (any )?(event )?(admission|entry|(a )?tickets?)')
                   THEN 'not_a_ticket'
              END AS reason
    FROM accepted) WHERE reason IS NOT NULL;
CREATE OR REPLACE TABLE plausible AS
    SELECT *, concat_ws(chr(31), event_id, source, currency,
        CASE WHEN level = 'event' THEN '*' WHEN listing_id IS NOT NULL THEN '#' || listing_id
             ELSE '@' || chr(31) || coalesce(section, chr(29)) || chr(31) || coalesce("row", chr(29)) || chr(31) || coalesce(seat, chr(29))
        END) AS listing
    FROM accepted WHERE id NOT IN (SELECT id FROM held);
