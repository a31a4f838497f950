"""Faults on the real services, each ending with the oracle's comparison: `make chaos`, or `python -m chaos --help`.

Kafka, Postgres, the flow's processes, the disk and Discord are real or behave as real ones do; a run is drawn from a seed,
which is printed, and plays again with it.
"""
