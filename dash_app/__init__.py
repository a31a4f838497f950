"""The dashboard: one live page over ConScope's Postgres tables. It reads, and writes nothing but what mutes a rule.

Run it with `python -m dash_app`.
"""
