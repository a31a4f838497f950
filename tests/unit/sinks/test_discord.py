"""The Discord sender: which addresses, which messages, and what an answer means."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from local.discord_stub import DiscordStub, fail, hang
from local.postgres import free_port
from settings import Settings
from sinks import discord
from sinks.channels import Channels
from sinks.delivery import DeliverySink
from sinks.discord import Webhook, message
from sinks.sender import Answer, BadAddress, Outcome
from sinks.words import Alert, notice
from tests.unit.sinks.notices import alert, bursts, told

CANARY = "canary-7f3a9e-token"
GOOD = f"https://discord.com/api/webhooks/123/{CANARY}"


# --- which addresses


@pytest.fixture
def hooks() -> Iterator[Any]:
    """Makes webhooks that share a client, which is closed at the end."""
    with discord.client() as client:
        yield lambda url, test_host=None: Webhook(url, lambda: client, test_host)


@pytest.mark.parametrize("host", ["discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"])
@pytest.mark.parametrize("api", ["api", "api/v10"])
def test_discords_own_hosts_are_posted_to(hooks: Any, host: str, api: str) -> None:
    hooks(f"https://{host}/{api}/webhooks/123/{CANARY}")


BAD = [
    f"http://discord.com/api/webhooks/1/{CANARY}",
    f"https://evil.example/api/webhooks/1/{CANARY}",
    f"https://discord.com.evil.example/api/webhooks/1/{CANARY}",
    f"https://evildiscord.com/api/webhooks/1/{CANARY}",
    f"https://sub.discord.com/api/webhooks/1/{CANARY}",
    f"https://discord.com:8443/api/webhooks/1/{CANARY}",
    f"https://discord.com@evil.example/api/webhooks/1/{CANARY}",
    f"https://user:{CANARY}@discord.com/api/webhooks/1/x",
    f"https://discord.com/{CANARY}",
    f"https://discord.com/api/v10/users/{CANARY}",
    f"https://discord.com/api/vx/webhooks/1/{CANARY}",
    f"https://discord.com/api/webhooks/../users/{CANARY}",
    f"https://discord.com/api/webhooks/%2e%2e/users/{CANARY}",
    f"https://discord.com\\@evil.example/api/webhooks/1/{CANARY}",
    f"https://[::1]/api/webhooks/1/{CANARY}",
    f"https://[discord.com/api/webhooks/1/{CANARY}",
    f"https://127.0.0.1/api/webhooks/1/{CANARY}",
    f"https://169.254.169.254/api/webhooks/1/{CANARY}",
    f"http://localhost:8000/api/webhooks/1/{CANARY}",
    f"https://dis\ncord.com/api/webhooks/1/{CANARY}",
    f"https://discord.com/api/webhooks/1/{CANARY}\nHost: evil.example",
    f"https://discord.com/api/webhooks/1/{CANARY} x",
    f"https://{CANARY}\u2100.example/api/webhooks/1/x",
    f"ftp://discord.com/api/webhooks/1/{CANARY}",
    f"file:///api/webhooks/1/{CANARY}",
    f"//discord.com/api/webhooks/1/{CANARY}",
    "https://discord.com/api/webhooks/",
    "https://discord.com/api/webhooks/1/",
    CANARY,
    "",
]


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("test_host", [None, "127.0.0.1:9"], ids=["", "test"])
def test_any_other_address_is_refused_without_repeating_it(url: str, test_host: str | None) -> None:
    with pytest.raises(BadAddress, match=r"must look like https://discord\.com/api/webhooks/<id>/<token>") as refusal:
        Webhook(url, httpx.Client, test_host)
    said = "".join(traceback.format_exception(refusal.value))
    assert CANARY not in said.replace(f"Webhook({url!r}", "")
    assert "CANARY-" not in said.upper()


def test_the_test_host_must_be_the_one_that_is_named(hooks: Any) -> None:
    hooks(f"http://127.0.0.1:8000/api/webhooks/1/{CANARY}", "127.0.0.1:8000")
    for url in ("http://127.0.0.1:8001", "http://127.0.0.1", "https://127.0.0.1:8000", "http://a@127.0.0.1:8000"):
        with pytest.raises(BadAddress):
            hooks(f"{url}/api/webhooks/1/{CANARY}", "127.0.0.1:8000")


def test_nothing_that_is_printed_shows_the_token(hooks: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Settings(discord_webhook_url=GOOD, _env_file=None)  # type: ignore[call-arg, arg-type]
    channels = Channels.of(settings)
    webhook = channels.sender("discord:default")
    sink = DeliverySink("password=x", channels, 60)
    shown = [repr(settings), str(settings), settings.model_dump_json(), repr(webhook), str(webhook), repr(sink)]
    shown += [webhook.fingerprint, f"{sink}", repr(channels), repr(vars(sink).get("dsn"))]
    assert CANARY not in "\n".join(shown) + caplog.text


def test_a_fingerprint_tells_webhooks_apart(hooks: Any) -> None:
    assert hooks(GOOD).fingerprint == hooks(GOOD).fingerprint
    assert hooks(GOOD).fingerprint != hooks(GOOD + "x").fingerprint
    assert len(hooks(GOOD).fingerprint) == 16


# --- which messages


def characters(text: str) -> int:
    """Length as the strictest reader of a limit counts: UTF-16 units, as a JavaScript front end would."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@hypothesis_settings(max_examples=150)
