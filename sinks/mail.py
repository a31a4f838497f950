"""The sender for an e-mail address, by SMTP: text and HTML, with a link that mutes the rule (RFC 2369, RFC 8058)."""

from __future__ import annotations

import hashlib
import re
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr
from html import escape

from sinks.sender import Answer, BadAddress, Outcome, fingerprint, printable
from sinks.words import EACH_UP_TO, Notice, cut, headline, selected, sparkline

SHAPE = "must look like mailto:someone@example.com"

_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
_POLICY = SMTP.clone(cte_type="7bit", max_line_length=200)  # any server takes it; a link is not folded
_LISTED = 40
_TIMEOUT = 60.0  # seconds for one answer
_AT_MOST_EVERY = 60.0  # seconds: what comes meanwhile goes into one mail


@dataclass(frozen=True)
class Server:
    """The SMTP server that takes our mail.

    Args:
        host, port: of the server.
        sender: what stands in From, "ConScope <alerts@example.com>" or the address alone.
        user, password: to log in with; None where it asks for none.
        security: "starttls", "tls" from the first byte on, or "none".

    Raises:
        BadAddress: `sender` is no address.
    """

    host: str
    port: int
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security: str = "starttls"

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(parseaddr(self.sender)[1]):
            raise BadAddress("SMTP_FROM must be an address, as in ConScope <alerts@example.com>")

    def open(self) -> smtplib.SMTP:
        """A connection that is ready for a message.

        Raises:
            smtplib.SMTPException, OSError: as smtplib does.
        """
        secured = ssl.create_default_context() if self.security != "none" else None
        if self.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT, context=secured)
        else:
            smtp = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT)
        try:
            if self.security == "starttls":
                smtp.starttls(context=secured)
            if self.user:
                smtp.login(self.user, self.password or "")
        except BaseException:
            smtp.close()
            raise
        return smtp


class Mailbox:
    """One e-mail address.

    Args:
        address: `someone@example.com`.
        server: what to send by.

    Raises:
        BadAddress: no single plain address.
    """

    service = "mail"
    mutes = True

    def __init__(self, address: str, server: Server) -> None:
        if not _ADDRESS.fullmatch(address) or len(address) > 254:
            raise BadAddress(SHAPE)
        self.fingerprint = fingerprint(address)
        self._address = address
        self._server = server

    def send(self, notices: Sequence[Notice], mute: str | None = None) -> Answer:
        """Hand one mail to the server. Never raises for what the other side does."""
        mail = message(notices, self._address, self._server.sender, mute)
        handed_over = False
        try:
            smtp = self._server.open()
            try:
                smtp.ehlo_or_helo_if_needed()
                for reply in (smtp.mail(parseaddr(self._server.sender)[1]), smtp.rcpt(self._address)):
                    if reply[0] not in (250, 251, 252):
                        return self._refusal(*reply, Outcome.BARRED)
                handed_over = True
                answer = self._taken(*smtp.data(mail.as_bytes()), str(mail["Message-ID"]))
            finally:
                with suppress(smtplib.SMTPException, OSError):
                    smtp.putcmd("quit")  # politely, but nothing waits for its answer
                smtp.close()
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            return Answer(Outcome.BARRED, error=type(error).__name__)
        except smtplib.SMTPResponseException as error:
            return self._refusal(error.smtp_code, error.smtp_error, Outcome.REFUSED if handed_over else Outcome.BARRED)
        except (smtplib.SMTPException, OSError) as error:
            return Answer(Outcome.LOST if handed_over else Outcome.AGAIN, error=type(error).__name__)
        return answer

    def _taken(self, code: int, said: bytes, message_id: str) -> Answer:
        if code == 250:
            return Answer(Outcome.SENT, _AT_MOST_EVERY, message_id=message_id)
        return self._refusal(code, said, Outcome.REFUSED)

    def _refusal(self, code: int, said: bytes | str, lasting: Outcome) -> Answer:
        """What a reply that is no yes means; `lasting` if it is a 5xx. Such replies like to repeat the address."""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        error = printable(f"SMTP {code} {' '.join(text.split())}".replace(self._address, "***"))
        if code < 500:
            return Answer(Outcome.AGAIN, error=error)
        # RFC 3463: 5.1.x says that there is no such address.
        return Answer(Outcome.GONE if re.match(r"5\.1\.[0-9]", text) else lasting, error=error)


def message(notices: Sequence[Notice], to: str, sender: str, mute: str | None) -> EmailMessage:
    """The mail for some notices: each in full, or the biggest of many in a list."""
    name, address = parseaddr(sender)
    mail = EmailMessage(policy=_POLICY)
    mail["Subject"] = cut(notices[0].title if len(notices) == 1 else headline(notices), 180)
    mail["From"] = Address(name, addr_spec=address)
    mail["To"] = to
    mail["Date"] = formatdate()
    # The same alerts make the same id, so that a mail program can tell a repeat.
    identity = hashlib.sha256(" ".join(sorted(one.id for one in notices)).encode()).hexdigest()[:32]
    mail["Message-ID"] = f"<{identity}@{address.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if mute:
        mail["List-Unsubscribe"] = f"<{mute}>"
        if mute.startswith("https://"):
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(_text(notices, mute))
    mail.add_alternative(_html(notices, mute), subtype="html")
    return mail


