"""What the tables must hold: computed anew from the log, in SQL, apart from the pipeline.

    python -m oracle            compare Postgres and the lake with the topic; exit status 1 when they differ

It shares no code with the flow: the log is read with a consumer of its own and judged in DuckDB by `rows.sql`,
`doubt.py` and `expected.sql`.
Chaos runs, benchmarks, tests and the demo all end with it.
"""
