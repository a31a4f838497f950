-- Doubted prices: which of them turned out to be true, and what people say of them.

-- Written by the flow: a doubted price that stayed, and the accepted price row that showed it to be true. The held row
-- was not known to be true in its time, so it stays out of price_history and the windows.
CREATE TABLE quarantine_releases (
    id          bigint PRIMARY KEY,        -- of the row in quarantine
    released_by bigint NOT NULL            -- of the price row
);
CREATE INDEX quarantine_releases_by ON quarantine_releases (released_by);

-- Written by people, through the two functions below. The flow only ever adds rows here and leaves those that are there.
ALTER TABLE quarantine
    ADD COLUMN reviewed    text CHECK (reviewed IN ('released', 'confirmed')),
    ADD COLUMN reviewed_at timestamptz;
CREATE INDEX quarantine_event ON quarantine (event_id, "timestamp");

-- Everything in quarantine and what became of it: 'held', 'released' (by a person, or because the price stayed) or
-- 'confirmed' to be wrong. What a person says goes first.
CREATE VIEW quarantined AS
    SELECT q.*, r.released_by,
           coalesce(q.reviewed, CASE WHEN r.released_by IS NULL THEN 'held' ELSE 'released' END) AS state
    FROM quarantine q LEFT JOIN quarantine_releases r USING (id);

-- "This price was right": it enters price_history. Windows, changes and alerts stay as the log made them. Whether there
-- is such a row in quarantine. To say so again changes nothing.
CREATE FUNCTION release_quarantined(which bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE quarantine SET reviewed = 'released', reviewed_at = now() WHERE id = which AND reviewed IS DISTINCT FROM 'released';
    INSERT INTO price_history (
        id, event_id, source, section, "row", seat, price, fees, total_price, currency, quantity, "timestamp", listing_id,
        listing_url, delivery_method, seller_notes, level, average_price, median_price, highest_price, listing_count, late)
    SELECT
        id, event_id, source, section, "row", seat, price, fees, total_price, currency, quantity, "timestamp", listing_id,
        listing_url, delivery_method, seller_notes, level, average_price, median_price, highest_price, listing_count, late
    FROM quarantine WHERE id = which
    ON CONFLICT DO NOTHING;
    RETURN EXISTS (SELECT FROM quarantine WHERE id = which);
END $$;

-- "This price was wrong": takes a release by hand back, and says that somebody has looked.
CREATE FUNCTION confirm_quarantined(which bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE quarantine SET reviewed = 'confirmed', reviewed_at = now() WHERE id = which AND reviewed IS DISTINCT FROM 'confirmed';
    DELETE FROM price_history WHERE id = which AND id IN (SELECT id FROM quarantine WHERE id = which);
    RETURN EXISTS (SELECT FROM quarantine WHERE id = which);
END $$;