@given(bursts)
def test_a_message_keeps_discords_limits_whatever_the_alerts_say(alerts: list[Alert]) -> None:
    body = message(told(*alerts))
    assert body["allowed_mentions"] == {"parse": []}, "a name could call everyone"
    assert 1 <= len(body["username"]) <= 80
    embeds = body["embeds"]
    assert 1 <= len(embeds) <= 10
    assert len(embeds) == (len(alerts) if len(alerts) <= 10 else 1)
    total = 0
    for embed in embeds:
        footer = embed.get("footer", {}).get("text", "")
        assert 1 <= characters(embed["title"]) <= 256
        assert 1 <= characters(embed["description"]) <= 4096
        assert characters(footer) <= 2048
        total += sum(map(characters, (embed["title"], embed["description"], footer)))
        if "url" in embed:
            assert embed["url"].startswith(("http://", "https://"))
            assert len(embed["url"]) <= 2048
    assert total <= 6000, f"{total} characters over all embeds"
    urls = [embed["url"] for embed in embeds if "url" in embed]
    assert len(set(urls)) == len(urls), "Discord would merge embeds of one address"
    assert json.loads(json.dumps(body)) == body


def test_an_alert_is_told_with_its_prices() -> None:
    (embed,) = message([notice(alert(), [Decimal(250), Decimal(240), Decimal(230), Decimal("199.99")])])["embeds"]
    assert embed["title"] == "Taylor Swift: $199.99 \\(−20.0 %\\)"
    assert embed["description"].splitlines() == [
        "**All\\-in per ticket: $250.00 → $199.99**",
        "−20.0 % against this listing's previous price",
        "Section 101 · Row A",
        "█▇▅▁",
    ]
    assert embed["footer"] == {"text": "seatgeek · MetLife Stadium"}
    assert embed["timestamp"] == alert().alert_timestamp.isoformat()
    assert embed["url"].startswith("https://seatgeek.com/listing/1#")


def test_a_digest_counts_all_and_lists_the_biggest() -> None:
    alerts = [alert(n, event_id=f"e{n % 3}", event_name=f"Event {n}", drop_percent=Decimal(n % 90)) for n in range(500)]
    (embed,) = message(told(*alerts))["embeds"]
    assert embed["title"] == "500 price alerts at 3 events"
    assert embed["description"].endswith("… and 485 more")
    assert [line[:6] for line in embed["description"].splitlines()[3:6]] == ["**−89."] * 3


def test_the_same_alerts_make_the_same_message() -> None:
    notices = told(*(alert(n) for n in range(30)))
    assert message(notices) == message(list(reversed(notices)))


@pytest.mark.parametrize("many", [1, 30])
def test_names_are_not_taken_for_markdown_and_call_nobody(many: int) -> None:
    section = "[free](https://evil.example) **x** `y` ||z|| <@1> @here"
    embed = message(told(*(alert(n, section=section, event_name=section) for n in range(many))))["embeds"][0]
    for said in (embed["title"], embed["description"]) if many == 1 else (embed["description"],):
        assert "\\[free\\]\\(https:\u200b//evil.example\\) \\*\\*x" in said
        assert "<@1>" not in said
        assert "@here" not in said


