"""Which channels there are, and the sender of each. Addresses are secrets: they stay in here and in the senders.

- `discord:default`: DISCORD_WEBHOOK_URL.
- a name: `CHANNEL_<NAME>` of the environment, a Discord webhook, `mailto:someone@example.com` or an address of apprise's.
- `rule:<id>`: notification_method and notification_target of that row of `alerts`, as the earlier version has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

import httpx

from settings import Settings
from sinks import discord
from sinks.discord import Webhook
from sinks.mail import Mailbox, Server
from sinks.others import Service
from sinks.sender import BadAddress, Nobody, Sender, fingerprint

DEFAULT = "discord:default"

_DISCORDS = re.compile(r"https?://([^/]*[.@])?discord(app)?\.com(?![A-Za-z0-9-])")
# What a row of `alerts` may be sent by, besides Discord and mail: services with a host of their own, so that nobody who
# may write rules makes us call an address of their choosing.
_SERVICES = {"slack", "tgram", "pover", "pbul", "prowl"}

Target = tuple[str | None, str | None]
"""`notification_method` and `notification_target` of a rule."""


class Channels:
    """The configured channels and, given their targets, those of rules.

    Args:
        addresses: by channel name.
        server: for mail; None where none is configured.
        public_url: where the dashboard is reached from outside, for links; None leaves them out.
        test_host: see `Webhook`.

    Raises:
        BadAddress: an address is wrong; names the variable, never its value.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        server: Server | None = None,
        public_url: str | None = None,
        test_host: str | None = None,
    ) -> None:
        self._server, self._test_host = server, test_host
        self.public_url = public_url.rstrip("/") if public_url else None
        self._senders: dict[str, Sender] = {}
        for name, address in addresses.items():
            try:
                self._senders[name] = self._at(name, address)
            except BadAddress as error:
                raise BadAddress(f"{variable(name)} {error}") from None

    @classmethod
    def of(cls, settings: Settings) -> Channels:
        """Those of the environment. Nothing connects before the first message.

        Raises:
            BadAddress: see above.
        """
        addresses = {name: address.get_secret_value() for name, address in settings.channels.items()}
        if settings.discord_webhook_url is not None:
            addresses[DEFAULT] = settings.discord_webhook_url.get_secret_value()
        server = None
        if settings.smtp_host is not None and settings.smtp_from is not None:
            password = settings.smtp_password
            server = Server(
                settings.smtp_host, settings.smtp_port, settings.smtp_from, settings.smtp_user,
                password.get_secret_value() if password is not None else None, settings.smtp_security,
            )  # fmt: skip
        return cls(addresses, server, settings.public_url, settings.discord_test_host)

    @property
    def names(self) -> tuple[str, ...]:
        """The configured channels."""
        return tuple(self._senders)

    def sender(self, name: str, target: Target | None = None) -> Sender:
        """The sender of a channel; `target` is what its rule's row says, for a `rule:<id>`. Never raises."""
        if name in self._senders:
            return self._senders[name]
        if not name.startswith("rule:"):
            return Nobody(f"{variable(name)} is not set", fingerprint=fingerprint(""))
        if target is None:
            return Nobody("the rule is not there any more", fingerprint=fingerprint(""))
        method, address = (target[0] or "discord").strip().lower(), (target[1] or "").strip()
        try:
            return self._of_rule(method, address)
        except BadAddress as error:
            return Nobody(f"its notification_target {error}", fingerprint=fingerprint(f"{method} {address}"))

    def close(self) -> None:
        """Give up the connections."""
        if "_client" in self.__dict__:
            self._client.close()

    @cached_property
    def _client(self) -> httpx.Client:
        return discord.client()

    def _webhook(self, address: str) -> Webhook:
        return Webhook(address, lambda: self._client, self._test_host)

    def _mailbox(self, address: str) -> Mailbox:
        if self._server is None:
            raise BadAddress("needs a mail server: set SMTP_HOST and SMTP_FROM")
        return Mailbox(address, self._server)

    def _at(self, name: str, address: str) -> Sender:
        ours = self._test_host and address.startswith(f"http://{self._test_host}/")
        if name == DEFAULT or ours or _DISCORDS.match(address):
            return self._webhook(address)
        if address.startswith("mailto:") and not address.startswith("mailto://"):
            return self._mailbox(address.removeprefix("mailto:"))
        return Service(address)

    def _of_rule(self, method: str, address: str) -> Sender:
        if method == "discord" and not address:
            return self.sender(DEFAULT)
        if method == "discord":
            return self._webhook(address)
        if method in ("email", "mail", "e-mail"):
            return self._mailbox(address.removeprefix("mailto:"))
        if address.partition("://")[0].lower() in _SERVICES:
            return Service(address)
        raise BadAddress(
            f"is for discord, email, or an address that begins with one of {', '.join(sorted(_SERVICES))}; "
            "for anything else set CHANNEL_<NAME> and name it in the rule's channels"
        )


def variable(name: str) -> str:
    """Where a channel's address is set."""
    if name == DEFAULT:
        return "DISCORD_WEBHOOK_URL"
    return "the rule's notification_target" if name.startswith("rule:") else f"CHANNEL_{name.upper()}"
