"""Names of the pipeline page's parts."""

VERDICT, HEALTH = "pipeline-verdict", "health"
METRIC, SPAN, CHART, DRAWING, WORDS = (
    "pipeline-metric", "pipeline-span", "pipeline-chart", "pipeline-drawing", "pipeline-words",
)  # fmt: skip
PARTITIONS, SINKS, CHANNELS, STORAGE = (
    "pipeline-partitions", "pipeline-sinks", "pipeline-channels", "pipeline-storage",
)  # fmt: skip
STATE, REASON, EVENT, HELD, DECIDED, LAST, UNDO = (
    "quarantine-state", "quarantine-reason", "quarantine-event", "quarantine-rows", "quarantine-decided",
    "quarantine-last", "quarantine-undo",
)  # fmt: skip
DEAD, DEAD_REASON, LETTER, LETTER_TEXT = "dead-letters", "dead-reason", "dead-letter", "dead-letter-text"