LINKS_THAT_ARE_NONE = [
    "javascript:alert(1)", "data:text/html,x", "//x.example", "not a url", "https://x.example/" + "x" * 2000,
    "https://[broken", "https://x.example/a b", "https://x.example/\n", "https://discord.com@evil.example/", "https://",
    "https://localhost", "https://x\u2100.example/", "HTTPS:x.example",
]  # fmt: skip


@pytest.mark.parametrize("url", LINKS_THAT_ARE_NONE)
@pytest.mark.parametrize("many", [1, 10, 11])
def test_a_link_that_is_none_is_left_out_and_stops_nothing(url: str, many: int) -> None:
    assert all(
        "url" not in embed for embed in message(told(*(alert(n, listing_url=url) for n in range(many))))["embeds"]
    )


@pytest.mark.parametrize(
    "url", ["http://x.example", "https://x.example:8443/a?b=c&d=%20#e", "https://sub.x-y.example?q"]
)
def test_a_link_is_kept(url: str) -> None:
    assert message(told(alert(listing_url=url)))["embeds"][0]["url"].startswith(url)


# --- what an answer means

VIA = {"Via": "1.1 google"}
SPENT = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "1.5"}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (httpx.Response(200, json={"id": "42"}), (Outcome.SENT, 0.0, "42")),
        (httpx.Response(204), (Outcome.SENT, 0.0, None)),
        (httpx.Response(204, headers=SPENT), (Outcome.SENT, 1.5, None)),
        (httpx.Response(204, headers={**SPENT, "X-RateLimit-Remaining": "1"}), (Outcome.SENT, 0.0, None)),
        (httpx.Response(429, headers=VIA, json={"retry_after": 0.65}), (Outcome.AGAIN, 0.65, None)),
        (httpx.Response(429, headers={**VIA, "Retry-After": "7"}), (Outcome.AGAIN, 7.0, None)),
        (httpx.Response(429, headers=VIA), (Outcome.AGAIN, 5.0, None)),
        (httpx.Response(429, headers=VIA, json={"retry_after": 1e9}), (Outcome.AGAIN, 3600.0, None)),
        (httpx.Response(429, text="<html>banned"), (Outcome.AGAIN, 600.0, None)),
        (httpx.Response(429, headers={"Retry-After": "1800"}), (Outcome.AGAIN, 1800.0, None)),
        (httpx.Response(401, json={"message": "Invalid Webhook Token", "code": 50027}), (Outcome.GONE, 0.0, None)),
        (httpx.Response(404, json={"message": "Unknown Webhook", "code": 10015}), (Outcome.GONE, 0.0, None)),
        (httpx.Response(400, json={"message": "Invalid Form Body", "code": 50035}), (Outcome.REFUSED, 0.0, None)),
        (httpx.Response(400, headers=SPENT), (Outcome.REFUSED, 1.5, None)),
        (httpx.Response(403, text="<html>banned"), (Outcome.BARRED, 0.0, None)),
        (httpx.Response(408), (Outcome.AGAIN, 0.0, None)),
        (httpx.Response(413), (Outcome.REFUSED, 0.0, None)),
        (httpx.Response(302, headers={"Location": "http://evil.example"}), (Outcome.REFUSED, 0.0, None)),
        (httpx.Response(500, json={"message": "oops"}), (Outcome.AGAIN, 0.0, None)),
        (httpx.Response(502), (Outcome.LOST, 0.0, None)),
        (httpx.Response(524), (Outcome.LOST, 0.0, None)),
        (httpx.Response(503, text="<html><body>upstream"), (Outcome.AGAIN, 0.0, None)),
        (httpx.Response(503, headers={"Retry-After": "12"}), (Outcome.AGAIN, 12.0, None)),
    ],
    ids=lambda value: f"{value.status_code}" if isinstance(value, httpx.Response) else "",
)  # fmt: skip
def test_an_answer_is_understood(reply: httpx.Response, expected: tuple[Outcome, float, str | None]) -> None:
    answer = discord._answer(reply)
    assert (answer.outcome, answer.wait, answer.message_id) == expected
    if expected[0] is not Outcome.SENT:
        assert str(reply.status_code) in (answer.error or "")


