"""Names of the event page's parts."""

EVENT, EVENT_HEAD, FIRST, BEGUN = "event", "event-head", "event-first", "event-begun"
NEWS = "event-news"  # changes when there is something new of what the page shows
TOLD = "event-told"  # what is known of that, before it is passed on
FIGURES = "key-figures"
WINDOW, METRIC, BASIS, ALIGN = "window", "metric", "event-basis", "event-align"
RANGE, SPAN = "event-range", "event-span"
SECTIONS, SOURCES, COMPARE = "sections", "sources", "event-compare"
CURRENCY, CURRENCY_BOX = "event-currency", "event-currency-box"
CHART, DRAWING, DRAWN, CHART_NOTE = "price-chart", "price-drawing", "event-drawn", "price-chart-note"
SCOPE, CHANGES, ALERTS = "scope", "changes", "alerts"
