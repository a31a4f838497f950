"""Replay and import: prices that were recorded once are published again, each exactly once. See `docs/guides/replay.md`.

python -m connectors.replay lake --since yesterday --until yesterday --speed 60 --shift
python -m connectors.replay file broadway.csv --map feeds/examples/broadway.toml
python -m connectors.replay topic raw_prices --into rehearsal_raw_prices
"""
