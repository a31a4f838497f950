"""Names of the sources page's parts."""

POLLED = "polled"
CHANGED = "sources-changed"  # a new value after every change that was made on this page
FIND, STATE, ENTRIES = "watchlist-find", "watchlist-state", "watchlist-entries"
REMOVAL, REMOVING, REMOVAL_TEXT, REMOVE, KEEP = (
    "watchlist-removal", "watchlist-removing", "watchlist-removal-text", "watchlist-remove", "watchlist-keep",
)  # fmt: skip
ADD, ADDING, KIND, PREVIEW, SAVE = (
    "watchlist-add", "watchlist-adding", "watchlist-kind", "watchlist-preview", "watchlist-save",
)  # fmt: skip
ARTIST, VENUE, CITY, SINCE, UNTIL, SOURCE, SOURCE_ID = (
    f"watchlist-{name}" for name in ("artist", "venue", "city", "since", "until", "source", "id")
)
IMPORT, IMPORTING, FILE, REPORT = "watchlist-import", "watchlist-importing", "watchlist-file", "watchlist-report"
LINK_FIND, LINK_KIND, LINK_ENTRY, LINKS, LINK_OF, LINK_ALL = (
    "links-find", "links-kind", "links-entry", "links-rows", "links-of", "links-all",
)  # fmt: skip
RELINKING, RELINKED, RELINK_TEXT, EVENT, RELINK = (
    "relinking", "relinked", "relink-text", "relink-event", "relink",
)  # fmt: skip
