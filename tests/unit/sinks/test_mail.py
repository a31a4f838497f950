"""Mails: what stands in them, and what an SMTP server's answers mean."""

from __future__ import annotations

import asyncio
import email
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from local.postgres import free_port
from sinks import mail
from sinks.mail import Mailbox, Server
from sinks.sender import Outcome
from tests.unit.sinks.notices import alert, bursts, told

TO = "canary-someone@example.com"
FROM = "ConScope alerts <alerts@conscope.example>"
MUTE = "https://prices.example/mute/token"


class Post:
    """A mail server that keeps what it takes, and says what it is told to."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.replies: dict[str, Any] = {}

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return await self._say("MAIL", "250 ok")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        envelope.rcpt_tos.append(address)
        return await self._say("RCPT", "250 ok")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        said = await self._say("DATA", "250 ok")
        if said.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            assert envelope.rcpt_tos == [TO]
            self.taken.append(message)
        return said

    async def _say(self, verb: str, usual: str) -> str:
        reply = self.replies.get(verb, usual)
        return await reply() if callable(reply) else str(reply)


@pytest.fixture
def post() -> Iterator[tuple[Post, Server]]:
    handler = Post()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, Server("127.0.0.1", controller.port, FROM, security="none")
    controller.stop()


def parts(message: EmailMessage) -> tuple[str, str]:
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def made(*alerts: Any, mute: str | None = None) -> EmailMessage:
    return mail.message(told(*alerts), TO, FROM, mute)


# --- what stands in them


def test_a_mail_arrives_with_text_and_html(post: tuple[Post, Server]) -> None:
    handler, server = post
    answer = Mailbox(TO, server).send(told(alert(rule_id=7, rule_name="Floor seats", cause="at or below $200")), MUTE)
    assert answer.outcome is Outcome.SENT
    (message,) = handler.taken
    assert answer.message_id == message["Message-ID"]
    assert message["Subject"] == "Taylor Swift: $199.99 (−20.0 %)"
    assert (message["From"], message["To"]) == (FROM, TO)
    text, html = parts(message)
    for said in (text, html):
        assert "All-in per ticket: $250.00 → $199.99" in said
        assert "Rule “Floor seats”: at or below $200" in said
        assert "https://seatgeek.com/listing/1" in said
        assert MUTE in said
    assert message["List-Unsubscribe"] == f"<{MUTE}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Auto-Submitted"] == "auto-generated"


def test_without_a_link_there_is_none() -> None:
    message = made(alert())
    assert "List-Unsubscribe" not in message
    assert "Mute" not in "".join(parts(message))


def test_one_click_is_offered_over_https_only() -> None:
    message = made(alert(), mute="http://localhost:8050/mute/token")
    assert message["List-Unsubscribe"]
    assert "List-Unsubscribe-Post" not in message


def test_the_same_alerts_have_the_same_id() -> None:
    assert made(alert(1), alert(2))["Message-ID"] == made(alert(2), alert(1))["Message-ID"]
    assert made(alert(1))["Message-ID"] != made(alert(2))["Message-ID"]
    assert made(alert(1))["Message-ID"].endswith("@conscope.example>")


def test_many_are_joined_and_the_biggest_listed() -> None:
    message = made(*(alert(n, event_id=f"e{n}") for n in range(300)))
    assert message["Subject"] == "300 price alerts at 300 events"
    for said in parts(message):
        assert said.count("Taylor Swift") == 40
        assert "… and 260 more" in said


def test_recent_prices_are_drawn() -> None:
    notices = told(alert())
    one = notices[0].__class__(**{**vars_of(notices[0]), "path": (250.0, 240.0, 199.99)})
    text, html = parts(mail.message([one], TO, FROM, None))
    assert "█▇▁" in text
    assert html.count("vertical-align:bottom") == 3
    assert 'aria-label="Recent prices, from 250.00 to 199.99"' in html


def vars_of(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


class Look(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]


@hypothesis_settings(max_examples=25)
@given(bursts, st.none() | st.just(MUTE))
def test_whatever_alerts_say_a_mail_is_one_mail_and_no_more(alerts: list[Any], mute: str | None) -> None:
    message = made(*alerts, mute=mute)
    raw = message.as_bytes()
    assert all(byte < 128 for byte in raw), "a server without 8BITMIME could not take it"
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    read = email.message_from_bytes(raw, policy=default)
    assert isinstance(read, EmailMessage)
    expected = {"Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert set(read.keys()) == expected | ({"List-Unsubscribe", "List-Unsubscribe-Post"} if mute else set())
    assert read["To"] == TO
    look = Look()
    look.feed(parts(read)[1])
    assert look.tags <= {"html", "head", "meta", "title", "body", "div", "h1", "p", "b", "a", "table", "tr", "td"}
    assert all(link.startswith(("https://", "http://")) for link in look.links)


# --- what answers mean


@pytest.mark.parametrize(
    ("verb", "reply", "outcome"),
    [
        ("MAIL", "550 5.7.1 not you", Outcome.BARRED),
        ("MAIL", "451 4.3.0 later", Outcome.AGAIN),
        ("RCPT", "450 4.2.0 greylisted", Outcome.AGAIN),
        ("RCPT", "550 5.1.1 no such user", Outcome.GONE),
        ("RCPT", "550 5.7.1 policy", Outcome.BARRED),
        ("RCPT", f"550 5.7.1 <{TO}> is not welcome", Outcome.BARRED),
        ("DATA", "554 5.6.0 looks like spam", Outcome.REFUSED),
        ("DATA", "452 4.3.1 disk full", Outcome.AGAIN),
    ],
)
def test_a_refusal_is_understood(post: tuple[Post, Server], verb: str, reply: str, outcome: Outcome) -> None:
    handler, server = post
    handler.replies[verb] = reply
    answer = Mailbox(TO, server).send(told(alert()))
    assert answer.outcome is outcome
    assert answer.error == f"SMTP {reply.replace(TO, '***')}"
    assert handler.taken == []


def test_a_server_that_is_away_is_tried_again() -> None:
    answer = Mailbox(TO, Server("127.0.0.1", free_port(), FROM, security="none")).send(told(alert()))
    assert (answer.outcome, answer.error) == (Outcome.AGAIN, "ConnectionRefusedError")


def _smtp(lines: list[bytes | None]) -> tuple[int, threading.Thread, socket.socket]:
    """A server that says these lines, one at the start and one for each line that comes; None ends the connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb") as stream:
            for line in lines:
                if line is None:
                    return
                stream.write(line + b"\r\n")
                stream.flush()
                said = stream.readline()
                if line.startswith(b"354"):
                    while said not in (b".\r\n", b""):
                        said = stream.readline()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return listening.getsockname()[1], thread, listening


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([b"220 hi", None], Outcome.AGAIN),
        ([b"220 hi", b"250 hi", None], Outcome.AGAIN),
        ([b"220 hi", b"250 hi", b"250 ok", None], Outcome.AGAIN),
        ([b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go", None], Outcome.LOST),
        ([b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go", b"250 taken", None], Outcome.SENT),
    ],
)
def test_a_connection_that_ends_is_lost_only_after_the_mail_was_handed_over(
    lines: list[bytes | None], outcome: Outcome
) -> None:
    port, thread, listening = _smtp(lines)
    answer = Mailbox(TO, Server("127.0.0.1", port, FROM, security="none")).send(told(alert()))
    thread.join(10)
    listening.close()
    assert answer.outcome is outcome


def test_starttls_is_not_given_up_quietly(post: tuple[Post, Server]) -> None:
    handler, server = post
    answer = Mailbox(TO, Server(server.host, server.port, FROM, security="starttls")).send(told(alert()))
    assert (answer.outcome, answer.error) == (Outcome.BARRED, "SMTPNotSupportedError")
    assert handler.taken == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")
@pytest.mark.parametrize(("password", "outcome"), [("right", Outcome.SENT), ("wrong-canary", Outcome.BARRED)])
def test_it_logs_in(password: str, outcome: Outcome) -> None:
    handler = Post()

    def check(server: Any, session: Any, envelope: Any, mechanism: str, given_login: Any) -> AuthResult:
        return AuthResult(success=given_login.password == b"right", handled=False)

    controller = Controller(
        handler, hostname="127.0.0.1", port=free_port(), authenticator=check, auth_required=True, auth_require_tls=False
    )
    controller.start()
    try:
        server = Server("127.0.0.1", controller.port, FROM, "me", password, "none")
        answer = Mailbox(TO, server).send(told(alert()))
    finally:
        controller.stop()
    assert answer.outcome is outcome
    assert "canary" not in f"{answer} {server}"


def test_nothing_that_is_said_shows_the_address(
    post: tuple[Post, Server], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    handler, server = post
    caplog.set_level(logging.DEBUG, "sinks")
    box = Mailbox(TO, server)
    said: list[Any] = [box, box.fingerprint, server]
    replies: list[tuple[str, str | Callable[[], Any]]] = [("RCPT", f"550 <{TO}> no"), ("DATA", f"550 <{TO}> no")]
    for verb, reply in replies:
        handler.replies = {verb: reply}
        said.append(box.send(told(alert())))
    printed = capfd.readouterr()
    assert TO not in f"{said} {caplog.text} {printed.out} {printed.err}"


def test_a_slow_server_holds_up_nobody_for_ever(post: tuple[Post, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    handler, server = post

    async def sleep() -> str:
        await asyncio.sleep(0.5)
        return "250 ok"

    handler.replies["DATA"] = sleep
    monkeypatch.setattr(mail, "_TIMEOUT", 0.1)
    answer = Mailbox(TO, server).send(told(alert()))
    assert (answer.outcome, answer.error) == (Outcome.LOST, "SMTPServerDisconnected")
