"""Which sources there are, by the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connectors.sources import configured
from settings import Settings

FEED = """
name = "{name}"
url = "https://api.partner.example/prices"
[fields]
event_id = "id"
price = "price"
"""


def settings(folder: Path, **given: Any) -> Settings:
    return Settings(_env_file=None, feeds_dir=folder, **given)  # type: ignore[call-arg]


def test_without_keys_and_feeds_there_is_none(tmp_path: Path) -> None:
    wrong: list[str] = []
    assert configured(settings(tmp_path), wrong) == []
    assert wrong == []


def test_a_key_or_a_file_makes_a_source(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FEED.format(name="mine"))
    keys = {
        "seatgeek_api_key": "k",
        "ticketmaster_api_key": "k",
        "stubhub_client_id": "i",
        "stubhub_client_secret": "s",
    }
    found = configured(settings(tmp_path, **keys, seatgeek_calls_a_day=77), [])
    assert [source.name for source in found] == ["seatgeek", "ticketmaster", "stubhub", "mine"]
    assert found[0].ledger.budget == found[0].budget
    assert found[0].budget.calls_a_day == 77
    for source in found:
        source.close()


def test_a_feed_cannot_take_a_sites_name(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FEED.format(name="seatgeek"))
    wrong: list[str] = []
    assert configured(settings(tmp_path), wrong) == []
    [told] = wrong
    assert "'seatgeek' is a ticket site's: give the feed another name" in told


def test_a_feed_that_is_wrong_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(FEED.format(name="good"))
    (tmp_path / "bad.toml").write_text('name = "bad')
    wrong: list[str] = []
    found = configured(settings(tmp_path, seatgeek_api_key="k"), wrong)
    assert [source.name for source in found] == ["seatgeek", "good"]
    assert [line.split("/")[-1].split(":")[0] for line in wrong] == ["bad.toml"]
    for source in found:
        source.close()