def _text(notices: Sequence[Notice], mute: str | None) -> str:
    if len(notices) <= EACH_UP_TO:
        parts = ["\n".join(filter(None, (
            one.title, *one.lines, sparkline(one.path), f"{one.origin}, {one.when:%Y-%m-%d %H:%M} UTC", one.link,
        ))) for one in notices]  # fmt: skip
    else:
        told = selected(notices, _LISTED)
        lines = [" ".join(filter(None, (one.change, one.short))) for one in told]
        if len(notices) > len(told):
            lines.append(f"… and {len(notices) - len(told):,} more")
        parts = [headline(notices), "\n".join(lines)]
    if mute:
        parts.append(f"Mute: {mute}")
    return "\n\n".join(parts) + "\n"


# Mail programs know neither style sheets nor SVG for certain, but tables and style attributes.
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{title}</title></head>
<body style="margin:0;padding:24px 12px;background:#f6f7fa;color:#1b1f2a;font:15px/1.5 system-ui,-apple-system,'Segoe UI',\
Roboto,sans-serif"><div style="max-width:560px;margin:0 auto">
{cards}
<p style="color:#5d6678;font-size:13px;text-align:center">{foot}</p>
</div></body></html>
"""
_CARD = """\
<div style="background:#ffffff;border:1px solid #e6e9f0;border-radius:12px;padding:20px 24px;margin-bottom:16px;\
overflow-wrap:anywhere">
{inside}
</div>"""
_BUTTON = (
    "display:inline-block;margin-top:14px;padding:9px 16px;border-radius:8px;background:#4f46e5;color:#ffffff;"
    "text-decoration:none;font-weight:600"
)


def _html(notices: Sequence[Notice], mute: str | None) -> str:
    cards = [_card(one) for one in notices] if len(notices) <= EACH_UP_TO else [_list(notices)]
    link = f' · <a href="{escape(mute)}" style="color:#5d6678">Mute</a>' if mute else ""
    return _PAGE.format(
        title=escape(headline(notices)), cards="\n".join(_CARD.format(inside=card) for card in cards), foot=f"ConScope{link}"
    )  # fmt: skip


def _card(one: Notice) -> str:
    first, *rest = map(escape, one.lines or ("",))
    inside = [
        f'<h1 style="margin:0 0 6px;font-size:19px;line-height:1.3">{escape(one.title)}</h1>',
        f'<p style="margin:0 0 8px;font-weight:600;color:{"#067647" if one.weight > 0 else "#1b1f2a"}">{first}</p>',
        *(f'<p style="margin:0">{line}</p>' for line in rest),
        _bars(one.path),
        f'<p style="margin:8px 0 0;color:#5d6678;font-size:13px">{escape(one.origin)} · {one.when:%Y-%m-%d %H:%M} UTC</p>',
    ]
    if one.link:
        inside.append(f'<a href="{escape(one.link)}" style="{_BUTTON}">See the listing</a>')
    return "\n".join(filter(None, inside))


def _bars(path: Sequence[float]) -> str:
    """The recent prices as a row of bars, the last one dark."""
    if len(path) < 3:
        return ""
    low, high = min(path), max(path)
    heights = [6 + round((price - low) / (high - low) * 34) if high > low else 20 for price in path]
    cells = "".join(
        f'<td style="vertical-align:bottom;padding:0 1px"><div style="width:9px;height:{height}px;border-radius:2px;'
        f'background:{"#2f9e68" if last else "#c7ccd8"}"></div></td>'
        for height, last in zip(heights, [False] * (len(path) - 1) + [True], strict=True)
    )
    label = f"Recent prices, from {path[0]:,.2f} to {path[-1]:,.2f}"
    return f'<table role="img" aria-label="{label}" style="border-spacing:0;margin-top:12px"><tr>{cells}</tr></table>'


def _list(notices: Sequence[Notice]) -> str:
    told = selected(notices, _LISTED)
    rows = []
    for one in told:
        text = escape(one.short)
        linked = f'<a href="{escape(one.link)}" style="color:#1b1f2a">{text}</a>' if one.link else text
        rows.append(f'<p style="margin:0 0 6px"><b style="color:#067647">{escape(one.change)}</b> {linked}</p>')
    if len(notices) > len(told):
        rows.append(f'<p style="margin:0;color:#5d6678">… and {len(notices) - len(told):,} more</p>')
    title = f'<h1 style="margin:0 0 12px;font-size:19px;line-height:1.3">{escape(headline(notices))}</h1>'
    return "\n".join([title, *rows])
