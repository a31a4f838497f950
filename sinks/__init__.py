"""What goes out: Postgres, the lake, Kafka, and delivery of alerts from the outbox.

Every sink is a `FixedPartitionedSink` whose `snapshot()` is a barrier: Bytewax commits an epoch only once all that it
wrote is durable (docs/decisions/0003). All are written to be repeated: at-least-once input, effectively-once output.
"""
