"""Everything `make demo` and the tests need on a machine with nothing but Python.

An embedded Postgres, an in-process Kafka broker, a Discord stand-in and the supervisor that ties them to the
real flow and dashboard. Nothing in production imports this package.
"""
