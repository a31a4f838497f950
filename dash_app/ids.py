"""Names of the parts around every page. A page's own parts are named in its package, with its name in front."""

URL, BEAT, TICK, SLOW = "url", "beat", "tick", "slow"
ZONE, SCHEME, TOGGLE = "zone", "scheme", "scheme-toggle"
PRICES, HEALTH_TOKEN, HEARTBEAT, WRITTEN = "prices-token", "health-token", "heartbeat", "written"
FRAME, STAGE, NOTICE, OFFLINE, PAGE, TOASTS = "frame", "stage", "notice", "offline", "page", "toasts"
LINK, LINK_TEXT, NAVIGATION = "link", "link-text", "navigation"
