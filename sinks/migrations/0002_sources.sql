-- What is followed, what each source calls it, and how each source is doing.

-- What to follow: one event of one source by its id, or whatever matches a query, at every source or at one.
CREATE TABLE watchlist (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source     text,                       -- null: every source
    source_id  text,                       -- the source's own id of an event; null for a query
    text       text,                       -- the query's parts; all that are given must match
    venue      text,
    city       text,
    since      date,
    until      date,
    active     boolean NOT NULL DEFAULT true,
    origin     text NOT NULL DEFAULT 'table', -- 'file': stands in the watchlist file, and goes when it goes there
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (source_id IS NULL OR (source IS NOT NULL AND num_nonnulls(text, venue, city, since, until) = 0)),
    CHECK (coalesce(source_id, nullif(text, ''), nullif(venue, ''), nullif(city, '')) IS NOT NULL),
    CHECK (since <= until),
    UNIQUE NULLS NOT DISTINCT (source, source_id, text, venue, city, since, until)
);

-- Every event of a source that is or was followed, and which of ConScope's events it is.
CREATE TABLE source_events (
    source      text NOT NULL,
    source_id   text NOT NULL,
    event_id    text,                      -- ConScope's: that of the first source that listed it; null while the
                                           -- source has not said what it is (an id that it does not know)
    name        text NOT NULL,
    venue       text,
    city        text,
    state       text,
    local_date  date,                      -- at the venue
    starts      timestamptz,               -- null while the time is not announced
    performers  text[] NOT NULL DEFAULT '{}',
    url         text,
    status      text,
    score       double precision NOT NULL, -- how sure the match is, 0 to 1; 1 for the first of its event
    evidence    jsonb NOT NULL,            -- what the match rests on: see analytics.matching.Match
    decided_by  text NOT NULL DEFAULT 'match' CHECK (decided_by IN ('match', 'user')),
    gone        text,                      -- why it is looked at no more
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, source_id)
);
CREATE INDEX source_events_event ON source_events (event_id);
CREATE INDEX source_events_date ON source_events (local_date);

-- Which entries of the watchlist brought which events.
CREATE TABLE watched (
    watchlist_id bigint NOT NULL REFERENCES watchlist ON DELETE CASCADE,
    source       text NOT NULL,
    source_id    text NOT NULL,
    PRIMARY KEY (watchlist_id, source, source_id),
    FOREIGN KEY (source, source_id) REFERENCES source_events
);

-- Each source's state, as ingestion last saw it.
CREATE TABLE source_status (
    source           text PRIMARY KEY,
    state            text NOT NULL CHECK (state IN ('starting', 'polling', 'idle', 'waiting', 'held', 'refused')),
    detail           text,                 -- what happened, and what to do; never a secret
    watched          integer NOT NULL,     -- events that it looks at
    priced           integer NOT NULL,     -- of these, had a price when last looked at
    unpriced         integer NOT NULL,     -- of these, had none: normal, and never a zero
    calls_a_day      integer NOT NULL,     -- its budget
    calls_spent      integer NOT NULL,     -- in the last 24 hours
    calls_left       integer NOT NULL,     -- by our count and by what the source says
    calls_planned    integer NOT NULL,     -- in the next 24 hours
    last_answer      timestamptz,
    next_look        timestamptz,
    updated_at       timestamptz NOT NULL
);
