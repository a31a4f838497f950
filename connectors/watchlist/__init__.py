"""What to follow: the entries of the watchlist, and which events of which sources they brought."""

from connectors.watchlist.entries import Entry, WatchlistError, load
from connectors.watchlist.store import Link, Stored, Synced, Watched, Watchlist, own_event_id

__all__ = ["Entry", "Link", "Stored", "Synced", "Watched", "Watchlist", "WatchlistError", "load", "own_event_id"]
