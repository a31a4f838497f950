"""Names of the market page's parts."""

WORDS, WHEN, SOURCES, MOST, CLEAR = "market-words", "market-when", "market-sources", "market-most", "market-clear"
GRID, SORT, COUNT = "market-grid", "market-sort", "market-count"
SUMMARY, DROPS, TAPE, TAPE_HEAD = "market-summary", "market-drops", "market-tape", "market-tape-head"
VERSION = "market-version"  # of the table that the grid shows; changes when a row does
