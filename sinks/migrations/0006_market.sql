-- What the dashboard's market page reads: windows of whole events, by time. Minute windows, the bulk of what is written,
-- are left out, and no column of it ever changes, so that a window's amendments stay cheap.
CREATE INDEX price_windows_market ON price_windows (window_seconds, window_start, event_id)
    WHERE window_seconds > 60 AND section = '' AND (source = '' OR level = 'event');
