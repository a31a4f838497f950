"""Names of the market page's parts."""
