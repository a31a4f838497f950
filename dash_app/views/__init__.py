"""Pieces of the page: pure functions from frames and figures to components. Outside strings are only ever children."""
