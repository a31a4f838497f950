"""The dashboard: one live page over ConScope's Postgres tables. It reads, and writes nothing.

Run it with `python -m dash_app`.
"""
