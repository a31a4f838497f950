"""Rules made, tried, explained and muted against a real database, by call and by command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

import settings
from analytics.rules import RuleError
from analytics.rulestore import NoSuchRule, Rules
from sinks.rules import main
from sinks.schema import migrate
from tests.conftest import Database

NOW = datetime.now(UTC)


@pytest.fixture
def rules(database: Database) -> Rules:
    migrate(database.dsn)
    with psycopg.connect(database.dsn) as connection:
        connection.execute(
            "INSERT INTO events (event_id, event_name, venue, event_date) VALUES ('e1', 'The Band', 'Town Hall', %s)",
            (NOW + timedelta(days=30),),
        )
        for hour, price in enumerate((150, 140, 120, 130, 125)):
            connection.execute(
                "INSERT INTO price_history (id, event_id, source, section, listing_id, price, total_price, currency, "
                "quantity, timestamp, level, late) VALUES (%s, 'e1', 'mock', '101', 'L1', %s, %s, 'USD', 2, %s, "
                "'listing', false)",
                (hour, price - 10, price, NOW - timedelta(hours=10 - hour)),
            )
    return Rules(database.dsn)


def test_a_rule_is_made_changed_muted_and_removed_and_each_change_is_a_version(rules: Rules) -> None:
    number = rules.add({"event_id": "e1", "target_price": 100, "name": "cheap"})
    [kept] = rules.all(number)
    assert (kept.says, kept.state) == ("lowest all-in price at or below 100.00 USD", "armed")
    rules.change(number, {"target_price": "90.50"})
    rules.mute(number, datetime.now(UTC) + timedelta(hours=1))
    assert rules.all(number)[0].state == "muted"
    rules.unmute(number)
    rules.remove(number)
    with psycopg.connect(rules.dsn) as connection:
        found = connection.execute(
            "SELECT rule->>'target_price', rule->>'muted_until' IS NULL FROM rule_versions ORDER BY version"
        ).fetchall()
    assert found == [("100", True), ("90.50", True), ("90.50", False), ("90.50", True), (None, True)]
    for call in (rules.remove, rules.unmute, rules.all):
        with pytest.raises(NoSuchRule, match=str(number)):
            call(number)


def test_what_means_nothing_is_not_saved(rules: Rules) -> None:
    with pytest.raises(RuleError, match="target price"):
        rules.add({"event_id": "e1"})
    number = rules.add({"event_id": "e1", "target_price": 100})
    with pytest.raises(RuleError, match="no time zone"):
        rules.change(number, {"definition": {"quiet": {"from": "22:00", "to": "07:00", "time_zone": "Nowhere"}}})
    with pytest.raises(RuleError, match="a rule has no colour"):
        rules.change(number, {"colour": "red"})
    assert rules.all(number)[0].rule["definition"] == {}


def test_a_rule_knows_at_its_making_what_the_history_holds(rules: Rules) -> None:
    low = rules.add({"event_id": "e1", "definition": {"condition": "new_low", "days": 7}})
    middle = rules.add(
        {"event_id": "e1", "definition": {"condition": "drop", "percent": 10, "reference": "median", "days": 7}}
    )
    known = rules.all(low)[0].rule["definition"]["known"]
    assert known["lowest"] == "120"
    assert [price for _, price in known["lows"]] == ["120", "130"]
    hours = rules.all(middle)[0].rule["definition"]["known"]["hours"]
    assert [price for _, price in hours] == ["150", "140", "120", "130"]


def test_a_changed_rule_knows_the_history_of_today(rules: Rules) -> None:
    number = rules.add({"event_id": "e1", "definition": {"condition": "new_low"}})
    with psycopg.connect(rules.dsn) as connection:
        connection.execute("UPDATE price_history SET total_price = 80 WHERE id = 4")
    rules.change(number, {"definition": {"condition": "new_low", "observations": 2}})
    definition = rules.all(number)[0].rule["definition"]
    assert (definition["observations"], definition["known"]["lowest"]) == (2, "80")
    rules.mute(number)
    assert rules.all(number)[0].rule["definition"] == definition


def test_trying(rules: Rules) -> None:
    assert "Would have fired once" in rules.try_out({"event_id": "e1", "target_price": 120}).summary()
    assert "5 % over the low would be 126.00 USD" in rules.try_out({"event_id": "e1", "target_price": 80}).summary()
    with psycopg.connect(rules.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM alerts").fetchone() == (0,)


def test_a_trial_says_what_it_looked_at_and_whether_there_was_more(rules: Rules) -> None:
    tried, seen = rules.try_and_see({"event_id": "e1", "target_price": 120})
    assert (seen.event_id, seen.event_name, seen.cut) == ("e1", "The Band", False)
    assert [price for _, price in seen.path] == [150_000_000, 140_000_000, 120_000_000, 130_000_000, 125_000_000]
    tried, seen = rules.try_and_see({"event_id": "e1", "target_price": 120}, most=2)
    assert (tried.observations, seen.cut) == (2, True), "the newest, and there were more"
    assert [price for _, price in seen.path] == [130_000_000, 125_000_000]
    tried, seen = rules.try_and_see({"definition": {"query": "nobody", "condition": "back"}})
    assert (tried.observations, seen) == (0, (None, None, [], False))


def test_a_trial_of_a_section_is_not_filled_up_with_others(rules: Rules) -> None:
    with psycopg.connect(rules.dsn) as connection:
        connection.execute(
            "INSERT INTO price_windows SELECT 'e1', 'mock', section, 'listing', 'USD', 86400, date_trunc('day', now()), "
            "1, 1, 1, 1, 1, 1, 1, true FROM unnest(ARRAY['101', 'Sec. 205']) section"
        )
        for number in range(30):
            connection.execute(
                "INSERT INTO price_history (id, event_id, source, section, listing_id, price, total_price, currency, "
                "quantity, timestamp, level, late) VALUES (%s, 'e1', 'mock', 'Sec. 205', 'L9', 60, 70, 'USD', 2, %s, "
                "'listing', false)",
                (100 + number, NOW - timedelta(minutes=60 - number)),
            )
    of_section, _ = rules.try_and_see({"event_id": "e1", "section": "101", "target_price": 125}, most=5)
    assert (of_section.observations, len(of_section.firings)) == (5, 2), "behind the thirty of another section"
    other, seen = rules.try_and_see({"event_id": "e1", "section": "section 205", "target_price": 125}, most=5)
    assert (other.observations, other.lowest, seen.cut) == (5, 70_000_000, True)
    whole, _ = rules.try_and_see({"event_id": "e1", "target_price": 125}, most=5)
    assert whole.lowest == 70_000_000


@pytest.fixture
def command(rules: Rules, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    parts = psycopg.conninfo.conninfo_to_dict(rules.dsn)
    for name, part in (
        ("HOST", "host"),
        ("PORT", "port"),
        ("DB", "dbname"),
        ("USER", "user"),
        ("PASSWORD", "password"),
    ):
        if part in parts:
            monkeypatch.setenv(f"POSTGRES_{name}", str(parts[part]))
    settings.load.cache_clear()

    def run(*arguments: str) -> tuple[int, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out + said.err

    yield run
    settings.load.cache_clear()


def test_the_command_makes_tries_lists_mutes_and_explains(command: Any, rules: Rules) -> None:
    code, said = command("try", "--event", "e1", "--at-or-below", "125")
    assert code == 0
    assert "Would have fired 2 times" in said
    assert "120.00 USD" in said
    code, said = command("add", "--event", "e1", "--drop", "15%", "--since", "median", "--days", "7", "--name", "mine",
                         "--quiet", "22:00-07:00@Europe/Berlin", "--json")  # fmt: skip
    assert code == 0
    number = json.loads(said)["id"]
    code, said = command("list")
    assert f"{number}  armed    mine: lowest all-in price down by 15 % against the median of 7 days" in said
    assert command("mute", str(number), "--for", "3d")[0] == 0
    assert json.loads(command("show", str(number), "--json")[1])["state"] == "muted"
    assert "has not looked at any price yet" in command("explain", str(number))[1]
    assert command("unmute", str(number))[0] == 0
    assert command("remove", str(number))[0] == 0
    assert command("remove", str(number)) == (2, f"conscope: there is no rule {number}\n")


def test_the_command_says_what_is_wrong(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = command("add", "--event", "e1", "--at-or-below", "cheap")
    assert (code, said) == (2, "conscope: target_price: 'cheap' is no amount of money\n")
    with pytest.raises(SystemExit):
        main(["add", "--event", "e1"])
    assert "one of the arguments --at-or-below --drop" in capsys.readouterr().err


def test_explaining_shows_decisions_with_their_numbers(command: Any, rules: Rules) -> None:
    number = rules.add({"event_id": "e1", "target_price": 120})
    with psycopg.connect(rules.dsn) as connection:
        connection.execute(
            "INSERT INTO rule_states VALUES (%s, 'e1', 1, 'fired', 'not_rearmed', 119, 120, NULL, 118, 7, %s, 1, %s)",
            (number, NOW, NOW),
        )
        connection.execute(
            "INSERT INTO rule_decisions VALUES (%s, 77, 'e1', 1, true, 'fired', 118, 120, NULL, %s)", (number, NOW)
        )
    said = command("explain", str(number))[1]
    assert "now: e1: fired, it fired, and the price has not gone back over the margin since (at 119.00" in said
    assert "e1  FIRED: fired at 118.00, fires at 120.00" in said
