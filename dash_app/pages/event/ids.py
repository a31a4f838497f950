"""Names of the event page's parts."""

EVENT, EVENT_HEAD = "event", "event-head"
FIGURES = "key-figures"
WINDOW, METRIC, SECTIONS, SOURCES = "window", "metric", "sections", "sources"
CHART, DRAWING, CHART_NOTE = "price-chart", "price-drawing", "price-chart-note"
SCOPE, CHANGES, ALERTS = "scope", "changes", "alerts"
