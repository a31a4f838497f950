"""Names of the alerts page's parts."""

CHANGED, DRAWN, MOVED, LOGGED = "alerts-changed", "alerts-drawn", "alerts-moved", "alerts-logged"

SUMMARY, WORDS, STATE, PAGE, CARDS, DEFAULT = (
    "alerts-summary", "alerts-words", "alerts-state", "alerts-page", "alerts-cards", "alerts-default",
)  # fmt: skip
CHANNELS, QUIET_NOTE = "alerts-channels", "alerts-quiet-note"
LOG, LOG_NOTE, LOG_RULE, LOG_EVENT, LOG_STATE, LOG_PAGE = (
    "alerts-log", "alerts-log-note", "alerts-log-rule", "alerts-log-event", "alerts-log-state", "alerts-log-page",
)  # fmt: skip

DRAWER, FORM, EDITED, SAVE, CANCEL, ERROR = (
    "alerts-drawer", "alerts-form", "alerts-edited", "alerts-save", "alerts-cancel", "alerts-error",
)  # fmt: skip
ASKED, ANSWERED, TRIAL, TRIAL_CHART, TRIAL_LIST, VERDICT = (
    "alerts-asked", "alerts-answered", "alerts-trial", "alerts-trial-chart", "alerts-trial-list", "alerts-verdict",
)  # fmt: skip
WHY_DRAWER, WHY_RULE, WHY_EVENT, WHY_PANEL = (
    "alerts-why-drawer", "alerts-why-rule", "alerts-why-event", "alerts-why-panel",
)  # fmt: skip
CONFIRM, CONFIRM_TEXT, CONFIRM_YES, CONFIRM_NO, DOOMED = (
    "alerts-confirm", "alerts-confirm-text", "alerts-confirm-yes", "alerts-confirm-no", "alerts-doomed",
)  # fmt: skip


def field(name: str) -> str:
    """The part of the form for a field of `fields.BLANK`."""
    return f"alerts-rule-{name}"
