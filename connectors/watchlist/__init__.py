"""What to follow: the entries of the watchlist, and which events of which sources they brought."""

from analytics.watchlist import Entry, WatchlistError
from analytics.watchstore import Link, Stored, own_event_id
from connectors.watchlist.entries import load
from connectors.watchlist.store import Synced, Watched, Watchlist

__all__ = ["Entry", "Link", "Stored", "Synced", "Watched", "Watchlist", "WatchlistError", "load", "own_event_id"]
