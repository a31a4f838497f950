"""Names of the pipeline page's parts."""

HEALTH, SPARK, DEAD = "health", "rate-chart", "dead-letters"
