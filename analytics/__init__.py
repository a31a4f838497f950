"""The domain: frames and plain values in, frames and plain values out.

No I/O, no clock, no environment; the same functions run on a live batch and on the lake in a notebook.
The one exception is `analytics.lake`, the read-only queries that notebooks and the dashboard share.
"""
