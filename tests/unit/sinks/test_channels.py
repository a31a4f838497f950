"""Which channel leads where, and that its address stays inside."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import pytest

import settings as configuration
from settings import Settings
from sinks.channels import DEFAULT, Channels, variable
from sinks.discord import Webhook
from sinks.mail import Mailbox, Server
from sinks.others import Service
from sinks.sender import BadAddress, Nobody, Outcome

# apprise looks for a plugin's libraries by importing them, some of which are on their way out
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CANARY = "canary-5d21aa-token"
HOOK = f"https://discord.com/api/webhooks/1/{CANARY}"
SERVER = Server("localhost", 25, "ConScope <alerts@example.com>")


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No `.env` of the developer's counts."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("address", "kind", "service"),
    [
        (HOOK, Webhook, "discord"),
        (HOOK.replace("/api/", "/api/v10/"), Webhook, "discord"),
        ("mailto:someone@example.com", Mailbox, "mail"),
        (f"ntfys://{CANARY}", Service, "apprise ntfys"),
        (f"tgram://123456789:{'a' * 35}/1", Service, "apprise tgram"),
    ],
)
def test_an_address_leads_to_its_sender(address: str, kind: type, service: str) -> None:
    sender = Channels({"phone": address}, SERVER).sender("phone")
    assert isinstance(sender, kind)
    assert sender.service == service


def test_the_environment_names_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_PHONE", HOOK)
    monkeypatch.setenv("CHANNEL_MY_MAIL", "mailto:someone@example.com")
    monkeypatch.setenv("CHANNEL_UNSET", "")
    settings = Settings(
        _env_file=None, discord_webhook_url=HOOK, smtp_host="localhost", smtp_from="alerts@example.com"  # type: ignore[call-arg, arg-type]
    )  # fmt: skip
    channels = Channels.of(settings)
    assert set(channels.names) == {DEFAULT, "phone", "my_mail"}
    assert isinstance(channels.sender("my_mail"), Mailbox)
    assert CANARY not in f"{settings!r} {settings.channels} {channels!r}"


def test_a_dot_env_file_names_channels_too(tmp_path: Any) -> None:
    (tmp_path / ".env").write_text(f"CHANNEL_PHONE={HOOK}\n")
    assert isinstance(Channels.of(configuration.Settings()).sender("phone"), Webhook)  # type: ignore[call-arg]


BAD = [
    ("CHANNEL_PHONE", {"phone": f"https://discord.com/api/users/{CANARY}"}, "must look like https://discord"),
    ("CHANNEL_PHONE", {"phone": f"http://discord.com/api/webhooks/1/{CANARY}"}, "must look like https://discord"),
    ("CHANNEL_PHONE", {"phone": f"https://x@discordapp.com/api/webhooks/1/{CANARY}"}, "must look like https://discord"),
    ("DISCORD_WEBHOOK_URL", {DEFAULT: f"ntfys://{CANARY}"}, "must look like https://discord"),
    ("CHANNEL_ME", {"me": f"mailto:{CANARY}"}, "must look like mailto:"),
    ("CHANNEL_ME", {"me": f"mailto:{CANARY}@example.com,b@example.com"}, "must look like mailto:"),
    ("CHANNEL_ME", {"me": f"mailto:{CANARY}@example.com?bcc=b@example.com"}, "must look like mailto:"),
    ("CHANNEL_ME", {"me": f"mailto:{CANARY}@example.com\nBcc: b@example.com"}, "must look like mailto:"),
    ("CHANNEL_X", {"x": f"nonsense://{CANARY}"}, "no address that apprise knows"),
    ("CHANNEL_X", {"x": CANARY}, "no address that apprise knows"),
]


@pytest.mark.parametrize(("named", "addresses", "why"), BAD, ids=str)
def test_a_wrong_address_is_named_by_its_variable_and_not_repeated(
    named: str, addresses: dict[str, str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(BadAddress, match=f"^{named} .*{why}") as refusal:
        Channels(addresses, SERVER)
    assert CANARY not in "".join(traceback.format_exception_only(refusal.value)) + caplog.text


def test_mail_needs_a_server() -> None:
    with pytest.raises(BadAddress, match="CHANNEL_ME needs a mail server: set SMTP_HOST and SMTP_FROM"):
        Channels({"me": "mailto:someone@example.com"})


def test_the_sender_of_mails_must_be_an_address() -> None:
    with pytest.raises(BadAddress, match="SMTP_FROM must be an address"):
        Server("localhost", 25, "ConScope")


def test_a_missing_apprise_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(BadAddress, match=r"CHANNEL_PHONE needs apprise.*requirements-extra\.txt"):
        Channels({"phone": f"ntfys://{CANARY}"})


# --- channels of rules


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (("discord", HOOK), Webhook),
        (("Discord ", f" {HOOK} "), Webhook),
        ((None, HOOK), Webhook),
        (("email", "someone@example.com"), Mailbox),
        (("email", "mailto:someone@example.com"), Mailbox),
        (("telegram", f"tgram://123456789:{'a' * 35}/1"), Service),
    ],
)
def test_a_rule_of_the_earlier_version_leads_to_its_target(target: Any, kind: type) -> None:
    assert isinstance(Channels({}, SERVER).sender("rule:7", target), kind)


def test_a_rule_that_says_discord_and_no_more_uses_the_default_webhook() -> None:
    channels = Channels({DEFAULT: HOOK})
    assert channels.sender("rule:7", ("discord", None)) is channels.sender(DEFAULT)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (("discord", f"https://evil.example/{CANARY}"), "must look like https://discord"),
        (("email", f"{CANARY}\r\nBcc: b@example.com"), "must look like mailto:"),
        (("webhook", f"json://169.254.169.254/{CANARY}"), "is for discord, email"),
        (("webhook", f"http://127.0.0.1/{CANARY}"), "is for discord, email"),
        (("file", f"file:///etc/{CANARY}"), "is for discord, email"),
        (("ntfy", f"ntfy://10.0.0.1/{CANARY}"), "is for discord, email"),
        (("sms", "+4930123456"), "is for discord, email"),
    ],
    ids=str,
)
def test_a_rule_cannot_make_us_call_just_anybody(target: Any, why: str) -> None:
    sender = Channels({}, SERVER).sender("rule:7", target)
    answer = sender.send([], None)
    assert answer.outcome is Outcome.GONE
    assert why in (answer.error or "")
    assert CANARY not in repr(sender)
    assert sender.fingerprint != Channels({}).sender("rule:7", (target[0], "other")).fingerprint, "a change is noticed"


@pytest.mark.parametrize("name", ["phone", DEFAULT, "rule:7", "rule:x", ""])
def test_a_channel_that_is_not_there_answers_so(name: str) -> None:
    sender = Channels({}).sender(name)
    assert isinstance(sender, Nobody)
    assert sender.send([], None).outcome is Outcome.GONE


def test_fingerprints_tell_addresses_apart() -> None:
    channels = Channels({"a": HOOK, "b": f"{HOOK}x", "c": HOOK})
    prints = [channels.sender(name).fingerprint for name in "abc"]
    assert prints[0] == prints[2] != prints[1]
    assert len(prints[0]) == 16
    assert CANARY not in "".join(prints)


def test_where_an_address_is_set() -> None:
    assert variable(DEFAULT) == "DISCORD_WEBHOOK_URL"
    assert variable("phone") == "CHANNEL_PHONE"
    assert variable("rule:7") == "the rule's notification_target"
