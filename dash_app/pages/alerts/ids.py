"""Names of the alerts page's parts."""
