"""What is passed through from the environment, besides the settings themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import Settings


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("FEED_PARTNER_TOKEN=from-the-file\nFEED_OTHER=file\n")
    monkeypatch.setenv("FEED_OTHER", "from-the-shell")
    monkeypatch.setenv("FEED_EMPTY", "")
    monkeypatch.setenv("HOME_SECRET", "canary")
    return Settings()


def test_a_feeds_secret_comes_from_the_shell_or_the_file(loaded: Settings) -> None:
    assert loaded.feed_secret("FEED_OTHER") == "from-the-shell"
    assert loaded.feed_secret("FEED_PARTNER_TOKEN") == "from-the-file"


def test_an_empty_variable_goes_before_the_file_and_leaves_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a rehearsal, `DISCORD_WEBHOOK_URL=` must shut the channel of the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(
        "DISCORD_WEBHOOK_URL=https://a.example/hook\nBATCH_SIZE=7\nSHARDS=3\nCHANNEL_ME=mailto:a\n"
    )
    for name in ("DISCORD_WEBHOOK_URL", "BATCH_SIZE", "CHANNEL_ME"):
        monkeypatch.setenv(name, "")
    settings = Settings()
    assert settings.discord_webhook_url is None
    assert settings.batch_size == Settings.model_fields["batch_size"].default
    assert settings.shards == 3
    assert settings.channels == {}


@pytest.mark.parametrize("name", ["FEED_ABSENT", "FEED_EMPTY", "HOME_SECRET", "POSTGRES_PASSWORD", ""])
def test_nothing_else_is_given_to_a_feed(loaded: Settings, name: str) -> None:
    assert not loaded.feed_secret(name)
