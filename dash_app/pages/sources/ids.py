"""Names of the sources page's parts."""

POLLED = "polled"