@pytest.mark.parametrize(
    ("reply", "everywhere"),
    [
        (httpx.Response(429, headers=VIA, json={"retry_after": 1}), False),
        (httpx.Response(429, headers=VIA, json={"retry_after": 1, "global": True}), True),
        (httpx.Response(429, text="<html>banned"), True),
        (httpx.Response(500), False),
    ],
)
def test_a_limit_for_all_webhooks_is_told_from_one_for_this(reply: httpx.Response, everywhere: bool) -> None:
    assert discord._answer(reply).everywhere is everywhere


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
STRANGE = [
    b'{"retry_after": NaN}',
    b'{"retry_after": 1' + b"0" * 400 + b"}",
    b"[" * 20_000,
    b"1" * 5000,
    b'{"message": "a\\u0000b", "id": "\\ud800"}',
    b'{"message": "\\udfff"}',
]
fields = st.dictionaries(st.sampled_from(["id", "message", "retry_after", "code"]), json_values)
bodies = (
    st.binary(max_size=50)
    | fields.map(lambda given_fields: json.dumps(given_fields).encode())
    | st.sampled_from(STRANGE)
)
headers = st.dictionaries(
    st.sampled_from(["Retry-After", "Via", "X-RateLimit-Remaining", "X-RateLimit-Reset-After", "Content-Type"]),
    st.sampled_from(["0", "-1", "nan", "inf", "1e400", "x", "", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT"]),
)


@hypothesis_settings(max_examples=300)
@given(st.sampled_from([200, 204, 302, 400, 401, 403, 404, 429, 500, 502, 599]), headers, bodies)
def test_no_answer_is_too_strange(status: int, given_headers: dict[str, str], body: bytes) -> None:
    """Whatever comes back, there is an outcome, a pause that can be waited, and texts that Postgres takes."""
    answer = discord._answer(httpx.Response(status, headers=given_headers, content=body))
    assert 0 <= answer.wait <= 3600
    assert answer.message_id is None or isinstance(answer.message_id, str)
    said = (answer.error or "") + (answer.message_id or "")
    assert "\x00" not in said
    said.encode()  # no half of a surrogate pair
    assert len(said) <= 500


def test_an_unreachable_discord_is_tried_again(hooks: Any) -> None:
    port = free_port()
    answer = hooks(f"http://127.0.0.1:{port}/api/webhooks/1/{CANARY}", f"127.0.0.1:{port}").send(told(alert()))
    assert answer == Answer(Outcome.AGAIN, error="ConnectError")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(hooks: Any, status: int) -> None:
    with DiscordStub() as other, DiscordStub() as stub:

        def redirect(request: Any) -> bool:
            request.answer(status, {}, {"Location": other.url})
            return True

        stub.faults.append(redirect)
        answer = hooks(stub.url, stub.host).send(told(alert()))
        assert answer.outcome is Outcome.REFUSED
        assert other.requests == 0, "the token went to another host"


def test_an_answer_that_was_cut_off_is_lost(hooks: Any) -> None:
    with DiscordStub() as stub:
        stub.faults.append(hang(0, accept=False))
        assert hooks(stub.url, stub.host).send(told(alert())).outcome is Outcome.LOST


def test_what_is_sent_arrives_and_the_log_does_not_tell_the_address(
    hooks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with DiscordStub(CANARY) as stub:
        webhook = hooks(stub.url, stub.host)
        answer = webhook.send(told(alert()))
        assert answer.outcome is Outcome.SENT
        assert answer.message_id
        assert [body for _, body in stub.received] == [message(told(alert()))]
        stub.faults.extend([fail(500), fail(404), hang(0, accept=False)])
        said = [repr(webhook.send(told(alert()))) for _ in range(3)]
    said.append(repr(webhook.send(told(alert()))))
    assert CANARY not in "\n".join(said) + caplog.text


def test_a_thread_of_a_channel_can_be_addressed(hooks: Any) -> None:
    """Discord's `thread_id` stands in the webhook's query and must stay there."""
    seen: list[str] = []

    def look(request: Any) -> bool:
        seen.append(request.path)
        return False

    with DiscordStub() as stub:
        stub.faults.append(look)
        assert hooks(f"{stub.url}?thread_id=77", stub.host).send(told(alert())).message_id
    assert "thread_id=77" in seen[0]
