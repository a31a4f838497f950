"""Pages of one sentence that need no script: what became of a link that was followed."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape

from flask import Response

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7fa; --card: #fff; --line: #e6e9f0; --text: #1b1f2a; --muted: #5d6678; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0f1117; --card: #171a23; --line: #262b38; --text: #eceef4; --muted: #9aa3b5; }
}
body { margin: 0; padding: 12vh 16px; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 460px; margin: 0 auto; padding: 28px 32px; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; overflow-wrap: anywhere; }
h1 { margin: 0 0 8px; font-size: 22px; line-height: 1.25; }
p { margin: 0; color: var(--muted); }
button { margin-top: 20px; padding: 11px 20px; border: 0; border-radius: 9px; background: #4f46e5; color: #fff;
  font: inherit; font-weight: 600; cursor: pointer; }
button:focus-visible { outline: 2px solid var(--text); outline-offset: 2px; }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title} – ConScope</title><style>{style}</style></head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>"""
# Such a page may have a form and a style of its own, and nothing else. A browser that sends no referrer at all names no
# origin either, and a POST without one would be taken for a stranger's.
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Type": "text/html; charset=utf-8",
}


def plain_page(status: int, title: str, text: str, form: str = "") -> Response:
    """A page with a title and a sentence, both as text; `form` is markup of our own."""
    page = _PAGE.format(title=escape(title), text=escape(text), form=form, style=_STYLE)
    return Response(page, status, headers=_HEADERS)
